"""A database file as evidence: docs/format.md §15, and the steps of §10 that its tables add."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .crypto import hmac, sha256
from .encoding import Malformed, decode_base64, parse_json, utf8
from .entry import Entry, parse_entry
from .erasures import Erasures, check_absence, check_ends, read_erasures, scopes_in_use
from .log import Evidence, Log, open_head, verify_log
from .note import parse_key
from .report import Report
from .tree import tiles_of
from .vault import Frame, Keys, ScopeKeys, commitment, open_segment, payload_at, segment_scope, slug, unwrap

Place = tuple[int, int, int, int]
GONE = " " * 10


class CannotRun(Exception):
    """What was given is no evidence that can be verified at all."""


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy, with what its write-ahead log still holds; the file itself is not touched."""
    wal = path.with_name(path.name + "-wal")
    if not wal.is_file() or wal.stat().st_size == 0:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            yield db
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "log.db")
        shutil.copyfile(path, copy)
        shutil.copyfile(wal, copy.with_name("log.db-wal"))
        with closing(sqlite3.connect(copy)) as db:
            yield db


def verify_database(path: Path, vkey: str | None, keys: Path | None) -> Report:
    with _opened(path) as db:
        db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            return _Database(db).verify(vkey, keys)
        except sqlite3.DatabaseError as error:
            raise CannotRun(f"no database of a log: {error}") from None


@dataclass
class _Scope:
    id: bytes
    session: str
    k: int
    generation: str
    wrapped: bytes
    keys: ScopeKeys | None = None

    @property
    def name(self) -> str:
        return f"{self.session}/{self.k}"

    @property
    def gone(self) -> bool:
        return self.generation == GONE


class _Database:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db, self.report = db, Report()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall()

    def verify(self, vkey: str | None, folder: Path | None) -> Report:
        report = self.report
        heads = self.rows("SELECT size, checkpoint FROM heads ORDER BY size DESC")
        if len(heads) > 1:
            report.bad("heads_extra", None, f"{len(heads)} checkpoints")
        note = heads[0][1].encode("utf-8", "surrogateescape") if heads else None
        keys = self._keys(folder, note)
        given = vkey or (keys and (keys.text("log.pub") or b"").decode().strip()) or None
        report.pinned = given is not None
        try:
            key = parse_key(given if given is not None else self._own_key())
        except Malformed as error:
            if given is not None:
                raise CannotRun(f"the key: {error}") from None
            report.bad("checkpoint", None, f"no key in the log: {error}")
            return report
        remembered = [one for one in (keys.text("head"), keys.text("proved")) if one is not None] if keys else []
        extra = (row[0] for row in self.db.execute("SELECT idx FROM entries WHERE idx >= ? OR idx < 0 ORDER BY idx", (heads[0][0] if heads else 0,)))
        evidence = Evidence(key, note, self._entry, extra, remembered)
        checkpoint = open_head(evidence, report)
        if checkpoint is None:
            return report
        if heads[0][0] != checkpoint.size:
            report.bad("head_mismatch", None, f"the row says size {heads[0][0]}")
            evidence.extra = (row[0] for row in self.db.execute("SELECT idx FROM entries WHERE idx >= ? OR idx < 0 ORDER BY idx", (checkpoint.size,)))
        log = verify_log(evidence, checkpoint, report)
        self._tiles(log)
        if report.newer_from is None:
            _Vault(self, log, keys).verify()
            self._sessions(log)
        self._integrity()
        return report

    def _keys(self, folder: Path | None, note: bytes | None) -> Keys | None:
        if folder is None or note is None:
            return None
        origin = note.split(b"\n", 1)[0].decode("utf-8", "replace")
        own = folder if (folder / "log.pub").is_file() else folder / slug(origin)
        return Keys(own, origin) if own.is_dir() else None

    def _own_key(self) -> str:
        data = self._entry(0)
        if data is None:
            raise Malformed("no entry 0")
        facts = parse_entry(data).value.get("facts")
        return facts.get("vkey", "") if isinstance(facts, dict) else ""

    def _entry(self, index: int) -> bytes | None:
        rows = self.rows("SELECT entry FROM entries WHERE idx = ?", index)
        return rows[0][0] if rows else None

    def _tiles(self, log: Log) -> None:
        if len(log.hashes) < log.checkpoint.size:
            return
        stored = {(level, n): hashes for level, n, hashes in self.rows("SELECT level, n, hashes FROM tiles")}
        for level, n, hashes in tiles_of(log.hashes):
            if len(hashes) < 256:
                continue
            tile = stored.pop((level, n), None)
            first = n * 256 ** (level + 1)
            if tile is None:
                self.report.bad("tile_missing", first, f"tile {level}/{n}")
            elif tile != b"".join(hashes):
                differs = next((i for i in range(256) if tile[32 * i : 32 * i + 32] != hashes[i]), 0)
                self.report.bad("tile", first + differs * 256**level, f"tile {level}/{n}")
        for level, n in stored:
            self.report.bad("tiles_extra", None, f"tile {level}/{n}")

    def _sessions(self, log: Log) -> None:
        """That each session has its row; what is in it is for this library alone."""
        rows = {row[0] for row in self.rows("SELECT session_id FROM sessions")}
        first = {entry.session_id: entry.index for entry in reversed(log.entries)}
        for session in first.keys() - rows:
            self.report.bad("session_missing", first[session], f"session {session} has no row")
        for session in rows - first.keys():
            self.report.bad("session_extra", None, f"a row of {session}")

    def _integrity(self) -> None:
        try:
            said = self.rows("PRAGMA integrity_check(1)")
        except sqlite3.DatabaseError as error:
            said = [(str(error),)]
        if said != [("ok",)]:
            self.report.bad("database", None, str(said[0][0]))


