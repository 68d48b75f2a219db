"""Sessions, lists and approvals: docs/format.md §5 and steps 5 and 6 of §10."""

from __future__ import annotations

from dataclasses import dataclass, field

from .crypto import sha256
from .encoding import SAFE, canonical, decode_base64, encode_base64, is_int
from .entry import Entry
from .report import Report
from .tree import leaf_hash, root_of

ENDS = ("session_end", "session_timeout")


def first_prev(origin: str, session: str) -> str:
    return encode_base64(sha256(b"counterfoil/session/v1\0", origin.encode(), b"\0", bytes.fromhex(session.replace("-", ""))))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _met_by(quorum: object, answers: list[Entry]) -> int | None:
    """The seq of the decision `approved` that ends a request well; None when it is not ended so."""
    people: set[object] = set()
    for answer in answers:
        decision, approver = answer.facts.get("decision"), answer.facts.get("approver")
        if answer.value.get("outcome") == "failure":
            continue
        if decision in ("rejected", "expired"):
            return None
        if decision != "approved":
            continue
        if not is_int(quorum, 2):
            return answer.seq
        if isinstance(approver, str):
            people.add(approver)
            if len(people) == quorum:
                return answer.seq
    return None


def _mended(entry: Entry, prev: str) -> str:
    return encode_base64(leaf_hash(canonical({**entry.value, "prev": prev}).encode()))


@dataclass(frozen=True)
class _Broken:
    """Two neighbours that do not fit: `mended` is the hash of the second with the right `prev`."""

    before: int
    index: int
    mended: str


@dataclass
class Session:
    prev: str
    seq: int = 0
    last: int = -1
    broken: _Broken | None = None
    slots: dict[tuple[str, int], list[str] | None] = field(default_factory=dict)
    """by name and seq: the elements of a list, None of one payload"""
    slotted: int = 0
    decisions: dict[int, Entry] = field(default_factory=dict)
    requests: dict[str, Entry] = field(default_factory=dict)
    answers: dict[str, list[Entry]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    streams: dict[str, set[int]] = field(default_factory=dict)


class Sessions:
    def __init__(self, origin: str, report: Report) -> None:
        self.origin, self.report = origin, report
        self.by_id: dict[str, Session] = {}

    def add(self, entry: Entry, index: int, hash_: bytes) -> None:
        id_ = entry.session_id
        session = self.by_id.get(id_)
        if session is None:
            session = self.by_id[id_] = Session(first_prev(self.origin, id_))
        in_place = entry.seq == session.seq
        if not in_place:
            self.report.bad("seq", index, f"expected seq {session.seq}, got {entry.seq}")
        self.settle(id_, entry.prev)
        if entry.prev != session.prev:
            if session.last == -1 or not in_place:
                self.report.bad("prev", index, "does not follow the entry before it in its session")
            else:
                session.broken = _Broken(session.last, index, _mended(entry, session.prev))
        self._end(session, entry, index)
        self._payloads(session, entry, index)
        self._approval(session, entry, index, encode_base64(hash_))
        if "stream" in entry.value:
            session.streams.setdefault(entry.stream, set()).add(entry.stream_seq)
        session.seq, session.prev, session.last = entry.seq + 1, encode_base64(hash_), index

    def settle(self, id_: str, following: str | None) -> None:
        """Which of two neighbours was changed: when the hash that follows them is that of the second with the right `prev`, the second."""
        broken, self.by_id[id_].broken = self.by_id[id_].broken, None
        if broken is not None:
            at = broken.index if following == broken.mended else broken.before
            self.report.bad("prev", at, f"#{broken.index} does not follow #{broken.before} in its session")

    def missing(self) -> list[str]:
        """Sessions of which a stream has numbers below its highest that no entry has (§5.3)."""
        return [id_ for id_, one in self.by_id.items() if any(len(seqs) <= max(seqs) for seqs in one.streams.values())]

    def _end(self, session: Session, entry: Entry, index: int) -> None:
        streams = entry.facts.get("streams") if entry.event_type in ENDS else None
        for stream, count in streams.items() if isinstance(streams, dict) else ():
            if count != max(session.streams.get(stream, {-1})) + 1:
                self.report.bad("stream_count", index, f"the end counts {count} events of stream {stream}")

    def _payloads(self, session: Session, entry: Entry, index: int) -> None:
        if entry.seq < session.slotted:
            self.report.bad("reference", index, "a seq that the session had before")
            return
        found: dict[tuple[str, int], list[str] | None] = {}
        for name, slot in entry.payloads.items():
            if "same" in slot and (name, slot["same"]) in session.slots:
                found[name, entry.seq] = session.slots[name, slot["same"]]
            elif "same" in slot:
                self.report.bad("reference", index, f"{name}: the same of seq {slot['same']} leads nowhere")
                return
            elif "add" in slot:
                base = session.slots.get((name, slot["base"])) if "base" in slot else []
                if base is None or len(base) < slot.get("keep", 0):
                    self.report.bad("reference", index, f"{name}: no list of that length at seq {slot['base']}")
                    return
                found[name, entry.seq] = base[: slot.get("keep", 0)] + [ref["c"] for ref in slot["add"]]
            else:
                found[name, entry.seq] = None
        session.slots.update(found)
        session.slotted = entry.seq + 1
        for name, slot in entry.payloads.items():
            elements = found[name, entry.seq]
            if "add" in slot and elements is not None and encode_base64(root_of([leaf_hash(decode_base64(c)) for c in elements])) != slot["root"]:
                self.report.bad("list_root", index, f"{name}: another root")

    def _approval(self, session: Session, entry: Entry, index: int, hash_: str) -> None:
        if entry.event_type == "approval_request":
            session.requests[hash_] = entry
        if entry.event_type == "approval_decision":
            session.decisions[entry.seq] = entry
            session.answers.setdefault(_text(entry.facts.get("request")), []).append(entry)
            if _text(entry.facts.get("request")) not in session.requests:
                self.report.bad("approval", index, "a decision without its request")
        approval = entry.facts.get("approval")
        if entry.event_type != "tool_call" or not is_int(approval, -SAFE):
            return
        why = self._unfit(session, entry, approval)
        if why is not None:
            self.report.bad("approval", index, why)
        session.used.add(approval)

    def _unfit(self, session: Session, call: Entry, approval: int) -> str | None:
        decision = session.decisions.get(approval)
        if decision is None or decision.facts.get("decision") != "approved":
            return "no decision `approved` at that seq"
        request = session.requests.get(_text(decision.facts.get("request")))
        if request is None:
            return "a decision without its request"
        if approval != _met_by(request.facts.get("quorum"), session.answers[_text(decision.facts.get("request"))]):
            return "not the decision that met the quorum"
        tool = call.facts.get("tool_name")
        if isinstance(tool, (list, dict)) or request.facts.get("tool_name") != tool:
            return "an approval of another tool"
        expires = request.facts.get("expires_at")
        if isinstance(expires, str) and expires < call.recorded_at:
            return "the approval had expired"
        if call.payloads.get("tool_input") != {"same": request.seq}:
            return "another input than the approved one"
        return "a second call of one approval" if approval in session.used else None
