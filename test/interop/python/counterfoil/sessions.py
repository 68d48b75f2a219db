"""Sessions, lists and approvals: docs/format.md §5 and steps 5 and 6 of §10."""

from __future__ import annotations

from dataclasses import dataclass, field

from .crypto import sha256
from .encoding import decode_base64, encode_base64
from .entry import Entry
from .report import Report
from .tree import leaf_hash, root_of

ENDS = ("session_end", "session_timeout")


def first_prev(origin: str, session: str) -> str:
    return encode_base64(sha256(b"counterfoil/session/v1\0", origin.encode(), b"\0", bytes.fromhex(session.replace("-", ""))))


@dataclass
class Session:
    prev: str
    seq: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    lists: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    streams: dict[str, set[int]] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)


class Sessions:
    def __init__(self, origin: str, report: Report) -> None:
        self.origin, self.report = origin, report
        self.by_id: dict[str, Session] = {}

    def add(self, entry: Entry, index: int, hash_: bytes) -> None:
        id_ = entry.session_id
        session = self.by_id.get(id_)
        if session is None:
            session = self.by_id[id_] = Session(first_prev(self.origin, id_))
        if entry.seq != session.seq:
            self.report.bad("seq", index, f"expected seq {session.seq}, got {entry.seq}")
        elif entry.prev != session.prev:
            self.report.bad("prev", index, "does not follow the entry before it in its session")
        self._payloads(session, entry, index)
        self._approval(session, entry, index)
        self._end(session, entry, index)
        session.entries[entry.seq] = entry
        session.hashes[encode_base64(hash_)] = entry.seq
        session.seq, session.prev = entry.seq + 1, encode_base64(hash_)
        if "stream" in entry.value:
            session.streams.setdefault(entry.stream, set()).add(entry.stream_seq)
            session.written[entry.stream] = index

    def missing(self) -> list[str]:
        """Sessions of which a stream has numbers below its highest that no entry has (§5.3)."""
        return [id_ for id_, one in self.by_id.items() if any(len(seqs) <= max(seqs) for seqs in one.streams.values())]

    def _follow(self, session: Session, name: str, seq: int) -> tuple[int, dict] | None:
        """The seq and slot that a same leads to."""
        while seq in session.entries:
            slot = session.entries[seq].payloads.get(name)
            if slot is None or "same" not in slot:
                return None if slot is None else (seq, slot)
            if slot["same"] >= seq:
                return None
            seq = slot["same"]
        return None

    def _payloads(self, session: Session, entry: Entry, index: int) -> None:
        for name, slot in entry.payloads.items():
            if "same" in slot:
                if slot["same"] >= entry.seq or self._follow(session, name, slot["same"]) is None:
                    self.report.bad("reference", index, f"{name}: the same of seq {slot['same']} leads nowhere")
            elif "add" in slot:
                self._list(session, entry, index, name, slot)

    def _list(self, session: Session, entry: Entry, index: int, name: str, slot: dict) -> None:
        before: list[str] = []
        if "base" in slot:
            found = self._follow(session, name, slot["base"]) if slot["base"] < entry.seq else None
            base = None if found is None else session.lists.get((found[0], name))
            if base is None or len(base) < slot["keep"]:
                self.report.bad("reference", index, f"{name}: no list of {slot['keep']} elements at seq {slot['base']}")
                return
            before = base[: slot["keep"]]
        elements = before + [ref["c"] for ref in slot["add"]]
        session.lists[entry.seq, name] = elements
        if slot["count"] != len(elements):
            self.report.bad("reference", index, f"{name}: the count is {slot['count']}, expected {len(elements)}")
        elif encode_base64(root_of([leaf_hash(decode_base64(c)) for c in elements])) != slot["root"]:
            self.report.bad("list_root", index, f"{name}: another root")

    def _approval(self, session: Session, entry: Entry, index: int) -> None:
        if entry.event_type == "approval_decision":
            seq = session.hashes.get(entry.facts["request"])
            if seq is None or session.entries[seq].event_type != "approval_request":
                self.report.bad("approval", index, "a decision without its request")
        if entry.event_type == "tool_call" and "approval" in entry.facts:
            why = self._unfit(session, entry)
            if why is not None:
                self.report.bad("approval", index, why)
            session.used.add(entry.facts["approval"])

    def _unfit(self, session: Session, call: Entry) -> str | None:
        decision = session.entries.get(call.facts["approval"])
        if decision is None or decision.event_type != "approval_decision" or decision.facts["decision"] != "approved":
            return "no decision `approved` at that seq"
        seq = session.hashes.get(decision.facts["request"])
        request = None if seq is None else session.entries[seq]
        if request is None or request.event_type != "approval_request":
            return "a decision without its request"
        if request.facts["tool_name"] != call.facts["tool_name"]:
            return "an approval of another tool"
        if request.facts.get("expires_at", "9") < call.recorded_at:
            return "the approval had expired"
        if call.payloads.get("tool_input") != {"same": seq}:
            return "another input than the approved one"
        return "a second call of one approval" if call.facts["approval"] in session.used else None

    def _end(self, session: Session, entry: Entry, index: int) -> None:
        if entry.event_type not in ENDS or "streams" not in entry.facts:
            return
        newest = sorted(session.written, key=lambda stream: session.written[stream])[-256:]
        if entry.facts["streams"] != {stream: max(session.streams[stream]) + 1 for stream in newest}:
            self.report.bad("stream_count", index, "the end counts other events")
