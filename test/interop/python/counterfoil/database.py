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
from .entry import Entry, Ref
from .erasures import Erasures, check_ends, read_erasures, scopes_in_use
from .log import CannotRun, Evidence, Log, locate, read_key, read_log, states
from .note import Key, parse_key
from .report import Report
from .vault import Frame, Keys, ScopeKeys, check_wrapped, commitment, open_segment, payload_at, places_of, segment_scope, slug, unwrap

Place = tuple[int, ...]
GONE = " " * 10


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy, with what its write-ahead log still holds; the file itself is not touched."""
    wal = path.with_name(path.name + "-wal")
    if _length(wal) == 0:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            yield db
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "log.db")
        shutil.copyfile(path, copy)
        shutil.copyfile(wal, copy.with_name("log.db-wal"))
        with closing(sqlite3.connect(copy)) as db:
            yield db


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # also where somebody who reads at the same time has just removed it
        return 0


def verify_database(path: Path, vkey: str | None, keys: Path | None) -> Report:
    with _opened(path) as db:
        db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        database = _Database(db)
        if not database.is_of_a_log():
            raise CannotRun("a database, and not one of a log")
        try:
            return database.verify(vkey, keys)
        except sqlite3.DatabaseError as error:
            database.report.bad("unreadable", None, str(error))
            return database.report


def read_keys(folder: Path, note: bytes) -> Keys:
    """A log's own folder of keys, or a state folder that has one for the log that the checkpoint names."""
    own = folder if (folder / "log.pub").is_file() else folder / slug(note.split(b"\n", 1)[0].decode("utf-8", "replace"))
    try:
        vkey = (own / "log.pub").read_text().removesuffix("\n")
        return Keys(own, vkey, parse_key(vkey).name)
    except (OSError, ValueError, Malformed):
        raise CannotRun(f"no keys of this log in {folder}") from None


def public_keys(keys: Keys) -> list[Key]:
    """The log's signing keys that this machine has, the newest first, then those that it retired."""
    names = ["log.pub", *sorted(path.name for path in keys.folder.glob("log-*.pub"))]
    try:
        return [parse_key(utf8(keys.text(name) or b"").removesuffix("\n")) for name in names]
    except Malformed as error:
        raise CannotRun(f"the public keys in {keys.folder}: {error}") from None


@dataclass
class _Scope:
    id: bytes
    session: str
    k: int
    generation: str
    wrapped: bytes
    keys: ScopeKeys | None = None
    opens: bool = True

    @property
    def name(self) -> str:
        return f"{self.session}/{self.k}"


