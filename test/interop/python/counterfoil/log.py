"""Verification in steps: docs/format.md §10, steps 1 to 6, for a log of which all entries are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .encoding import Malformed, encode_base64, require
from .entry import Entry, parse_entry
from .note import LOG, Checkpoint, Key, parse_checkpoint, parse_key, parse_note
from .reigns import OutOfTime, Reign, Reigns
from .report import Report
from .sessions import Sessions
from .tree import WIDTH, leaf_hash, root_of, tiles_of

FORMAT = "counterfoil/v1"


class CannotRun(Exception):
    """What was given is no evidence that can be verified at all."""


@dataclass
class Evidence:
    """What a database or an archive shows of its log."""

    key: Key
    """the one that is trusted: given, else that of entry 0"""
    note: bytes
    entry: Callable[[int], bytes | None]
    """the bytes at an index, None where there are none"""
    following: Callable[[int], int | None]
    """the first index from one on at which there is an entry"""
    tile: Callable[[int, int], bytes | None]
    """the full tile of a level and a number"""
    remembered: list[bytes] = field(default_factory=list)
    own: list[Key] = field(default_factory=list)
    """this machine's keys of the log, the newest first, then those that it retired"""


@dataclass
class Log:
    checkpoint: Checkpoint
    hashes: dict[int, bytes]
    entries: list[Entry]
    """those that can be read"""
    sessions: Sessions
    reigns: Reigns
    retired: bool = False
    """it ends under keys that this machine has retired, or that it never had"""
    parted: bool = False
    """its keys lead from one of this machine's to another than there"""
    tile_leaf: int | None = None
    """the first leaf that is not that of its full tile"""
    untiled: int = 0
    """from here on no full tile says which entry was changed"""

    @property
    def leaves(self) -> list[bytes] | None:
        return list(self.hashes.values()) if len(self.hashes) == self.checkpoint.size else None


def states(note: bytes, report: Report) -> Checkpoint | None:
    """What a checkpoint states before anything of it is believed: the entries up to its size say which key has to have signed it."""
    try:
        return parse_checkpoint(parse_note(note).text)
    except Malformed as error:
        report.bad("checkpoint", 0, str(error))
        return None


def read_key(given: str | None, first: bytes | None, report: Report) -> Key | None:
    """The key that was given, else the one that entry 0 names: that says what the log claims, not whose it is."""
    if given is not None:
        try:
            return parse_key(given)
        except Malformed as error:
            raise CannotRun(f"the key: {error}") from None
    if first is None:
        report.bad("no_vkey", 0, "there is no entry 0")
        return None
    try:
        entry = parse_entry(first)
    except Malformed as error:
        report.bad("entry_malformed", 0, str(error))
        return None
    vkey = (entry.value.get("facts") or {}).get("vkey")
    if entry.newer_format:
        report.met_newer(0)
        return None
    if not isinstance(vkey, str):
        report.bad("no_vkey", 0, "entry 0 names no key")
        return None
    try:
        return parse_key(vkey)
    except Malformed as error:
        report.bad("checkpoint", None, f"the key in the log: {error}")
        return None


def read_log(evidence: Evidence, checkpoint: Checkpoint, report: Report) -> Log | None:
    """Steps 1 to 6, but where a change of the root lies: `locate`. None when the checkpoint does not open."""
    report.origin = evidence.key.name
    log = Log(checkpoint, {}, [], Sessions(evidence.key.name, report), Reigns(evidence.key.name, report, [Reign(evidence.key, 0)]))
    time, index = "", 0
    while index < checkpoint.size:
        data = evidence.entry(index)
        if data is None:
            report.bad("entries_missing", index, "no entry here")
            index = evidence.following(index) or checkpoint.size
            continue
        log.hashes[index] = leaf_hash(data)
        report.counts["entries"] += 1
        entry = read_entry(data, index, report)
        if entry is not None:
            if index == 0:
                _begin(entry, evidence.key.name, log.reigns, report)
            log.reigns.add(entry)
            if entry.recorded_at < time and entry.event_type != "clock":
                report.bad("time", index, "earlier than the entry before it")
            time = entry.recorded_at
            log.sessions.add(entry, index, log.hashes[index])
            log.entries.append(entry)
        index += 1
    if not _open_head(evidence, log, report):
        return None
    _check_rotations(log, report)
    _check_tiles(evidence, log, report)
    _check_memory(evidence, log, report)
    report.incomplete += log.sessions.missing()
    return log


def read_entry(data: bytes, index: int, report: Report) -> Entry | None:
    """Step 4 for one entry; None when it cannot be read on."""
    try:
        entry = parse_entry(data)
    except Malformed as error:
        report.bad("entry_malformed", index, str(error))
        return None
    if entry.newer_format:
        report.met_newer(index)
        return None
    if entry.index != index:
        report.bad("index", index, f"says index {entry.index}")
        entry.value["index"] = index
    report.counts["newer"] += entry.newer_words
    return entry


