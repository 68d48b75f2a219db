"""Which key of a log signs at which size: docs/format.md §2.6 and §2.7."""

from __future__ import annotations

from dataclasses import dataclass, field

from .crypto import ed25519
from .encoding import Malformed, decode_base64, encode_base64, is_int, require
from .entry import Entry
from .note import LOG, Checkpoint, Key, Note, parse_checkpoint, parse_key, parse_note, verified_by
from .report import Report


class OutOfTime(Malformed):
    """A checkpoint that a key of the log signed at a size which is not its."""


@dataclass
class Reign:
    key: Key
    start: int
    """it signs sizes above this; for the first, all from 0"""
    last_good: int | None = None
    """reported stolen: from this index on"""


@dataclass
class Reigns:
    """The keys of a log in their order, as far as its entries were read."""

    origin: str
    report: Report
    line: list[Reign] = field(default_factory=list)
    session: str | None = None
    """the ledger's own; None where entry 0 names no first key: then what is of another key says nothing"""
    roots: list[tuple[int, bytes]] = field(default_factory=list)
    """where rotations stand that are right otherwise, and for which root"""

    def add(self, entry: Entry) -> None:
        if entry.event_type not in ("key_rotation", "key_compromise"):
            return
        why = self._rotate(entry) if entry.event_type == "key_rotation" else self._compromise(entry)
        if self.session is None:
            return
        if entry.writer != "ledger" or entry.session_id != self.session:
            why = "not in the ledger's own session, or by another writer"
        if why is not None:
            self.report.bad(entry.event_type, entry.index, why)
        elif entry.event_type == "key_rotation":
            self.roots.append((entry.index, decode_base64(entry.facts["root"])))

    def _rotate(self, entry: Entry) -> str | None:
        """What is wrong. A rotation of the ledger that names a new key of this log counts even so: what follows it was signed by that key."""
        try:
            key = parse_key(entry.facts.get("vkey"))
        except Malformed as error:
            return str(error)
        if key.type != LOG or key.name != self.origin:
            return "a key of another log"
        if any(key.id == one.key.id for one in self.line):
            return "a key, or the id of one, that the log had before"
        why = self._unsigned(entry, key)
        if entry.writer == "ledger" and (why is None or self.session is not None):
            self.line.append(Reign(key, entry.index))
        return why

    def _unsigned(self, entry: Entry, key: Key) -> str | None:
        facts = entry.facts
        try:
            require(is_int(facts.get("from_size")) and facts["from_size"] == entry.index, "a rotation for another place")
            root = encode_base64(decode_base64(facts.get("root"), 32))
            statement = f"counterfoil/key-rotation/v1\n{self.origin}\n{entry.index}\n{root}\n{key.text}\n"
            require(ed25519(self.line[-1].key.public, statement.encode(), decode_base64(facts.get("signature"), 64)), "not signed by the key in force")
        except Malformed as error:
            return str(error)
        return None

    def _compromise(self, entry: Entry) -> str | None:
        vkey, last_good = entry.facts.get("vkey"), entry.facts.get("last_good_size")
        at = next((i for i, one in enumerate(self.line[:-1]) if one.key.text == vkey), None)
        if at is None:
            return "reports a key that was not retired"
        if not is_int(last_good) or last_good > self.line[at + 1].start:
            return "a size beyond the time of its key"
        one = self.line[at]
        if entry.writer == "ledger":
            one.last_good = last_good if one.last_good is None else min(one.last_good, last_good)
        return None

    def has(self, key: Key) -> bool:
        return any(one.key == key for one in self.line)

    def open(self, data: bytes) -> Checkpoint:
        """A checkpoint, by the key in force at its size; `OutOfTime` where another of the log's signed it."""
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        require(checkpoint.origin == self.origin, "a checkpoint of another log")
        due = self.at(checkpoint.size)
        if due not in _signers(note, [due]):
            if any(one.key in _signers(note, [one.key]) for one in self.line):
                raise OutOfTime(f"signed by another key than the one in force at size {checkpoint.size}")
            raise Malformed("not signed by a key of the log")
        return checkpoint

    def at(self, size: int) -> Key:
        return [one.key for i, one in enumerate(self.line) if i == 0 or one.start < size][-1]

    def told(self) -> list[dict[str, object]]:
        """The keys, with the first and the last index of their time, and up to which size those reported stolen were good."""
        told: list[dict[str, object]] = []
        for i, one in enumerate(self.line):
            end = {} if i + 1 == len(self.line) else {"to": self.line[i + 1].start}
            told.append({"vkey": one.key.text, "from": one.start, **end, **({} if one.last_good is None else {"last_good_size": one.last_good})})
        return told

    def doubtful(self) -> list[tuple[int, int]]:
        """From and before which index entries rest on a key that was in somebody else's hands."""
        found = []
        for one, following in zip(self.line, self.line[1:]):
            since = following.start if one.last_good is None else max(one.start, one.last_good)
            if since < following.start:
                found.append((since, following.start))
        return found

    def leads(self, trusted: Key) -> bool:
        """Whether no key from the trusted one on was reported stolen: those after a stolen one are named by it alone."""
        at = next((i for i, one in enumerate(self.line) if one.key == trusted), 0)
        return all(one.last_good is None for one in self.line[at:])


def _signers(note: Note, keys: list[Key]) -> list[Key]:
    try:
        return verified_by(note, keys)
    except Malformed:
        return []