class _Vault:
    """Steps 7 to 9, over the tables of content."""

    def __init__(self, database: _Database, log: Log, keys: Keys | None) -> None:
        self.report, self.log, self.keys = database.report, log, keys
        self.origin = log.checkpoint.origin
        self.scopes = {row[0]: _Scope(*row) for row in database.rows("SELECT scope, session_id, k, generation, wrapped FROM scopes")}
        self.by_name = {scope.name: scope for scope in self.scopes.values()}
        self.segments: dict[int, tuple[bytes, bytes]] = {row[0]: (row[1], row[2]) for row in database.rows("SELECT segment, scope, bytes FROM segments ORDER BY segment")}
        self.places: dict[tuple[int, int], Place] = {row[:2]: row[2:] for row in database.rows("SELECT idx, ordinal, segment, frame, position, frames FROM places")}
        self.contents: dict[tuple[bytes, bytes], Place] = {row[:2]: row[2:] for row in database.rows("SELECT scope, key, segment, frame, position, frames FROM contents")}
        self.subjects = database.rows("SELECT scope, subject FROM subjects")
        self.frames: dict[int, list[Frame] | None] = {}
        self.erasures: Erasures = read_erasures(log.entries)

    def verify(self) -> None:
        used = scopes_in_use(self.log.entries)
        for scope in self.scopes.values():
            if scope.name not in used:
                self.report.bad("secret_extra", None, f"scope {scope.name}")
            if not scope.gone and scope.name in self.erasures.done:
                self.report.bad("not_erased", self.erasures.done[scope.name], f"scope {scope.name}")
        if self.keys is not None:
            self._open(self.keys)
        self._check_segments()
        self._check_places()
        check_absence(self.log.entries, self._is_there, self._has_secret, self.erasures, self.report)
        check_ends(self.log.entries, self._hashes_of, self._was_erased, self.report)
        if self.keys is not None:
            self._check_content(self.keys)

    def _has_secret(self, name: str) -> bool:
        scope = self.by_name.get(name)
        return scope is not None and not scope.gone

    def _is_there(self, entry: Entry, ordinal: int) -> bool:
        place = self.places.get((entry.index or 0, ordinal))
        segment = self.segments.get(place[0]) if place is not None else None
        return segment is not None and len(segment[1]) > 0 and self._has_secret(entry.refs[ordinal].scope)

    def _hashes_of(self, session: str) -> list[bytes]:
        own = {scope.id for scope in self.scopes.values() if scope.session == session}
        return [sha256(data) for scope, data in self.segments.values() if scope in own]

    def _was_erased(self, session: str) -> bool:
        return any(name.startswith(f"{session}/") for name in self.erasures.ordered)

    def _open(self, keys: Keys) -> None:
        for scope in self.scopes.values():
            if scope.gone:
                continue
            try:
                generation = int(scope.generation)
                kek = keys.secret(f"kek-{generation}", f"kek-{generation}")
                if kek is None:
                    raise Malformed(f"there is no kek-{generation}")
                scope.keys = ScopeKeys(unwrap(scope.wrapped, scope.id, generation, kek, self.origin), self.origin)
                self.report.opened = True
            except (Malformed, ValueError) as error:
                self.report.bad("secret", None, f"scope {scope.name}: {error}")

    def _check_segments(self) -> None:
        named = {place[0] for place in self.places.values()}
        for id_, (scope_id, data) in self.segments.items():
            scope = self.scopes.get(scope_id)
            if scope is None:
                self.report.bad("segment_orphan", None, f"segment {id_}")
                continue
            if len(data) == 0:
                if not scope.gone:
                    self.report.bad("segment", None, f"segment {id_} is empty")
                continue
            if id_ not in named:
                self.report.bad("segment_unnamed", None, f"segment {id_}")
            try:
                if scope.keys is not None:
                    self.frames[id_] = open_segment(data, scope_id, scope.keys.secret, self.origin)
                elif segment_scope(data) != scope_id:
                    raise Malformed("of another scope")
            except Malformed as error:
                self.frames[id_] = None
                self.report.bad("segment", None, f"segment {id_}: {error}")

    def _check_places(self) -> None:
        refs = {(entry.index, ref.ordinal): ref for entry in self.log.entries for ref in entry.refs}
        for at, place in self.places.items():
            ref = refs.get(at)  # type: ignore[arg-type]
            if ref is None:
                self.report.bad("place_extra", None, f"a place for {at}")
                continue
            segment = self.segments.get(place[0])
            scope = self.scopes.get(segment[0]) if segment is not None else None
            if segment is None or (scope is not None and scope.name != ref.scope):
                self.report.bad("place", at[0], f"{ref.slot}/{ref.position} leads into segment {place[0]}")

    def _check_content(self, keys: Keys) -> None:
        index: dict[tuple[bytes, bytes], set[Place]] = {}
        subjects: list[tuple[bytes, bytes]] = []
        fingerprint = keys.secret("fingerprint.key", "fingerprint")
        for entry in self.log.entries:
            for ref in entry.refs:
                place = self.places.get((entry.index or 0, ref.ordinal))
                scope = self.by_name.get(ref.scope)
                if place is None or scope is None or scope.keys is None or not self._is_there(entry, ref.ordinal):
                    continue
                frames = self.frames.get(place[0])
                if frames is None or self.segments[place[0]][0] != scope.id:
                    self.report.bad("damaged", entry.index, f"{ref.slot}/{ref.position}")
                    continue
                try:
                    content = payload_at(frames, *place[1:])
                except Malformed as error:
                    self.report.bad("damaged", entry.index, f"{ref.slot}/{ref.position}: {error}")
                    continue
                salt = scope.keys.salt(entry.event_id, ref.slot, ref.position, content)
                if commitment(salt, content) != decode_base64(ref.commitment):
                    self.report.bad("commitment", entry.index, f"{ref.slot}/{ref.position}")
                    continue
                index.setdefault((scope.id, scope.keys.content_key(content)), set()).add(place)
                subject = _subject(content) if entry.event_type == "session_start" and ref.slot == "identity" else None
                if subject is not None and fingerprint is not None:
                    row = (scope.id, hmac(fingerprint, b"subject\0", subject.encode()))
                    subjects.append(row)
                    if row not in self.subjects:
                        self.report.bad("subject", entry.index, "a person cannot be found")
        for at, places in index.items():
            if self.contents.get(at) not in places:
                self.report.bad("content_index", None, "content that the index does not have in its place")
        for at in self.contents.keys() - index.keys():
            self.report.bad("content_index", None, f"a row for no content of {at[0].hex()}")
        for scope_id, _ in [row for row in self.subjects if row not in subjects and row[1] != bytes(32)]:
            self.report.bad("subject_extra", None, f"a row of {scope_id.hex()}")


def _subject(content: bytes) -> str | None:
    try:
        value = parse_json(utf8(content))
    except Malformed:
        return None
    subject = value.get("subject") if isinstance(value, dict) else None
    return subject if isinstance(subject, str) else None
