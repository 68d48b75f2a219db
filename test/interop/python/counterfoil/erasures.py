"""What was ordered erased, and what is there: docs/format.md §9, and steps 7 and 9 of §10."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .encoding import SAFE, encode_base64, is_int
from .entry import Entry
from .report import Report
from .sessions import ENDS
from .tree import leaf_hash, root_of


@dataclass
class Erasures:
    """By scope: the entry that first ordered its erasure; and the scopes of which an erasure is done."""

    ordered: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


def read_erasures(entries: Iterable[Entry]) -> Erasures:
    """Only what the ledger wrote counts, whatever session it stands in."""
    erasures, scopes, done = Erasures(), dict[str, set[str]](), set[str]()
    for entry in entries:
        if entry.event_type != "erasure" or entry.writer != "ledger":
            continue
        name, phase = str(entry.facts.get("erasure")), entry.facts.get("phase")
        named = entry.facts.get("scopes")
        if phase == "done":
            done.add(name)
        elif phase == "ordered" and isinstance(named, list):
            for scope in named:
                erasures.ordered.setdefault(scope, entry.index)
                scopes.setdefault(name, set()).add(scope)
    for name in done:
        erasures.done |= scopes.get(name, set())
    return erasures


def scopes_in_use(entries: Iterable[Entry]) -> dict[str, int]:
    """Each scope that content is in, and the first entry that names it."""
    used: dict[str, int] = {}
    for entry in entries:
        for ref in entry.refs:
            used.setdefault(ref.scope, entry.index)
    return used


def check_ends(entries: Iterable[Entry], segments_of: Callable[[str], list[bytes]], erased: Callable[[str], bool], report: Report) -> None:
    """Each end states the segments that are there; `segments_of` a session gives their hashes by id (§5.5)."""
    for entry in entries:
        count, stated = entry.facts.get("segment_count"), entry.facts.get("segment_root")
        if entry.event_type not in ENDS or not is_int(count, -SAFE) or not isinstance(stated, str) or erased(entry.session_id):
            continue
        hashes = segments_of(entry.session_id)
        if len(hashes) < count or encode_base64(root_of([leaf_hash(one) for one in hashes[:count]])) != stated:
            report.bad("segment_root", entry.index, "the segments are not those that the end states")
