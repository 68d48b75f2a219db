"""An archive as evidence: docs/format.md §13."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .crypto import sha256
from .encoding import SAFE, Malformed, decode_base64, require, utf8
from .entry import is_scope
from .erasures import check_ends, read_erasures, scopes_in_use
from .log import CannotRun, Evidence, Log, locate, read_key, read_log, states
from .report import Report
from .tree import WIDTH, path_number, tiles_of


TILE, BUNDLE, LIST, SEGMENT = 32 * WIDTH, WIDTH * (2 + 65_535), 32 << 20, 129 << 20


@dataclass(frozen=True)
class _Listed:
    id: int
    scope: str
    hash: bytes


def verify_archive(folder: Path, vkey: str | None) -> Report:
    return _Archive(folder).verify(vkey)


class _Archive:
    def __init__(self, folder: Path) -> None:
        self.folder, self.report = folder, Report()
        self.bundles: dict[int, list[bytes]] = {}
        self.faults: list[tuple[int, str]] = []
        """what is wrong with bundles beside missing entries"""
        self.size = 0

    def read(self, path: str, most: int) -> bytes | None:
        """A file's bytes, None where there is none; one that is longer than anything it could hold is not read."""
        try:
            with (self.folder / path).open("rb") as file:
                data = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        require(len(data) <= most, f"{path} is longer than {most} bytes")
        return data

    def part(self, prefix: str, n: int) -> str:
        """The path of part n of what lies under a name, as of this size."""
        width = min(WIDTH, self.size - n * WIDTH)
        return f"{prefix}/{path_number(n)}" + (f".p/{width}" if width < WIDTH else "")

    def verify(self, vkey: str | None) -> Report:
        report = self.report
        report.pinned = vkey is not None
        note = self.read("checkpoint", 1_000_000)
        if note is None:
            if not (self.folder / "tile").is_dir():
                raise CannotRun("the folder holds no archive")
            report.bad("checkpoint", 0, "no checkpoint")
            return report
        stated = states(note, report)
        if stated is None:
            return report
        self.size = stated.size
        key = read_key(vkey, self._entry(0), report)
        if key is None:
            return report
        evidence = Evidence(key, note, self._entry, self._following, lambda level, n: self.read(f"tile/{level}/{path_number(n)}", TILE))
        log = read_log(evidence, stated, report)
        if log is None:
            return report
        for index, says in self.faults:
            report.bad("bundle", index, says)
        self._partial_tiles(log)
        locate(log, report)
        self._segments(log)
        return report

    def _entry(self, index: int) -> bytes | None:
        bundle = self._bundle(index // WIDTH)
        return bundle[index % WIDTH] if index % WIDTH < len(bundle) else None

    def _following(self, index: int) -> int | None:
        for n in range(index // WIDTH, max(_numbers(self.folder / "tile/entries"), default=-1) + 1):
            found = max(index, n * WIDTH)
            if found - n * WIDTH < len(self._bundle(n)):
                return found
        return None

    def _bundle(self, n: int) -> list[bytes]:
        if n not in self.bundles:
            self.bundles[n] = self._read_bundle(n, min(WIDTH, self.size - n * WIDTH))
        return self.bundles[n]

    def _read_bundle(self, n: int, width: int) -> list[bytes]:
        data, entries, at = self.read(self.part("tile/entries", n), BUNDLE) if width > 0 else None, list[bytes](), 0
        if data is None:
            return []
        while len(entries) < width and at + 2 <= len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data):
                break
            entries.append(data[at + 2 : end])
            at = end
        if len(entries) < width or at < len(data):
            self.faults.append((n * WIDTH + min(len(entries), width - 1), f"bundle {n} is no bundle of {width} entries"))
        return entries

    def _partial_tiles(self, log: Log) -> None:
        """The full ones were compared while the tree was made."""
        leaves = log.leaves
        for level, n, hashes in tiles_of(leaves) if leaves is not None else ():
            if len(hashes) == WIDTH:
                continue
            name, expected = f"tile/{level}/{path_number(n)}.p/{len(hashes)}", b"".join(hashes)
            tile, first = self.read(name, TILE), n * WIDTH ** (level + 1)
            if tile is None:
                self.report.bad("tile_missing", first, name)
            elif tile != expected:
                differs = next((i for i in range(len(hashes)) if tile[32 * i : 32 * i + 32] != hashes[i]), len(hashes) - 1)
                self.report.bad("tile", first + differs * WIDTH**level, name)

    def _segments(self, log: Log) -> None:
        erasures, used = read_erasures(log.entries), scopes_in_use(log.entries)
        hashes: dict[str, dict[int, bytes]] = {}
        seen: dict[int, _Listed] = {}
        there: set[str] = set()
        last = max((entry.index for entry in log.entries), default=-1) // WIDTH
        for n in range(last + 1):
            own = scopes_in_use(entry for entry in log.entries if entry.index // WIDTH == n)
            lines = self._list(n)
            for one in lines or []:
                index = own.get(one.scope, n * WIDTH)
                if one.id not in seen:
                    data = self._segment(one, index, one.scope in used, one.scope in erasures.ordered)
                    if data is not None:
                        hashes.setdefault(one.scope[:36], {})[one.id] = sha256(data)
                        there.add(one.scope)
                elif seen[one.id] != one:
                    self.report.bad("segment_list", index, f"the lists say two things of segment {one.id}")
                seen[one.id] = one
            for scope, index in own.items() if lines is not None else ():
                if scope not in {one.scope for one in lines or []} and scope not in erasures.ordered:
                    self.report.bad("segment_list", index, f"list {n} names no segment of {scope}")
        gone = {scope for scope in erasures.ordered if scope in erasures.done or scope not in there}
        check_ends(log.entries, lambda session: [one for _, one in sorted(hashes.get(session, {}).items())], lambda session: any(scope.startswith(f"{session}/") for scope in gone), self.report)

    def _segment(self, one: _Listed, index: int, used: bool, ordered: bool) -> bytes | None:
        if not used:
            self.report.bad("segment_orphan", index, f"segment {one.id} is of {one.scope}, which the log does not use")
        try:
            data = self.read(f"segment/data/{path_number(one.id)}", SEGMENT)
        except Malformed as error:
            self.report.bad("segment", index, str(error))
            return None
        if data is None and not ordered:
            self.report.bad("segment_missing", index, f"segment {one.id}")
        if data is not None and sha256(data) != one.hash:
            self.report.bad("segment", index, f"segment {one.id} is another than was archived")
        return data

    def _list(self, n: int) -> list[_Listed] | None:
        try:
            data = self.read(self.part("segment/list", n), LIST)
            require(data is not None, "is not there")
            assert data is not None
            return _parse_list(utf8(data))
        except Malformed as error:
            self.report.bad("segment_list", n * WIDTH, f"list {n}: {error}")
            return None


def _numbers(folder: Path, before: str = "") -> list[int]:
    """The N of all files in a folder of tiles."""
    found: list[int] = []
    for path in folder.iterdir() if folder.is_dir() and len(before) < 18 else ():
        match = re.fullmatch(r"(x?)([0-9]{3})(\.p)?", path.name)
        if match is not None and match[1]:
            found += _numbers(path, before + match[2])
        elif match is not None:
            found.append(int(before + match[2]))
    return found


def _parse_list(text: str) -> list[_Listed]:
    require(text == "" or text.endswith("\n"), "no newline at its end")
    lines: list[_Listed] = []
    for line in text.split("\n")[:-1]:
        parts = line.split(" ")
        require(len(parts) == 3 and re.fullmatch("0|[1-9][0-9]{0,15}", parts[0]) and int(parts[0]) <= SAFE and is_scope(parts[1]), "a line of another form")
        one = _Listed(int(parts[0]), parts[1], decode_base64(parts[2], 32))
        require(not lines or lines[-1].id < one.id, "ids that do not ascend")
        lines.append(one)
    return lines