class _Database:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db, self.report = db, Report()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self.db.execute(sql, values).fetchall()
        except UnicodeDecodeError:
            raise sqlite3.DatabaseError("damage that the engine cannot even name") from None

    def is_of_a_log(self) -> bool:
        try:
            tables = {row[0] for row in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            return {"heads", "entries", "tiles", "scopes", "segments", "places", "contents", "subjects", "sessions"} <= tables
        except sqlite3.DatabaseError:
            return False

    def verify(self, vkey: str | None, folder: Path | None) -> Report:
        report = self.report
        heads = self.rows("SELECT size, checkpoint FROM heads ORDER BY size DESC")
        if not heads:
            if not self.rows("SELECT 1 FROM entries LIMIT 1"):
                raise CannotRun("the database holds no log")
            report.bad("checkpoint", 0, "entries, and no checkpoint")
            return report
        note = heads[0][1].encode("utf-8", "surrogateescape")
        keys = read_keys(folder, note) if folder is not None else None
        given = vkey if vkey is not None else keys.vkey if keys is not None else None
        report.pinned = given is not None
        stated = states(note, report)
        key = read_key(given, self._entry(0), report) if stated is not None else None
        if stated is None or key is None:
            return report
        remembered = [one for one in (keys.text("head"), keys.text("proved")) if one is not None] if keys else []
        own = public_keys(keys) if keys is not None and vkey is None else []
        evidence = Evidence(key, note, self._entry, self._following, self._tile, remembered, own)
        log = read_log(evidence, stated, report)
        if log is None:
            return report
        if heads[0][0] != stated.size:
            report.bad("head_mismatch", min(heads[0][0], stated.size), f"the row says size {heads[0][0]}")
        self._extra(stated.size, len(heads))
        changed_last = self._sessions(log)
        locate(log, report, changed_last)
        _Vault(self, log, keys).verify()
        return report

    def _entry(self, index: int) -> bytes | None:
        rows = self.rows("SELECT entry FROM entries WHERE idx = ?", index)
        return rows[0][0] if rows else None

    def _following(self, index: int) -> int | None:
        return self.rows("SELECT min(idx) FROM entries WHERE idx >= ?", index)[0][0]

    def _tile(self, level: int, n: int) -> bytes | None:
        rows = self.rows("SELECT hashes FROM tiles WHERE level = ? AND n = ?", level, n)
        return rows[0][0] if rows else None

    def _extra(self, size: int, heads: int) -> None:
        """Rows that the log's size leaves no room for, and what the database finds wrong with itself."""
        entries, tiles = self.rows("SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM tiles)")[0]
        if entries > size or self._following(size) is not None:
            self.report.bad("entries_extra", size, "entries after the signed end")
        room, full = 0, size // 256
        while full > 0:
            room, full = room + full, full // 256
        if tiles > room:
            self.report.bad("tiles_extra", None, f"{tiles} tiles, expected {room}")
        if heads > 1:
            self.report.bad("heads_extra", None, f"{heads} checkpoints")
        try:
            said = self.rows("PRAGMA integrity_check(1)")
        except sqlite3.DatabaseError as error:
            said = [(str(error),)]
        if said != [("ok",)]:
            self.report.bad("database", None, str(said[0][0]))

    def _sessions(self, log: Log) -> int | None:
        """Session rows: that there is one for each. The first session whose last entry is not the one that its row knows, where no tile tells."""
        left, changed = dict(log.sessions.by_id), list[int]()
        for id_, summary in self.rows("SELECT session_id, summary FROM sessions"):
            session = left.pop(id_, None)
            if session is None:
                self.report.bad("session_extra", None, f"a row of {id_}")
                continue
            row = _json(summary.encode("utf-8", "surrogateescape"))
            same = isinstance(row, dict) and row.get("next_seq") == session.seq
            prev = row.get("prev") if same else None
            log.sessions.settle(id_, prev)
            if prev is not None and prev != session.prev:
                self.report.bad("session_row", session.last, "names another last entry")
                changed += [session.last] if session.last >= log.untiled else []
        for id_, session in left.items():
            self.report.bad("session_missing", session.last, f"session {id_} has no row")
        return min(changed, default=None)


@dataclass
class _Named:
    """What entries say of one segment: the first that names it, its scope, and each place with the key of its content where it was opened."""

    first: int
    scope: str
    places: dict[Place, bytes | None]


class _Vault:
    """Steps 7 to 9, over the tables of content."""

    def __init__(self, database: _Database, log: Log, keys: Keys | None) -> None:
        self.report, self.log, self.keys = database.report, log, keys
        self.origin = log.checkpoint.origin
        rows = database.rows
        self.scopes = {row[0]: _Scope(*row) for row in rows("SELECT scope, session_id, k, generation, wrapped FROM scopes WHERE generation <> ?", GONE)}
        self.by_name = {scope.name: scope for scope in self.scopes.values()}
        self.segments: dict[int, tuple[bytes, bytes]] = {row[0]: (row[1], row[2]) for row in rows("SELECT segment, scope, bytes FROM segments WHERE length(bytes) > 0 ORDER BY segment")}
        self.places: dict[tuple[int, int], tuple[int, Place]] = {row[:2]: (row[2], row[3:]) for row in rows("SELECT idx, ordinal, segment, frame, position, frames FROM places ORDER BY idx, ordinal")}
        self.contents = rows("SELECT scope, key, segment, frame, position, frames FROM contents")
        self.subjects = rows("SELECT scope, subject FROM subjects WHERE subject <> zeroblob(32)")
        self.frames: dict[int, list[Frame]] = {}
        self.named: dict[int, _Named] = {}
        self.masked = 0
        """persons of whom the content does not say who they are"""
        self.used = scopes_in_use(log.entries)
        self.erasures: Erasures = read_erasures(log.entries)

    def verify(self) -> None:
        for scope in self.scopes.values():
            self._open_scope(scope)
        for id_, (scope_id, data) in self.segments.items():
            scope_of = self.scopes.get(scope_id)
            if scope_of is not None and scope_of.keys is not None:
                try:
                    self.frames[id_] = open_segment(data, scope_id, scope_of.keys.secret, self.origin)
                except Malformed:
                    pass
        people = self._follow()
        for id_ in self.segments:
            self._check_segment(id_)
        for id_, named in self.named.items():
            if id_ not in self.segments:
                self.report.bad("place", named.first, f"segment {id_} is not there")
        self._check_contents()
        if self.keys is not None:
            self._check_people(people)
        self._check_scopes()
        check_ends(self.log.entries, self._hashes_of, self._was_erased, self.report)

    def _open_scope(self, scope: _Scope) -> None:
        try:
            generation = int(scope.generation)
            check_wrapped(scope.wrapped, scope.id, generation)
            if self.keys is not None:
                kek = self.keys.secret(f"kek-{generation}", f"kek-{generation}")
                if kek is None:
                    raise Malformed(f"there is no kek-{generation}")
                scope.keys = ScopeKeys(unwrap(scope.wrapped, scope.id, generation, kek, self.origin), self.origin)
                self.report.opened = True
        except (Malformed, ValueError) as error:
            scope.opens = False
            self.report.bad("secret", self.used.get(scope.name), f"scope {scope.name}: {error}")

    def _follow(self) -> dict[tuple[str, bytes], int]:
        """Each own ref: its place, and with keys its content. Gives who is on record, by scope."""
        people: dict[tuple[str, bytes], int] = {}
        try:
            fingerprint = self.keys.secret("fingerprint.key", "fingerprint") if self.keys is not None else None
        except Malformed as error:
            raise CannotRun(f"the keys: {error}") from None
        left = dict(self.places)
        for entry in self.log.entries:
            for ref in entry.refs:
                at = left.pop((entry.index, ref.ordinal), None)
                content = self._content(entry, ref, at) if self.keys is not None else None
                scope = self.by_name.get(ref.scope)
                key = scope.keys.content_key(content) if content is not None and scope is not None and scope.keys is not None else None
                if at is not None:
                    named = self.named.setdefault(at[0], _Named(entry.index, ref.scope, {}))
                    named.places[at[1]] = key
                    if named.scope != ref.scope:
                        self.report.bad("place", entry.index, f"{ref.slot}/{ref.position} is in a segment of another scope")
                if content is None or fingerprint is None or entry.event_type not in ("session_start", "subject") or ref.slot != "identity":
                    continue
                for person in _persons(content):
                    if "masked" in entry.payloads["identity"]:
                        self.masked += 1
                    else:
                        people[ref.scope, hmac(fingerprint, b"subject\0", person.encode())] = entry.index
        read = {entry.index for entry in self.log.entries}
        for index, ordinal in left:
            self.report.bad("place_extra", index if index in read else None, f"a place for payload {ordinal} of #{index}")
        return people

    def _content(self, entry: Entry, ref: Ref, at: tuple[int, Place] | None) -> bytes | None:
        """Steps 7 and 9 for one ref."""
        report, what = self.report, f"{ref.slot}/{ref.position}"
        scope = self.by_name.get(ref.scope)
        if scope is None:
            if ref.scope in self.erasures.ordered:
                report.counts["erased"] += 1
            else:
                report.bad("missing", entry.index, f"{what} is not there, and nothing says that it was erased")
            return None
        if scope.keys is None:
            report.bad("damaged", entry.index, what)
            return None
        if at is None or at[0] not in self.segments:
            report.bad("missing", entry.index, f"{what} is not there, though its secret is")
            return None
        try:
            if at[0] not in self.frames or self.segments[at[0]][0] != scope.id:
                raise Malformed("its segment does not open")
            content = payload_at(self.frames[at[0]], *at[1])
        except Malformed as error:
            report.bad("damaged", entry.index, f"{what}: {error}")
            return None
        if commitment(scope.keys.salt(entry.event_id, ref.slot, ref.position, content), content) != decode_base64(ref.commitment):
            report.bad("commitment", entry.index, what)
        else:
            report.counts["payloads"] += 1
        return content

    def _check_segment(self, id_: int) -> None:
        scope_id, data = self.segments[id_]
        scope, named = self.scopes.get(scope_id), self.named.get(id_)
        first = named.first if named is not None else None
        if scope is None:
            self.report.bad("segment_orphan", first, f"segment {id_}")
            return
        if named is None:
            self.report.bad("segment_unnamed", None, f"segment {id_}")
            return
        if named.scope != scope.name:
            self.report.bad("segment_scope", first, f"segment {id_}")
        try:
            if segment_scope(data) != scope_id or (scope.keys is not None and id_ not in self.frames):
                raise Malformed("does not open")
        except Malformed as error:
            self.report.bad("segment", first, f"segment {id_}: {error}")
            return
        if any(place not in named.places for place in places_of(self.frames.get(id_, []))):
            self.report.bad("segment_unnamed", None, f"segment {id_} holds content that no entry names")

    def _check_contents(self) -> None:
        """One row for each content, under its key: every named place has one."""
        left = {(id_, place): key for id_, named in self.named.items() for place, key in named.places.items()}
        for scope_id, key, segment, *place in self.contents:
            at, scope = (segment, tuple(place)), self.scopes.get(scope_id)
            expected = left.pop(at, key) if at in left and scope is not None and scope.name == self.named[segment].scope else b""
            if expected is not None and expected != key:
                self.report.bad("content_index", None, f"a row of segment {segment}")
        if left:
            self.report.bad("content_index", None, f"{len(left)} contents have no row")

    def _check_people(self, people: dict[tuple[str, bytes], int]) -> None:
        for (name, subject), index in people.items():
            scope = self.by_name.get(name)
            if scope is None or (scope.id, subject) not in self.subjects:
                self.report.bad("subject", index, "a person cannot be found")
        if len(self.subjects) > len(people) + self.masked:
            self.report.bad("subject_extra", None, f"{len(self.subjects)} rows, expected {len(people) + self.masked}")

    def _check_scopes(self) -> None:
        for scope in self.scopes.values():
            if scope.name not in self.used:
                self.report.bad("secret_extra", None, f"scope {scope.name}")
            if scope.name in self.erasures.done:
                self.report.bad("not_erased", self.erasures.ordered[scope.name], f"scope {scope.name}")
        for name, index in self.used.items() if self.keys is None else ():
            if name not in self.by_name and name not in self.erasures.ordered:
                self.report.bad("missing", index, f"scope {name}")

    def _hashes_of(self, session: str) -> list[bytes]:
        own = {scope.id for scope in self.scopes.values() if scope.session == session}
        return [sha256(data) for scope, data in self.segments.values() if scope in own]

    def _was_erased(self, session: str) -> bool:
        return any(name.startswith(f"{session}/") and name not in self.by_name for name in self.erasures.ordered)


def _json(data: bytes) -> Any:
    try:
        return parse_json(utf8(data))
    except Malformed:
        return None


def _persons(identity: bytes) -> list[str]:
    value = _json(identity)
    if not isinstance(value, dict):
        return []
    several = value.get("subjects")
    return [one for one in [*(several if isinstance(several, list) else []), value.get("subject")] if isinstance(one, str)]
