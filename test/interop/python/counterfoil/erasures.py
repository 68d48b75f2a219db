"""What was ordered erased, and what is there: docs/format.md §9, and steps 7 and 9 of §10."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .encoding import encode_base64
from .entry import Entry
from .report import Report
from .sessions import ENDS
from .tree import leaf_hash, root_of


@dataclass
class Erasures:
    """By scope: the entry that ordered its erasure; and the scopes whose erasure is done."""

    ordered: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)


def read_erasures(entries: Iterable[Entry]) -> Erasures:
    erasures, parts = Erasures(), dict[str, list[str]]()
    own: str | None = None
    for entry in entries:
        own = entry.session_id if entry.index == 0 else own
        if entry.event_type != "erasure" or entry.writer != "ledger" or entry.session_id != own:
            continue
        scopes = parts.setdefault(entry.facts["erasure"], [])
        if entry.facts["phase"] == "ordered":
            scopes += entry.facts.get("scopes", [])
            for scope in entry.facts.get("scopes", []):
                erasures.ordered.setdefault(scope, entry.index)
        elif entry.facts["phase"] == "done":
            for scope in scopes:
                erasures.done.setdefault(scope, entry.index)
    return erasures


def scopes_in_use(entries: Iterable[Entry]) -> dict[str, int]:
    """Each scope that content is in, and the first entry that names it."""
    used: dict[str, int] = {}
    for entry in entries:
        for ref in entry.refs:
            used.setdefault(ref.scope, entry.index)
    return used


def check_absence(entries: Iterable[Entry], there: Callable[[Entry, int], bool], secret: Callable[[str], bool], erasures: Erasures, report: Report) -> None:
    """Step 9: what is not there was erased, or is missing."""
    for entry in entries:
        for ref in entry.refs:
            if there(entry, ref.ordinal):
                report.counts["payloads"] += 1
            elif not secret(ref.scope) and ref.scope in erasures.ordered:
                report.counts["erased"] += 1
            else:
                report.bad("missing", entry.index, f"{ref.slot}/{ref.position} is not there, and nothing says that it was erased")


def check_ends(entries: Iterable[Entry], segments_of: Callable[[str], list[bytes]], erased: Callable[[str], bool], report: Report) -> None:
    """Each end states the segments that are there; `segments_of` a session gives their hashes by id (§5.5)."""
    for entry in entries:
        if entry.event_type not in ENDS or "segment_count" not in entry.facts or erased(entry.session_id):
            continue
        count, hashes = entry.facts["segment_count"], segments_of(entry.session_id)
        root = encode_base64(root_of([leaf_hash(one) for one in hashes[:count]]))
        if len(hashes) < count or root != entry.facts.get("segment_root"):
            report.bad("segment_root", entry.index, "the segments are not those that the end states")
