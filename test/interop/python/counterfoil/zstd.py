"""One Zstandard frame (RFC 8878), decompressed: Python's library has it only from 3.14 on. No dictionaries; a checksum is read over,
since the content has a commitment."""

from __future__ import annotations

from dataclasses import dataclass

from .encoding import require

WINDOW = 8 << 20
BLOCK = 128 << 10

_LL_BASE = [*range(16), 16, 18, 20, 22, 24, 28, 32, 40, 48, *(1 << n for n in range(6, 17))]
_LL_BITS = [0] * 16 + [1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17)]
_ML_BASE = [*range(3, 35), 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, *((1 << n) + 3 for n in range(7, 17))]
_ML_BITS = [0] * 32 + [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17)]
_LL_DEFAULT = [4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, *[1] * 5, *[-1] * 4]
_ML_DEFAULT = [1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7]
_OF_DEFAULT = [*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5]


class _Backward:
    """Bits from the end of some bytes to their beginning; the highest set bit of the last byte marks where they start."""

    def __init__(self, data: bytes) -> None:
        require(len(data) > 0 and data[-1] != 0, "zstd: a bit stream without its end")
        self.data, self.at = data, 8 * (len(data) - 1) + data[-1].bit_length() - 1

    def peek(self, n: int) -> int:
        low = self.at - n
        if low < 0:
            return (int.from_bytes(self.data[: (self.at + 7) // 8], "little") & ((1 << max(self.at, 0)) - 1)) << -max(low, -n)
        return int.from_bytes(self.data[low >> 3 : (self.at + 7) >> 3], "little") >> (low & 7) & ((1 << n) - 1)

    def read(self, n: int) -> int:
        value = self.peek(n)
        self.at -= n
        return value


@dataclass
class _Fse:
    log: int
    symbols: list[int]
    bits: list[int]
    base: list[int]


def _fse(probabilities: list[int], log: int) -> _Fse:
    size = 1 << log
    symbols, high = [0] * size, size
    for symbol, p in enumerate(probabilities):
        if p == -1:
            high -= 1
            symbols[high] = symbol
    at = 0
    for symbol, p in enumerate(probabilities):
        for _ in range(max(p, 0)):
            symbols[at] = symbol
            at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1)
            while at >= high:
                at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1)
    require(at == 0, "zstd: a table that is not filled")
    following = [abs(p) for p in probabilities]
    bits, base = [], []
    for symbol in symbols:
        n = log - (following[symbol].bit_length() - 1)
        bits.append(n)
        base.append((following[symbol] << n) - size)
        following[symbol] += 1
    return _Fse(log, symbols, bits, base)


def _read_fse(data: bytes, most: int) -> tuple[_Fse, int]:
    """A table description, and how many bytes it takes."""
    value, at = int.from_bytes(data[:512], "little"), 4
    log = (value & 15) + 5
    require(log <= most, "zstd: a table that is too large")
    left, probabilities = 1 << log, []
    while left > 0:
        n = (left + 1).bit_length()
        got = value >> at & ((1 << n) - 1)
        low, threshold = got & ((1 << (n - 1)) - 1), (1 << n) - 2 - left
        if low < threshold:
            got, at = low, at + n - 1
        else:
            at += n
            got -= threshold if got >= 1 << (n - 1) else 0
        probabilities.append(got - 1)
        left -= abs(got - 1)
        more = got == 1
        while more:
            zeros = value >> at & 3
            at += 2
            probabilities += [0] * zeros
            more = zeros == 3
        require(len(probabilities) <= 256, "zstd: a table of too many symbols")
    require(left == 0 and at <= 8 * len(data), "zstd: a table that is cut")
    return _fse(probabilities, log), (at + 7) // 8


@dataclass
class _Huffman:
    log: int
    symbols: list[int]
    bits: list[int]

    def decode(self, data: bytes) -> bytes:
        stream, out = _Backward(data), bytearray()
        while stream.at > 0:
            code = stream.peek(self.log)
            out.append(self.symbols[code])
            stream.at -= self.bits[code]
        require(stream.at == 0, "zstd: literals that do not end where their bits do")
        return bytes(out)


def _read_huffman(data: bytes) -> tuple[_Huffman, int]:
    require(len(data) > 0, "zstd: no tree")
    head = data[0]
    if head >= 128:
        n = head - 127
        used = 1 + (n + 1) // 2
        weights = [(data[1 + i // 2] >> (0 if i & 1 else 4)) & 15 for i in range(n)] if used <= len(data) else []
    else:
        used = 1 + head
        table, skipped = _read_fse(data[1:used], 6)
        weights = _read_weights(table, data[1 + skipped : used])
    total = sum(1 << w - 1 for w in weights if w > 0)
    require(used <= len(data) and total > 0 and len(weights) <= 255, "zstd: no tree")
    log = total.bit_length()
    rest = (1 << log) - total
    require(log <= 11 and rest & (rest - 1) == 0, "zstd: a tree that is not complete")
    weights.append(rest.bit_length())
    symbols, bits = [], []
    for weight in range(1, log + 1):
        for symbol, own in enumerate(weights):
            if own == weight:
                symbols += [symbol] * (1 << weight - 1)
                bits += [log + 1 - weight] * (1 << weight - 1)
    return _Huffman(log, symbols, bits), used


def _read_weights(table: _Fse, data: bytes) -> list[int]:
    stream, weights = _Backward(data), []
    states = [stream.read(table.log), stream.read(table.log)]
    while len(weights) < 255:
        state = states.pop(0)
        weights.append(table.symbols[state])
        if stream.at < table.bits[state]:
            return [*weights, table.symbols[states[0]]]
        states.append(table.base[state] + stream.read(table.bits[state]))
    require(False, "zstd: too many weights")
    return weights


class _Decoder:
    def __init__(self) -> None:
        self.out = bytearray()
        self.offsets = [1, 4, 8]
        self.huffman: _Huffman | None = None
        self.tables: list[_Fse | None] = [None, None, None]

    def block(self, data: bytes) -> None:
        literals, at = self._literals(data)
        require(at < len(data), "zstd: a block that is cut")
        count, at = data[at], at + 1
        if count >= 128:
            wide = 2 if count == 255 else 1
            require(at + wide <= len(data), "zstd: a block that is cut")
            count = int.from_bytes(data[at : at + 2], "little") + 0x7F00 if wide == 2 else (count - 128 << 8) + data[at]
            at += wide
        if count == 0:
            require(at == len(data), "zstd: a block that goes on")
            self.out += literals
            return
        require(at < len(data) and data[at] & 3 == 0, "zstd: reserved bits")
        modes, at = data[at], at + 1
        for i, (most, log, default) in enumerate(((9, 6, _LL_DEFAULT), (8, 5, _OF_DEFAULT), (9, 6, _ML_DEFAULT))):
            mode = modes >> (6 - 2 * i) & 3
            if mode == 0:
                self.tables[i] = _fse(default, log)
            elif mode == 1:
                require(at < len(data), "zstd: a block that is cut")
                self.tables[i], at = _Fse(0, [data[at]], [0], [0]), at + 1
            elif mode == 2:
                self.tables[i], used = _read_fse(data[at:], most)
                at += used
        self._sequences(literals, count, data[at:])

    def _literals(self, data: bytes) -> tuple[bytes, int]:
        require(len(data) >= 3 or (data and data[0] & 3 < 2), "zstd: a block that is cut")
        kind, form = data[0] & 3, data[0] >> 2 & 3
        if kind < 2:
            wide = (1, 2, 1, 3)[form]
            size = int.from_bytes(data[:wide], "little") >> (3 if wide == 1 else 4)
            require(size <= BLOCK and len(data) >= wide + (size if kind == 0 else 1), "zstd: literals that are cut")
            return (data[wide : wide + size], wide + size) if kind == 0 else (data[wide : wide + 1] * size, wide + 1)
        wide, n = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        head = int.from_bytes(data[:wide], "little") >> 4
        size, packed = head & ((1 << n) - 1), head >> n
        body = data[wide : wide + packed]
        require(len(body) == packed and size <= BLOCK, "zstd: literals that are cut")
        if kind == 2:
            self.huffman, used = _read_huffman(body)
            body = body[used:]
        require(self.huffman is not None, "zstd: no tree to repeat")
        assert self.huffman is not None
        streams = [body]
        if form > 0:
            require(len(body) >= 6, "zstd: literals that are cut")
            a, b, c = (int.from_bytes(body[i : i + 2], "little") for i in (0, 2, 4))
            rest = body[6:]
            streams = [rest[:a], rest[a : a + b], rest[a + b : a + b + c], rest[a + b + c :]]
        out = b"".join(self.huffman.decode(stream) for stream in streams)
        require(len(out) == size, "zstd: literals of another length")
        return out, wide + packed

    def _sequences(self, literals: bytes, count: int, data: bytes) -> None:
        ll, of, ml = self.tables
        require(ll is not None and of is not None and ml is not None, "zstd: no table to repeat")
        assert ll is not None and of is not None and ml is not None
        stream, taken = _Backward(data), 0
        a, b, c = stream.read(ll.log), stream.read(of.log), stream.read(ml.log)
        for n in range(count):
            l, o, m = ll.symbols[a], of.symbols[b], ml.symbols[c]
            require(l < len(_LL_BASE) and m < len(_ML_BASE) and o < 32, "zstd: a symbol that is none")
            value = (1 << o) + stream.read(o)
            match = _ML_BASE[m] + stream.read(_ML_BITS[m])
            run = _LL_BASE[l] + stream.read(_LL_BITS[l])
            if n + 1 < count:
                a = ll.base[a] + stream.read(ll.bits[a])
                c = ml.base[c] + stream.read(ml.bits[c])
                b = of.base[b] + stream.read(of.bits[b])
            require(stream.at >= 0 and taken + run <= len(literals), "zstd: sequences that are cut")
            self.out += literals[taken : taken + run]
            taken += run
            self._copy(self._offset(value, run), match)
        require(stream.at == 0, "zstd: sequences that go on")
        self.out += literals[taken:]

    def _offset(self, value: int, run: int) -> int:
        if value > 3:
            self.offsets = [value - 3, *self.offsets[:2]]
        else:
            i = value - 1 + (run == 0)
            offset = self.offsets[0] - 1 if i == 3 else self.offsets[i]
            del self.offsets[min(i, 2)]
            self.offsets.insert(0, offset)
        return self.offsets[0]

    def _copy(self, offset: int, length: int) -> None:
        require(0 < offset <= len(self.out), "zstd: an offset before the beginning")
        while length > 0:
            piece = self.out[len(self.out) - offset :][:length]
            self.out += piece
            length -= len(piece)


def decompress(data: bytes, most: int) -> bytes:
    """What one frame holds, and nothing after it; refuses more than `most` bytes."""
    require(len(data) >= 6 and data[:4] == b"\x28\xb5\x2f\xfd", "zstd: no frame")
    head, at = data[4], 5
    single, checksum = head & 32 != 0, head & 4 != 0
    require(head & 8 == 0 and head & 3 == 0, "zstd: a dictionary or a reserved bit")
    if not single:
        base = 1 << 10 + (data[at] >> 3)
        require(base + (base >> 3) * (data[at] & 7) <= WINDOW, "zstd: a window over 8 MiB")
        at += 1
    wide = (1 if single else 0, 2, 4, 8)[head >> 6]
    stated = int.from_bytes(data[at : at + wide], "little") + (256 if wide == 2 else 0)
    at += wide
    decoder, last = _Decoder(), False
    while not last:
        require(at + 3 <= len(data), "zstd: a frame that is cut")
        block = int.from_bytes(data[at : at + 3], "little")
        last, kind, size, at = block & 1 == 1, block >> 1 & 3, block >> 3, at + 3
        taken = 1 if kind == 1 else size
        require(kind < 3 and size <= BLOCK and at + taken <= len(data), "zstd: a block that is cut")
        if kind == 2:
            decoder.block(data[at : at + size])
        else:
            decoder.out += data[at : at + size] if kind == 0 else data[at : at + 1] * size
        at += taken
        require(len(decoder.out) <= most, "zstd: more than is allowed")
    require(at + (4 if checksum else 0) == len(data), "zstd: a frame that goes on")
    require(wide == 0 or stated == len(decoder.out), "zstd: a frame of another length")
    return bytes(decoder.out)
