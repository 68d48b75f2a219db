"""Verification in steps: docs/format.md §10, steps 1 to 6, for a log of which all entries are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .encoding import Malformed, encode_base64
from .entry import Entry, parse_entry
from .note import Checkpoint, Key, open_checkpoint
from .report import Report
from .sessions import Sessions
from .tree import leaf_hash, root_of

FORMAT = "counterfoil/v1"


@dataclass
class Evidence:
    """What a database or an archive shows of its log."""

    key: Key
    note: bytes | None
    entry: Callable[[int], bytes | None]
    """the bytes at an index, None where there are none"""
    extra: Iterable[int] = ()
    """indexes from the size on at which entries stand, in order"""
    remembered: list[bytes] = field(default_factory=list)


@dataclass
class Log:
    checkpoint: Checkpoint
    hashes: list[bytes]
    entries: list[Entry]
    """those that are of this format"""
    sessions: Sessions


def open_head(evidence: Evidence, report: Report) -> Checkpoint | None:
    """Step 1."""
    report.origin = evidence.key.name
    try:
        if evidence.note is None:
            raise Malformed("no checkpoint")
        checkpoint = open_checkpoint(evidence.note, evidence.key)
    except Malformed as error:
        report.bad("checkpoint", None, str(error))
        return None
    report.size = checkpoint.size
    return checkpoint


def verify_log(evidence: Evidence, checkpoint: Checkpoint, report: Report) -> Log:
    """Steps 2 to 6."""
    hashes: list[bytes] = []
    log = Log(checkpoint, hashes, [], Sessions(evidence.key.name, report))
    time = ""
    readable = True
    for index in range(checkpoint.size):
        data = evidence.entry(index)
        if data is None:
            report.bad("entries_missing", index, "no entry here")
            break
        hashes.append(leaf_hash(data))
        report.counts["entries"] += 1
        try:
            entry = parse_entry(data)
        except Malformed as error:
            report.bad("entry_malformed", index, str(error))
            readable = False
            continue
        if entry.index is not None and entry.index != index:
            report.bad("index", index, f"says index {entry.index}")
            readable = False
        if entry.newer_format:
            report.met_newer(index)
            continue
        report.counts["newer"] += entry.newer_words
        if not readable or report.newer_from is not None:
            continue
        _check_start(entry, index, evidence.key, report)
        if entry.recorded_at < time and entry.event_type != "clock":
            report.bad("time", index, "earlier than the entry before it")
        time = entry.recorded_at
        log.sessions.add(entry, index, hashes[-1])
        log.entries.append(entry)
    for index in evidence.extra:
        report.bad("entries_extra", index, "an entry after the signed end")
        break
    if len(hashes) == checkpoint.size and root_of(hashes) != checkpoint.root:
        report.bad("root", None, f"expected {encode_base64(checkpoint.root)}, got {encode_base64(root_of(hashes))}")
    _check_memory(evidence, log, report)
    report.incomplete += log.sessions.missing()
    return log


def _check_start(entry: Entry, index: int, key: Key, report: Report) -> None:
    if index == 0:
        facts = entry.facts
        if entry.event_type != "log_start" or (facts["format"], facts["origin"], facts["vkey"]) != (FORMAT, key.name, key.text):
            report.bad("log_start", 0, "begins another log")
    elif entry.event_type == "log_start":
        report.bad("log_start", index, "a second beginning")


def _check_memory(evidence: Evidence, log: Log, report: Report) -> None:
    """Step 2."""
    for note in evidence.remembered:
        try:
            seen = open_checkpoint(note, evidence.key)
        except Malformed as error:
            report.bad("remembered", None, str(error))
            continue
        if seen.size > log.checkpoint.size:
            report.bad("rolled_back", log.checkpoint.size, f"{seen.size} entries were seen before")
        elif seen.size <= len(log.hashes) and root_of(log.hashes[: seen.size]) != seen.root:
            report.bad("forked", None, f"the first {seen.size} entries were others before")
