"""Which key of a log signs at which size: docs/format.md §2.6 and §2.7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .crypto import ed25519
from .encoding import Malformed, decode_base64, encode_base64, is_int, require
from .entry import Entry
from .note import LOG, Checkpoint, Key, parse_checkpoint, parse_key, parse_note, verified_by
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
    session: str | None = None
    """the ledger's own"""
    line: list[Reign] = field(default_factory=list)

    def begin(self, key: Key, session: str | None) -> None:
        self.line, self.session = [Reign(key, 0)], session

    def add(self, entry: Entry, index: int, root: Callable[[], bytes | None]) -> None:
        """`root` gives that of the entries before this one, None where not all are there."""
        if entry.writer != "ledger" or entry.session_id != self.session:
            return
        try:
            if entry.event_type == "key_rotation":
                self._rotate(entry, index, root)
            elif entry.event_type == "key_compromise":
                self._compromise(entry)
        except Malformed as error:
            self.report.bad(entry.event_type, index, str(error))

    def _rotate(self, entry: Entry, index: int, root: Callable[[], bytes | None]) -> None:
        facts = entry.facts
        require(is_int(facts.get("from_size")) and facts["from_size"] == index, "a rotation for another place")
        stated, key = decode_base64(facts.get("root"), 32), parse_key(facts.get("vkey"))
        actual = root()
        require(actual is None or actual == stated, "a rotation for other entries")
        require(key.type == LOG and key.name == self.origin, "a key of another log")
        require(all(key.text != one.key.text and key.id != one.key.id for one in self.line), "a key that the log had before")
        statement = f"counterfoil/key-rotation/v1\n{self.origin}\n{index}\n{encode_base64(stated)}\n{key.text}\n"
        require(ed25519(self.line[-1].key.public, statement.encode(), decode_base64(facts.get("signature"), 64)), "not signed by the key in force")
        self.line.append(Reign(key, index))

    def _compromise(self, entry: Entry) -> None:
        vkey, last_good = entry.facts.get("vkey"), entry.facts.get("last_good_size")
        at = next((i for i, one in enumerate(self.line[:-1]) if one.key.text == vkey), None)
        require(at is not None, "reports a key that was not retired")
        assert at is not None
        require(is_int(last_good) and last_good <= self.line[at + 1].start, "a size beyond the time of its key")
        one = self.line[at]
        one.last_good = last_good if one.last_good is None else min(one.last_good, last_good)

    def has(self, key: Key) -> bool:
        return any(one.key == key for one in self.line)

    def open(self, data: bytes, others: tuple[Key, ...] = ()) -> Checkpoint:
        """A checkpoint, by the key in force at its size; `OutOfTime` where another of the log's signed it."""
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        signed = verified_by(note, [*(one.key for one in self.line), *others])
        require(checkpoint.origin == self.origin, "a checkpoint of another log")
        require(len(signed) > 0, "not signed by a key of the log")
        if self.at(checkpoint.size) not in signed and not any(key in signed for key in others):
            raise OutOfTime(f"signed by another key than the one in force at size {checkpoint.size}")
        return checkpoint

    def at(self, size: int) -> Key:
        return [one.key for i, one in enumerate(self.line) if i == 0 or one.start < size][-1]

    def unproved(self, trusted: Key | None, size: int) -> list[tuple[int, int]]:
        """From and to which index entries rest on a key that was stolen, for whoever trusts a key; None: the first."""
        at = next((i for i, one in enumerate(self.line) if one.key == trusted), 0)
        found = []
        for i, one in enumerate(self.line[:-1]):
            if one.last_good is None:
                continue
            end = self.line[i + 1].start
            if i >= at:
                found.append((min(max(one.last_good, one.start), end), size))
            elif one.last_good < end:
                found.append((max(one.last_good, one.start), end))
        return _joined(found)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
