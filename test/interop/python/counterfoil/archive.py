"""An archive as evidence: docs/format.md §13."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .crypto import sha256
from .encoding import SAFE, Malformed, decode_base64, require, utf8
from .entry import is_scope, parse_entry
from .erasures import check_ends, read_erasures, scopes_in_use
from .log import Evidence, Log, open_head, verify_log
from .note import parse_key
from .report import Report
from .tree import WIDTH, path_number, tiles_of
from .vault import segment_scope

MOST = 256 * (2 + 65_535)


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
        self.size = 0

    def read(self, path: str) -> bytes | None:
        try:
            return (self.folder / path).read_bytes()
        except OSError:
            return None

    def partial(self, prefix: str, n: int) -> bytes | None:
        """Part n of the files under a name, as of this size; the full one where the partial is gone."""
        name = f"{prefix}/{path_number(n)}"
        width = min(WIDTH, self.size - n * WIDTH)
        return (self.read(f"{name}.p/{width}") if width < WIDTH else None) or self.read(name)

    def verify(self, vkey: str | None) -> Report:
        report = self.report
        report.pinned = vkey is not None
        note = self.read("checkpoint")
        self.size = _stated(note)
        try:
            key = parse_key(vkey if vkey is not None else self._own_key())
        except Malformed as error:
            report.bad("checkpoint", None, f"no key in the log: {error}")
            return report
        evidence = Evidence(key, note, self._entry)
        checkpoint = open_head(evidence, report)
        if checkpoint is None:
            return report
        log = verify_log(evidence, checkpoint, report)
        if len(log.hashes) == checkpoint.size:
            self._tiles(log)
            if report.newer_from is None:
                self._segments(log)
        return report

    def _own_key(self) -> str:
        data = self._entry(0)
        if data is None:
            raise Malformed("no entry 0")
        facts = parse_entry(data).value.get("facts")
        return facts.get("vkey", "") if isinstance(facts, dict) else ""

    def _entry(self, index: int) -> bytes | None:
        n = index // WIDTH
        if n not in self.bundles:
            self.bundles[n] = self._bundle(n)
        bundle = self.bundles[n]
        return bundle[index % WIDTH] if index % WIDTH < len(bundle) else None

    def _bundle(self, n: int) -> list[bytes]:
        data, entries, at = self.partial("tile/entries", n), list[bytes](), 0
        if data is None:
            return []
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if at + 2 > len(data) or end > len(data):
                self.report.bad("bundle", n * WIDTH + len(entries), f"bundle {n} is cut")
                break
            entries.append(data[at + 2 : end])
            at = end
        if len(entries) > WIDTH:
            self.report.bad("bundle", n * WIDTH, f"bundle {n} holds {len(entries)} entries")
        return entries

    def _tiles(self, log: Log) -> None:
        size = log.checkpoint.size
        for level, n, hashes in tiles_of(log.hashes):
            name = f"tile/{level}/{path_number(n)}"
            first = n * 256 ** (level + 1)
            tile = (self.read(f"{name}.p/{len(hashes)}") if len(hashes) < WIDTH else None) or self.read(name)
            expected = b"".join(hashes)
            if tile is None:
                self.report.bad("tile_missing", first, name)
            elif tile[: len(expected)] != expected or len(tile) not in (len(expected), 32 * WIDTH):
                differs = next((i for i in range(len(hashes)) if tile[32 * i : 32 * i + 32] != hashes[i]), 0)
                self.report.bad("tile", min(first + differs * 256**level, size - 1), name)

    def _segments(self, log: Log) -> None:
        erasures, used = read_erasures(log.entries), scopes_in_use(log.entries)
        listed: dict[int, _Listed] = {}
        for n in range((log.checkpoint.size + WIDTH - 1) // WIDTH):
            lines = self._list(n)
            listed.update({one.id: one for one in lines})
            there = {one.scope for one in lines}
            part = log.entries[n * WIDTH : (n + 1) * WIDTH]
            for scope, index in scopes_in_use(part).items():
                if scope in there:
                    continue
                if scope in erasures.ordered:
                    self.report.counts["erased"] += 1
                else:
                    self.report.bad("segment_list", index, f"list {n} names no segment of {scope}")
        ids: dict[str, bytes] = {}
        for one in sorted(listed.values(), key=lambda each: each.id):
            if one.scope not in used:
                self.report.bad("segment_unnamed", None, f"segment {one.id}")
                continue
            data = self.read(f"segment/data/{path_number(one.id)}")
            if data is None:
                if one.scope not in erasures.ordered:
                    self.report.bad("segment_missing", used[one.scope], f"segment {one.id}")
                continue
            try:
                require(sha256(data) == one.hash, "another hash than its list says")
                scope = segment_scope(data)
            except Malformed as error:
                self.report.bad("segment", used[one.scope], f"segment {one.id}: {error}")
                continue
            if ids.setdefault(one.scope, scope) != scope:
                self.report.bad("segment_scope", used[one.scope], f"segment {one.id}")

        def hashes_of(session: str) -> list[bytes]:
            return [one.hash for _, one in sorted(listed.items()) if one.scope.startswith(f"{session}/")]

        def erased(session: str) -> bool:
            return any(scope.startswith(f"{session}/") for scope in erasures.ordered)

        check_ends(log.entries, hashes_of, erased, self.report)

    def _list(self, n: int) -> list[_Listed]:
        data = self.partial("segment/list", n)
        try:
            require(data is not None, "is not there")
            assert data is not None
            return _parse_list(utf8(data))
        except Malformed as error:
            self.report.bad("segment_list", n * WIDTH, f"list {n}: {error}")
            return []


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


def _stated(note: bytes | None) -> int:
    """The size that an unopened checkpoint states: where to look for entry 0 when no key was given."""
    match = re.match(rb"[^\n]*\n([1-9][0-9]{0,15})\n", note or b"")
    return int(match[1]) if match else 0
