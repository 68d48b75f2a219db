"""Commitments, secrets and segments: docs/format.md §6, and the key files of §7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .crypto import hkdf, hmac, open_sealed, sha256
from .encoding import Malformed, decode_base64, require, utf8
from .zstd import decompress

MIB = 1 << 20
HEAD = 57


def commitment(salt: bytes, content: bytes) -> bytes:
    return sha256(b"counterfoil/payload/v1\0", salt, sha256(content))


def slug(origin: str) -> str:
    name = re.sub(r"^\.+", "_", re.sub(r"[^A-Za-z0-9.-]+", "_", origin))
    return f"{name[:80]}-{sha256(origin.encode()).hex()[:16]}"


@dataclass(frozen=True)
class Keys:
    """One log's folder of keys; nothing in it is needed but what a verifier opens."""

    folder: Path
    vkey: str
    origin: str

    def text(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def secret(self, name: str, use: str) -> bytes | None:
        data = self.text(name)
        if data is None:
            return None
        parts = utf8(data).removesuffix("\n").split("+", 5)
        require(len(parts) == 6 and parts[:4] == ["COUNTERFOIL", "KEY", use, self.origin], f"{name} is another key")
        key = decode_base64(parts[5], 33)
        check = sha256(use.encode(), b"\n", self.origin.encode(), b"\n", key)[:4].hex()
        require(key[0] == 1 and check == parts[4], f"{name} is damaged")
        return key[1:]


def check_wrapped(wrapped: bytes, scope: bytes, generation: int) -> None:
    """What shows without a key."""
    require(len(wrapped) == 105 and wrapped[:5] == b"cfw1\1", "no wrapped secret")
    require(wrapped[5:21] == scope, "a secret of another scope")
    require(int.from_bytes(wrapped[21:25], "big") == generation, "a secret of another generation")


def unwrap(wrapped: bytes, scope: bytes, generation: int, kek: bytes, origin: str) -> bytes:
    """The secret of a scope: §6.2."""
    check_wrapped(wrapped, scope, generation)
    info = b"counterfoil/wrap/v1\0" + origin.encode() + b"\0" + scope
    secret = open_sealed(wrapped[:HEAD], wrapped[HEAD:], kek, wrapped[25:HEAD], info)
    require(secret is not None, "a secret that does not open")
    assert secret is not None
    return secret


@dataclass(frozen=True)
class Frame:
    payloads: list[bytes]
    goes_on: bool


def segment_scope(segment: bytes) -> bytes:
    require(len(segment) >= HEAD + 16 and segment[:5] == b"cfs1\1", "no segment")
    require(len(segment) == HEAD + int.from_bytes(segment[53:HEAD], "big") + 16, "a segment of another length")
    return segment[5:21]


def open_segment(segment: bytes, scope: bytes, secret: bytes, origin: str) -> list[Frame]:
    """The frames of a segment: §6.3."""
    require(segment_scope(segment) == scope, "a segment of another scope")
    info = b"counterfoil/segment/v1\0" + origin.encode()
    plain = open_sealed(segment[:HEAD], segment[HEAD:], secret, segment[21:53], info)
    require(plain is not None, "a segment that does not open")
    assert plain is not None
    require(len(plain) <= 128 * MIB, "a segment over 128 MiB")
    frames: list[Frame] = []
    at, end = 0, len(plain.rstrip(b"\0"))
    while at < end:
        require(at + 11 <= len(plain), "a frame that is cut")
        codec = plain[at]
        stored, raw = int.from_bytes(plain[at + 1 : at + 5], "big"), int.from_bytes(plain[at + 5 : at + 9], "big")
        n = int.from_bytes(plain[at + 9 : at + 11], "big")
        body = at + 11 + 4 * n
        lengths = [int.from_bytes(plain[i : i + 4], "big") for i in range(at + 11, body, 4)]
        require(n > 0 and raw <= MIB and sum(lengths) == raw and body + stored <= len(plain), "a frame whose lengths do not fit")
        require(codec & 0x7F in (0, 1), "a codec of a later version")
        require(codec & 0x80 == 0 or (n == 1 and raw == MIB), "a piece that is not 1 MiB")
        data = plain[body : body + stored]
        if codec & 0x7F == 1:
            require(stored < raw, "a frame that compression made no shorter")
            try:
                data = decompress(data, raw)
            except IndexError:
                raise Malformed("zstd: a frame that is cut") from None
        require(len(data) == raw, "a frame of another length")
        payloads, offset = [], 0
        for length in lengths:
            payloads.append(data[offset : offset + length])
            offset += length
        frames.append(Frame(payloads, codec & 0x80 != 0))
        at = body + stored
    require(len(plain) == padme(at), "a segment that is not padded as it should be")
    return frames


def padme(length: int) -> int:
    if length <= 256:
        return 256
    e = length.bit_length() - 1
    step = 1 << (e - e.bit_length())
    return (length + step - 1) // step * step


def payload_at(frames: list[Frame], frame: int, position: int, count: int) -> bytes:
    require(1 <= count and 0 <= frame and frame + count <= len(frames), "no such frame")
    if count == 1:
        require(0 <= position < len(frames[frame].payloads) and not frames[frame].goes_on, "no such payload")
        return frames[frame].payloads[position]
    pieces = frames[frame : frame + count]
    require(position == 0 and all(one.goes_on for one in pieces[:-1]) and not pieces[-1].goes_on, "pieces that do not go on")
    require(len(pieces[-1].payloads) == 1, "a last piece that is not alone")
    return b"".join(one.payloads[0] for one in pieces)


def places_of(frames: list[Frame]) -> list[tuple[int, int, int]]:
    """Frame, position and count of frames of each payload."""
    places, start = [], 0
    for i, frame in enumerate(frames):
        if not frame.goes_on:
            places += [(start, position, i - start + 1) for position in range(len(frame.payloads))]
            start = i + 1
    return places


@dataclass(frozen=True)
class ScopeKeys:
    """What comes from a scope's secret."""

    secret: bytes
    origin: str

    def _key(self, use: str) -> bytes:
        return hkdf(self.secret, b"", f"counterfoil/{use}/v1\0{self.origin}".encode(), 32)

    def salt(self, event_id: str, name: str, position: int, content: bytes) -> bytes:
        event = bytes.fromhex(event_id.replace("-", ""))
        return hmac(self._key("salt"), event, bytes([len(name)]), name.encode(), position.to_bytes(4, "big"), sha256(content))

    def content_key(self, content: bytes) -> bytes:
        return hmac(self._key("index"), sha256(content))


__all__ = ["Frame", "Keys", "Malformed", "ScopeKeys", "check_wrapped", "commitment", "open_segment", "payload_at", "places_of", "segment_scope", "slug", "unwrap"]