def locate(log: Log, report: Report, changed_last: int | None = None) -> None:
    """Step 3, its end: where the entries are not those of the signed root."""
    for session in log.sessions.by_id:
        log.sessions.settle(session, None)
    leaves = log.leaves
    if leaves is None or root_of(leaves) == log.checkpoint.root:
        return
    known = [at for at in (report.first_changed(), log.tile_leaf, changed_last, report.newer_from) if at is not None]
    report.bad("root", min(known, default=log.untiled), f"expected {encode_base64(log.checkpoint.root)}")


def _begin(entry: Entry, origin: str, reigns: Reigns, report: Report) -> None:
    """Entry 0 names the first key; where it does not, the trusted one takes its place."""
    key = first_key(entry, origin)
    if key is None:
        report.bad("log_start", 0, "begins another log")
    else:
        reigns.line, reigns.session = [Reign(key, 0)], entry.session_id


def first_key(entry: Entry, origin: str) -> Key | None:
    """The key that entry 0 names, if it begins the log."""
    if entry.event_type != "log_start" or (entry.facts.get("format"), entry.facts.get("origin")) != (FORMAT, origin):
        return None
    try:
        key = parse_key(entry.facts.get("vkey"))
    except Malformed:
        return None
    return key if key.type == LOG and key.name == origin else None


def _open_head(evidence: Evidence, log: Log, report: Report) -> bool:
    """Step 1, by the key that the entries say."""
    known = [one for one in log.reigns.line if one.key in evidence.own]
    if log.reigns.has(evidence.key) or (known and evidence.key in evidence.own):
        log.retired = bool(known) and not log.reigns.has(evidence.own[0])
        log.parted = log.retired and known[-1] is not log.reigns.line[-1]
    else:
        report.bad("log_start", 0, "begins under another key, and no rotation leads to the trusted one")
        log.reigns = Reigns(log.reigns.origin, report, [Reign(evidence.key, 0)])
    try:
        log.reigns.open(evidence.note)
    except Malformed as error:
        report.bad("key_reign" if isinstance(error, OutOfTime) else "checkpoint", None, str(error))
        return False
    report.size = log.checkpoint.size
    report.say_keys(log.reigns.told(), log.reigns.doubtful(), log.reigns.leads(evidence.key))
    return True


def _check_rotations(log: Log, report: Report) -> None:
    """Of a tree that is the signed one, the beginnings that rotations were signed for. (Another tree has other beginnings.)"""
    leaves = log.leaves
    if leaves is not None and root_of(leaves) == log.checkpoint.root:
        for index, root in log.reigns.roots:
            if root_of(leaves[:index]) != root:
                report.bad("key_rotation", index, "a rotation for other entries")


def _check_tiles(evidence: Evidence, log: Log, report: Report) -> None:
    """The full tiles over the entries from 0 on, as far as none is missing."""
    leaves = []
    while len(leaves) in log.hashes:
        leaves.append(log.hashes[len(leaves)])
    log.untiled = len(log.hashes) - len(log.hashes) % WIDTH
    for level, n, hashes in tiles_of(leaves):
        if len(hashes) < WIDTH:
            continue
        first = n * WIDTH ** (level + 1)
        try:
            tile = evidence.tile(level, n)
        except Malformed as error:
            report.bad("unreadable", first + WIDTH ** (level + 1) - 1, f"tile {level}/{n}: {error}")
            tile = None
        if tile is None:
            report.bad("tile_missing", first, f"tile {level}/{n}")
            log.untiled = min(log.untiled, first) if level == 0 else log.untiled
        elif tile != b"".join(hashes):
            differs = next((i for i in range(WIDTH) if tile[32 * i : 32 * i + 32] != hashes[i]), WIDTH)
            leaf = first + differs * WIDTH**level
            report.bad("tile", leaf, f"tile {level}/{n}")
            log.tile_leaf = leaf if level == 0 and log.tile_leaf is None else log.tile_leaf


def _check_memory(evidence: Evidence, log: Log, report: Report) -> None:
    """Step 2."""
    ahead = strayed = False
    for note in evidence.remembered:
        try:
            seen = _open_seen(note, evidence, log)
        except Malformed as error:
            report.bad("key_reign" if isinstance(error, OutOfTime) else "remembered", None, str(error), of_memory=True)
            continue
        leaves = log.leaves
        if seen.size > log.checkpoint.size:
            ahead = True
        elif leaves is not None and root_of(leaves[: seen.size]) != seen.root:
            strayed = True
    if strayed or log.parted:
        report.bad("forked", None, "entries, or keys, that are others than this machine's")
    elif ahead or log.retired:
        report.bad("rolled_back", log.checkpoint.size, "older than what this machine saw")


def _open_seen(note: bytes, evidence: Evidence, log: Log) -> Checkpoint:
    """One of a larger log, or from another side of a rotation, may be under a key that the entries here do not reach: then this machine's say whose it is."""
    try:
        return log.reigns.open(note)
    except Malformed as error:
        larger = parse_checkpoint(parse_note(note).text).size > log.checkpoint.size
        for key in [evidence.key, *evidence.own]:
            if (key == evidence.key and larger) or not log.reigns.has(key):
                try:
                    return Reigns(log.reigns.origin, log.reigns.report, [Reign(key, 0)]).open(note)
                except Malformed:
                    continue  # another of them
        raise error
