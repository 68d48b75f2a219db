"""The tree of RFC 6962 §2.1 (docs/format.md §2.2, §2.4, §2.5): roots, tiles, proofs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .crypto import sha256

EMPTY = sha256()
WIDTH = 256


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\0", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1", left, right)


def split(n: int) -> int:
    """The largest power of two below n, for n > 1."""
    return 1 << (n - 1).bit_length() - 1


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Pairs level by level, an odd one going up alone: the same tree as the recursion of the RFC."""
    if not hashes:
        return EMPTY
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
    return row[0]


def check_inclusion(index: int, size: int, leaf: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 §2.1.3.2."""
    if index >= size or any(len(one) != 32 for one in (leaf, root, *proof)):
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 §2.1.4.2; every tree is consistent with the empty one, by an empty proof."""
    if first > second or any(len(one) != 32 for one in (first_root, second_root, *proof)):
        return False
    if first == 0:
        return first_root == EMPTY and not proof
    if first == second:
        return first_root == second_root and not proof
    if not proof:
        return False
    path = ([first_root] if first & (first - 1) == 0 else []) + list(proof)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def tiles_of(leaves: Sequence[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
    """Every tile of the tree: level, number, and 1 to 256 hashes."""
    level, row = 0, list(leaves)
    while row:
        for n in range(0, len(row), WIDTH):
            yield level, n // WIDTH, row[n : n + WIDTH]
        row = [root_of(row[i : i + WIDTH]) for i in range(0, len(row) - WIDTH + 1, WIDTH)]
        level += 1


def path_number(n: int) -> str:
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.insert(0, f"x{n % 1000:03d}")
    return "/".join(groups)
