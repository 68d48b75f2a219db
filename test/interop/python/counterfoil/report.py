"""What a verification found: docs/format.md §10 and §11."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What is certain whatever an entry of a newer format says, and what is when it stands before the first of them (§11).
CERTAIN = {
    "checkpoint", "head_mismatch", "heads_extra", "remembered", "rolled_back", "forked", "key", "key_reign",
    "entries_missing", "entries_extra", "root", "tile", "tile_missing", "bundle", "tiles_extra", "entry_malformed", "index", "commitment",
}
CERTAIN_BEFORE = {"log_start", "key_rotation", "key_compromise", "time", "seq", "prev", "reference", "approval", "list_root", "stream_count"}
# What is wrong with the entries themselves: the property `unchanged`.
UNCHANGED = {
    "checkpoint", "head_mismatch", "entries_missing", "entries_extra", "root", "entry_malformed", "index", "log_start", "key_rotation", "key_compromise", "key_reign", "time",
    "seq", "prev", "reference", "approval", "list_root", "entry_extra",
}


@dataclass(frozen=True)
class Problem:
    code: str
    index: int | None
    says: str
    of_memory: bool = False


@dataclass
class Report:
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"entries": 0, "newer": 0, "payloads": 0, "erased": 0, "withheld": 0})
    newer_from: int | None = None
    size: int | None = None
    origin: str | None = None
    pinned: bool = False
    opened: bool = False
    keys: list[dict[str, object]] = field(default_factory=list)
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    """entries that rest on a key which was reported stolen: nothing failed, and nobody may say that they are the owner's (§2.7)"""
    leads: bool = True
    """whether the trusted key leads to the newest past no stolen one"""
    incomplete: list[str] = field(default_factory=list)

    def bad(self, code: str, index: int | None, says: str, of_memory: bool = False) -> None:
        before = code in CERTAIN_BEFORE and index is not None and self.newer_from is not None and index < self.newer_from
        if self.newer_from is None or code in CERTAIN or before:
            self.problems.append(Problem(code, index, says, of_memory))

    def say_keys(self, keys: list[dict[str, object]], doubtful: list[tuple[int, int]], leads: bool) -> None:
        self.keys, self.doubtful, self.leads = keys, doubtful, leads

    def met_newer(self, index: int) -> None:
        if self.newer_from is None:
            self.newer_from = index

    def first_changed(self) -> int | None:
        return min((one.index for one in self.problems if one.index is not None and one.code in UNCHANGED), default=None)

    def result(self) -> dict[str, Any]:
        problems = self.problems
        indexes = [one.index for one in problems if one.index is not None]
        newer = self.newer_from is not None and not problems
        whole = not problems and not newer
        return {
            "whole": whole,
            "first_bad_index": min(indexes, default=None),
            "codes": sorted({one.code for one in problems}),
            "newer_format": newer,
            "origin": self.origin,
            "size": self.size,
            "pinned": self.pinned,
            "content_opened": self.opened,
            "counts": self.counts,
            "keys": self.keys,
            "doubtful": self.doubtful,
            "whose": "unknown" if not self.pinned else "proved" if self.leads else "asserted",
            "incomplete": sorted(set(self.incomplete)),
            "problems": [{"code": one.code, "index": one.index, "says": one.says, **({"property": "not_truncated"} if one.of_memory else {})} for one in problems],
            "exit_code": 0 if whole else 2 if newer else 1,
        }
