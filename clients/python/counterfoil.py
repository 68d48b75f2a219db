"""Counterfoil's client for Python: the classic audit class, its events sent to a Counterfoil server.

One file, standard library only, Python 3.9 and later: copy it beside your agent.

    from counterfoil import AgentAuditTrail      # was: from agent_audit import AgentAuditTrail
    trail = AgentAuditTrail("agent_audit.db", "support-bot", "claude-opus-4-6", system_prompt)
    trail.log_llm_call(messages, response_text, tool_calls, {"input": 812, "output": 40}, step=1)
    trail.log_tool_call("lookup_order", {"order_id": "1182"}, {"status": "returned"}, step=1)
    approval = trail.ask("pay", {"amount": 42}, risk="high")        # people decide elsewhere
    if trail.wait(approval):
        trail.act(approval, lambda tool_input: bank.pay(**tool_input))
    trail.close()

The server is $COUNTERFOIL_URL and the key $COUNTERFOIL_KEY, or `url=` and `key=`. Events are written to a file in `<db_path>.outbox/` before a call
returns, and sent by a thread: the server or the network may be away, and the process may be killed. What is left is sent by the next process that uses
the same folder. Recording never raises for what it is given: an audit trail must not break the agent. Asking and acting do: what nobody approved must not happen.

What a file of the outbox holds: a line of JSON an event, as it is sent. Ids are given when an event is recorded, so sending twice adds nothing.
"""

from __future__ import annotations

import atexit
import dataclasses
import errno
import gzip
import hashlib
import http.client
import io
import ipaddress
import json
import math
import os
import random
import re
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import weakref
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Optional, Tuple

__all__ = ["AgentAuditTrail", "Approval", "ApprovalDenied", "CounterfoilError", "Refused", "SessionStopped"]
__version__ = "0.1.0"

MAX_OUTBOX_BYTES = 1024 * 1024 * 1024
"""The most that waits in one process's file. At this bound nothing is accepted, as on a full disk."""
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""An event larger than this as JSON has its large texts cut, with their length and hash in their place."""
KEPT_CHARACTERS = 64 * 1024
MAX_DEPTH = 64
MAX_SAFE_INTEGER = 2**53 - 1
BATCH_EVENTS = 500
BATCH_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
REQUEST_SECONDS = 60
EXIT_SECONDS = 5
ADOPT_SECONDS = 15
OFFER_SECONDS = 300
"""How often what the server refused from this key is offered again."""
POLL_SECONDS = 20
PATIENCE_SECONDS = 30
LATE_SECONDS = 60
"""How long after its expiry the server, when it is away, is still asked what became of a request."""
LONGEST_WAIT_SECONDS = 30
ROWS_KEPT = 10_000

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}\Z")
HEADER = "counterfoil outbox 1"


class CounterfoilError(RuntimeError):
    """What cannot go on; the message ends with what to do."""


class Refused(CounterfoilError):
    """The server does not take it, and the act must not happen. `code` says why: `approval_used`, `approval_expired`, …"""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ApprovalDenied(CounterfoilError):
    """Nobody approved the act, and it did not happen."""

    def __init__(self, approval: "Approval") -> None:
        by = "" if approval.approver_id is None else f" by {approval.approver_id}"
        said = "" if approval.comment is None else f" ({approval.comment})"
        super().__init__(f"counterfoil: {approval.tool_name} is {approval.state}{by}{said} and does not run; " + ("wait for the answer" if approval.state == "open" else "ask again only when what was objected to is changed"))
        self.approval = approval


class SessionStopped(CounterfoilError):
    """A person stopped the session: no act follows."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"counterfoil: session {session_id} was stopped by a person; begin a new session for what is still to be done")
        self.session_id = session_id


class Approval:
    """A question to people, on record, about one act with one input. `state` is `open`, `approved`, `rejected` or `expired`, as it was known last."""

    def __init__(self, approval_id: str, tool_name: str, text: str) -> None:
        self.approval_id = approval_id
        self.tool_name = tool_name
        self._text = text
        self.state = "open"
        self.expires_at: Optional[str] = None
        self.approver_id: Optional[str] = None
        self.comment: Optional[str] = None

    @property
    def tool_input(self) -> Any:
        """A copy of what was asked about: whatever became of the caller's object since, the act has this."""
        return json.loads(self._text)

    def _follow(self, answer: Any) -> bool:
        state = answer.get("state") if isinstance(answer, dict) else None
        if state not in ("open", "approved", "rejected", "expired"):
            return False
        self.state, self.expires_at = state, answer.get("expires_at")
        for decision in answer.get("decisions") or []:
            if isinstance(decision, dict) and decision.get("event_id") == answer.get("decision"):
                self.approver_id, self.comment = decision.get("approver_id"), decision.get("comment")
        return True


class AgentAuditTrail:
    """One session of one agent. Thread-safe. `with AgentAuditTrail(…) as trail:` closes it."""

    def __init__(
        self,
        db_path: str = "agent_audit.db",
        agent_id: Optional[str] = "agent",
        model_id: Optional[str] = "unknown",
        system_prompt: Optional[str] = "",
        *,
        url: Optional[str] = None,
        key: Optional[str] = None,
        outbox: Optional[str] = None,
        report: Optional[Callable[[str], None]] = None,
        session_id: Optional[str] = None,
    ) -> None:
        """
        `db_path` is not a database any more: the outbox lies beside it. `report` is told of failures, once per cause; default: a line on stderr.
        `session_id` takes up the session that another process began.
        """
        if session_id is not None and not UUID.match(session_id):
            raise CounterfoilError(f"counterfoil: expected session_id to be that of a trail, got {session_id!r}; leave it out to begin a session")
        prompt = system_prompt or ""
        agent, odd_agent = _label(str(agent_id if agent_id is not None else "agent"))
        self._model, self._odd_model = _label(str(model_id if model_id is not None else "unknown"))
        self.agent_id = agent
        self.session_id = session_id or _uuid7()
        self.system_prompt_hash = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
        self._model_id = str(model_id if model_id is not None else "unknown")
        self._lock = threading.Lock()
        self._stream = os.urandom(16).hex()
        self._stream_seq = 0
        self._pid = os.getpid()
        self._closed = False
        self._rows: List[Dict[str, Any]] = []
        self._rows_left = 0
        self._resumed = session_id is not None
        self._found: set = set()
        self._stop = threading.Event()
        self._watch: Optional[threading.Thread] = None
        _trails.add(self)
        self._outbox = _outbox_for(_url_of(url), _key_of(key), outbox or f"{os.fspath(db_path)}.outbox", report)
        if session_id is not None:
            self._record("session_resume", {"reason": "resumed"})
            return
        tags = {name: odd for name, odd in (("agent_id", odd_agent), ("model_id", self._odd_model)) if odd is not None}
        start = {"agent_id": agent, "model_id": self._model, "source": f"counterfoil-python/{__version__}"}
        self._record("session_start", {**start, **({"system_prompt": prompt} if prompt else {}), **({"tags": tags} if tags else {})})

    # ------------------------------------------------------------------------------------------------ the classic methods

    def log(self, event_type: str, content: Any, step_number: Optional[int] = None) -> str:
        """An event of any name; returns its id. A type of Counterfoil's where the content is plainly one, else `custom`."""
        name = str(event_type)
        safe = _json_value(content)
        kind, fields = _own_type(name, safe)
        event_id = self._record(kind, fields, step_number)
        self._row(event_id, name, safe, step_number)
        return event_id

    def log_llm_call(self, messages: Any, response_text: Any, tool_calls: Any = None, tokens: Any = None, step: Optional[int] = None) -> str:
        """A model call that has happened; returns its id."""
        sent = _json_value(messages if messages is not None else [])
        asked = _json_value(tool_calls if tool_calls is not None else [])
        text = None if response_text is None else response_text if isinstance(response_text, str) else json.dumps(_json_value(response_text))
        counts = _counts(tokens)
        odd = {} if self._odd_model is None else {"model_name": self._odd_model}
        call = {"provider": "unknown", "model_id": self._model, "input_messages": sent if isinstance(sent, list) else [sent], "capture": "after", **odd}
        with self._lock:
            event_id = self._record_locked("llm_call", call, step)
            self._record_locked("llm_result", {"outcome": "success", "tool_calls_requested": asked, "parent_event_id": event_id, **({} if text is None else {"output_text": text}), **counts}, step)
        self._row(event_id, "llm_call", {"input_messages": sent, "output_text": text, "tool_calls_requested": asked, "input_tokens": counts.get("input_tokens"), "output_tokens": counts.get("output_tokens")}, step)
        return event_id

    def log_tool_call(self, tool_name: Any, tool_input: Any, tool_output: Any, error: Any = None, step: Optional[int] = None) -> str:
        """A tool call that has happened; `error` is its message, None when it succeeded. Returns its id."""
        name, odd = _label(str(tool_name))
        given, got = _json_value(tool_input), _json_value(tool_output)
        failed = None if error is None else str(error)
        names = {} if odd is None else {"names": {"tool_name": odd}}
        # null on the wire is a field that is not there: an input of None is an empty one
        call = {"tool_name": name, "tool_input": {} if given is None else given, "capture": "after", **names}
        result = {"tool_name": name, "outcome": "success" if failed is None else "failure", **({} if got is None else {"tool_output": got}), **({} if failed is None else {"error": failed})}
        with self._lock:
            event_id = self._record_locked("tool_call", call, step)
            self._record_locked("tool_result", {**result, "parent_event_id": event_id}, step)
        self._row(event_id, "tool_call", {"tool_name": str(tool_name), "tool_input": given, "tool_output": got, "error": failed}, step)
        return event_id

    def get_session_trail(self) -> List[Dict[str, Any]]:
        """The session's rows, oldest first, with the columns of the classic table: as the server has them where the key may read, else as they were recorded here."""
        self.flush()
        rows = self._outbox.read_rows(self.session_id)
        if rows is not None:
            return rows
        if self._rows_left > 0:
            self._outbox.report("rows", f"get_session_trail: the key may not read, and of this session {self._rows_left} older rows are not kept here; read it with a key that may")
        with self._lock:
            return [dict(row) for row in self._rows]

    # ----------------------------------------------------------------------------------------------- people who decide

    def ask(
        self,
        tool_name: str,
        tool_input: Any,
        *,
        risk: Optional[str] = None,
        quorum: int = 1,
        expires: float = 600.0,
        summary: Optional[str] = None,
        reasoning: Optional[List[str]] = None,
        step: Optional[int] = None,
        timeout: float = PATIENCE_SECONDS,
    ) -> Approval:
        """
        Puts an act before `quorum` people, who have `expires` seconds. The question is on record when this returns; raises where it is not, within `timeout`
        seconds of a server that is away. In a session that was taken up, the same question that was asked before is found again, and nobody is asked twice.
        """
        name, odd = _label(tool_name if isinstance(tool_name, str) else "")
        if odd is not None or name != tool_name:
            raise CounterfoilError(f"counterfoil: expected tool_name to be a name of letters, digits and . _ : / + -, got {tool_name!r}; give the tool one")
        text = _approvable(tool_input)
        end = time.monotonic() + timeout
        question: Dict[str, Any] = {
            "session_id": self.session_id, "tool_name": name, "tool_input": json.loads(text), "quorum": quorum, "expires_at": _time(time.time() + expires), **_step(step),
            **{each: value for each, value in (("risk", risk), ("summary", summary), ("reasoning", reasoning)) if value is not None},
        }
        if not self._outbox.delivered(timeout):
            raise CounterfoilError(f"counterfoil: nobody was asked about {name}: the events before it are not at the server after {timeout} seconds; ask again when it is back")
        for reuse in (True, False) if self._resumed else (False,):
            body = {**question, "approval_id": _uuid7(), **({"reuse": True} if reuse else {})}
            status, answer = self._outbox.request("POST", "/v1/approvals", body, end)
            approval = Approval(str(answer.get("approval_id")) if isinstance(answer, dict) else "", name, text)
            if status not in (200, 201) or not approval._follow(answer):
                raise self._refused(answer, f"nobody was asked about {name}")
            with self._lock:
                known = approval.approval_id in self._found
                self._found.add(approval.approval_id)
            if not known:
                break
        return approval

    def wait(self, approval: Approval, timeout: Optional[float] = None) -> bool:
        """Whether people approved: when they answered, when nobody did in time, or after `timeout` seconds. Raises SessionStopped when a person stopped the session."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        failures = 0
        while approval.state == "open":
            left = end - time.monotonic()
            try:
                status, answer = self._outbox.ask("GET", f"/v1/approvals/{approval.approval_id}?wait={int(max(0.0, min(left, POLL_SECONDS)))}")
            except _Later as later:
                failures += 1
                if approval.expires_at is not None and time.time() > _seconds(approval.expires_at) + LATE_SECONDS:
                    approval.state = "expired"
                    break
                if left <= 0:
                    break
                time.sleep(min(max(left, 0.0), later.wait(failures)))
                continue
            if status != 200 or not approval._follow(answer):
                raise self._refused(answer, f"the request {approval.approval_id} cannot be looked at")
            failures = 0
            if left <= 0:
                break
        if approval.state == "rejected" and self._look_for_stop():
            raise SessionStopped(self.session_id)
        return approval.state == "approved"

    def act(self, approval: Approval, run: Callable[[Any], Any], *, step: Optional[int] = None, timeout: float = PATIENCE_SECONDS) -> Any:
        """
        Runs `run(tool_input)` with the input that was approved, once, and returns what it returns; the call is on record before, its result after. Raises
        without running it: ApprovalDenied where nobody approved, SessionStopped, Refused where the log refuses (used, expired), CounterfoilError where the
        server does not say within `timeout` seconds that it is on record.
        """
        if self._stop.is_set():
            raise SessionStopped(self.session_id)
        if approval.state != "approved":
            raise ApprovalDenied(approval)
        name = approval.tool_name
        with self._lock:
            event_id = self._record_locked("tool_call", {"tool_name": name, "approval_id": approval.approval_id}, step, wanted=True)
        receipt = self._outbox.receipt(event_id, timeout)
        if receipt is None or "refused" in receipt:
            error = (
                CounterfoilError(f"counterfoil: {name} did not run: the server does not say that the call is on record; ask again when it is back")
                if receipt is None
                else self._refused(receipt["refused"], f"{name} did not run")
            )
            self._record("tool_result", {"tool_name": name, "outcome": "denied", "error": str(error), "parent_event_id": event_id}, step)
            raise error
        began = time.monotonic()
        ended: Dict[str, Any] = {"outcome": "unknown"}
        try:
            output = run(approval.tool_input)
            got = _json_value(output)
            ended = {"outcome": "success", **({} if got is None else {"tool_output": got})}
            return output
        except BaseException as error:
            ended = {"outcome": "failure" if isinstance(error, Exception) else "unknown", "error": _text(error) or type(error).__name__}
            raise
        finally:
            self._record("tool_result", {"tool_name": name, "execution_time_ms": round((time.monotonic() - began) * 1000), "parent_event_id": event_id, **ended}, step)
            self._row(event_id, "tool_call", {"tool_name": name, "tool_input": approval.tool_input, "tool_output": ended.get("tool_output"), "error": ended.get("error")}, step)

    @property
    def stopped(self) -> threading.Event:
        """Set within a second or so of a stop by a person; from the first look on a thread asks the server. What acts without `act` looks here first."""
        with self._lock:
            if not self._closed and not self._stop.is_set() and (self._watch is None or not self._watch.is_alive()):
                self._watch = threading.Thread(target=_watch_for_stop, args=(weakref.ref(self), self._outbox, self.session_id), name="counterfoil-stop", daemon=True)
                try:
                    self._watch.start()
                except RuntimeError:  # the interpreter is ending
                    self._watch = None
        return self._stop

    def _look_for_stop(self) -> bool:
        try:
            status, answer = self._outbox.ask("GET", f"/v1/sessions/{self.session_id}/interventions")
        except _Later:
            return self._stop.is_set()
        if status == 200 and _is_stop(answer):
            self._stop.set()
        return self._stop.is_set()

    def _refused(self, problem: Any, what: str) -> CounterfoilError:
        """The error that a refusal or a problem of the server is."""
        problem = problem if isinstance(problem, dict) else {}
        code = str(problem.get("code", "no_answer"))
        if code == "session_stopped":
            self._stop.set()
            return SessionStopped(self.session_id)
        says = problem.get("message") or problem.get("detail") or f"what answers at {self._outbox.url} is no counterfoil server"
        return Refused(code, f"counterfoil: {what}: {says}; {problem.get('next') or 'look at COUNTERFOIL_URL'}")

    # --------------------------------------------------------------------------------------------------------- the ends

    @property
    def refused(self) -> int:
        """Events of this process that the server does not take from this key, and that are set aside: they are offered again every 5 minutes, and by the next process."""
        return self._outbox.refused

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits until all that this process recorded is on record at the server. False when it is not after `timeout` seconds: it is kept, and sent later."""
        return self._outbox.flush(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Ends the session, once, and sends what it can in `timeout` seconds. What is left is sent by the next process."""
        with self._lock:
            if not self._closed:
                self._record_locked("session_end", {"outcome": "success"}, None)
                self._closed = True
        if not self.flush(timeout) and self._outbox.waits():
            self._outbox.report("left", f"some events are not at the server yet; they are kept in {self._outbox.folder} and sent by the next process that uses it")

    def __enter__(self) -> "AgentAuditTrail":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------- recording

    def _record(self, event_type: str, fields: Dict[str, Any], step: Any = None) -> str:
        with self._lock:
            return self._record_locked(event_type, fields, step)

    def _record_locked(self, event_type: str, fields: Dict[str, Any], step: Any, wanted: bool = False) -> str:
        if self._pid != os.getpid():  # a fork goes on with a stream of its own: two of one name would each look incomplete
            self._pid, self._stream, self._stream_seq = os.getpid(), os.urandom(16).hex(), 0
        event_id = _uuid7()
        event = {
            "event_type": event_type, "session_id": self.session_id, "event_id": event_id, "stream": self._stream, "stream_seq": self._stream_seq,
            "timestamp": _now(), **_step(step), **fields,
        }
        self._stream_seq += 1  # also where it cannot be accepted: then the log shows that one is missing
        self._outbox.put(_line(event), event_id if wanted else None)
        return event_id

    def _row(self, event_id: str, event_type: str, content: Any, step: Any) -> None:
        now = _now()
        row = {
            "event_id": event_id, "session_id": self.session_id, "agent_id": self.agent_id, "timestamp": now, "event_type": event_type, "step_number": _step(step).get("step_number", 0),
            "content": json.dumps(content), "model_id": self._model_id, "system_prompt_hash": self.system_prompt_hash, "created_at": now,
        }
        with self._lock:
            self._rows.append(row)
            if len(self._rows) > ROWS_KEPT:
                del self._rows[0]
                self._rows_left += 1


# ------------------------------------------------------------------------------------------------------------- what is sent


def _own_type(name: str, content: Any) -> Tuple[str, Dict[str, Any]]:
    """A server refuses what does not fit a type of its own, so only what plainly does is sent as one."""
    if isinstance(content, dict):
        texts = {each for each, value in content.items() if isinstance(value, str)}
        if name == "reasoning" and set(content) == {"text"} == texts:
            return "reasoning", content
        if name == "final_output" and set(content) == {"output"} == texts:
            return "final_output", content
        if name == "error" and set(content) == {"error"} == texts:
            return "error", content
    label, odd = _label(name)
    return "custom", {"name": label, "content": content if odd is None else {"name": name, "content": content}}


def _label(text: str) -> Tuple[str, Optional[str]]:
    return (text, None) if LABEL.match(text) else ("other", text)


def _approvable(value: Any) -> str:
    """`value` as JSON that reads alike everywhere: what people are asked about must be what runs."""
    try:
        text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        json.loads(text, parse_int=_safe_int)
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise CounterfoilError(f"counterfoil: expected tool_input to be JSON with whole numbers up to 2**53 - 1, got what is not ({error}); give larger ones, and other objects, as text") from None


def _safe_int(text: str) -> int:
    number = int(text)
    if abs(number) > MAX_SAFE_INTEGER:
        raise ValueError(f"{text[:40]} is another number in other languages")
    return number


def _step(step: Any) -> Dict[str, int]:
    try:
        number = round(float(step))
    except (TypeError, ValueError, OverflowError):
        return {}
    return {"step_number": number} if 0 <= number <= MAX_SAFE_INTEGER else {}


def _counts(tokens: Any) -> Dict[str, Any]:
    """Counts as counts; numbers that are none beside them as they were given."""
    if not isinstance(tokens, dict):
        return {} if tokens is None else {"usage": _json_value(tokens)}
    counts: Dict[str, Any] = {}
    exact = True
    for name, field in (("input", "input_tokens"), ("output", "output_tokens")):
        given = tokens.get(name)
        if given is None:
            continue
        number = _step(given).get("step_number")
        exact = exact and number == given
        if number is not None:
            counts[field] = number
    return counts if exact and set(tokens) <= {"input", "output"} else {**counts, "usage": _json_value(tokens)}


def _json_value(value: Any, depth: int = 0, above: Tuple[int, ...] = ()) -> Any:
    """`value` as JSON can say it, without loss where that can be: what it has no word for becomes text. Never raises."""
    try:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)  # an enum of texts has another str()
        if isinstance(value, int):
            # beyond this a reader in another language would make another number of it
            return int(value) if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"bytes": bytes(value).hex()}
        if id(value) in above:
            return "[circular]"
        if depth >= MAX_DEPTH:
            return _text(value)
        within = (*above, id(value))
        if isinstance(value, dict):
            return {key if isinstance(key, str) else _text(key): _json_value(item, depth + 1, within) for key, item in list(value.items())}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_json_value(item, depth + 1, within) for item in list(value)]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: _json_value(getattr(value, field.name), depth + 1, within) for field in dataclasses.fields(value)}
        for method in ("model_dump", "to_dict", "dict"):  # what the providers' SDKs give back
            dump = getattr(value, method, None)
            if callable(dump) and not isinstance(value, type):
                return _json_value(dump(), depth + 1, within)
        if isinstance(value, datetime):
            return value.isoformat()
    except Exception:  # noqa: BLE001 - somebody else's object may raise anything when it is asked for itself
        pass
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)[:KEPT_CHARACTERS]
    except Exception:  # noqa: BLE001
        return f"[{type(value).__name__}]"


def _line(event: Dict[str, Any]) -> bytes:
    # ASCII: a lone surrogate has no UTF-8, and an escape in JSON
    line = json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(line) <= MAX_EVENT_BYTES:
        return line
    cut = json.dumps(_cut(event), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(cut) <= MAX_EVENT_BYTES:
        return cut
    kept = {name: event[name] for name in ("event_type", "session_id", "event_id", "stream", "stream_seq", "timestamp", "step_number", "parent_event_id") if name in event}
    content = {"event_type": event["event_type"], "cut": {"characters": len(line), "sha256": hashlib.sha256(line).hexdigest(), "begins": line[:KEPT_CHARACTERS].decode("ascii")}}
    return json.dumps({**kept, "event_type": "custom", "name": "too_large", "content": content}, separators=(",", ":")).encode("ascii")


def _cut(value: Any) -> Any:
    """Large texts cut: what they began with, how long they were and their SHA-256 in hex, in one text."""
    if isinstance(value, str) and len(value) > KEPT_CHARACTERS:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{value[:KEPT_CHARACTERS]}… [cut: {len(value)} characters, sha256 {digest}]"
    if isinstance(value, dict):
        return {name: _cut(item) for name, item in value.items()}
    return [_cut(item) for item in value] if isinstance(value, list) else value


def _uuid7() -> str:
    """A UUIDv7: the time, and 74 random bits."""
    bits = int(time.time() * 1000) << 80 | 0x7 << 76 | _random_bits(12) << 64 | 0x2 << 62 | _random_bits(62)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _random_bits(count: int) -> int:
    return int.from_bytes(os.urandom(8), "big") >> (64 - count)


def _now() -> str:
    return _time(time.time())


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _seconds(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError):
        return math.inf


def _is_stop(answer: Any) -> bool:
    items = answer.get("items") if isinstance(answer, dict) else None
    return isinstance(items, list) and any(isinstance(item, dict) and item.get("kind") == "stop" for item in items)


def _watch_for_stop(trail: "weakref.ref[AgentAuditTrail]", outbox: "_Outbox", session_id: str) -> None:
    """Asks what people did to the session, until somebody stopped it, it was closed, or nobody holds it any more."""
    failures, after = 0, -1
    while True:
        own = trail()
        if own is None or own._closed or own._stop.is_set() or own._pid != os.getpid():
            return
        del own
        wait = 1.0
        try:
            status, answer = outbox.ask("GET", f"/v1/sessions/{session_id}/interventions?wait={POLL_SECONDS}&after={after}")
            if status == 200 and isinstance(answer, dict):
                failures, wait = 0, 0.0
                own = trail()
                if own is not None and _is_stop(answer):
                    own._stop.set()
                del own
                if isinstance(answer.get("next"), int) and answer["next"] >= after:
                    after = answer["next"]
                else:
                    wait = LONGEST_WAIT_SECONDS
            elif status != 404:  # the session's beginning may still be on its way
                wait = LONGEST_WAIT_SECONDS
                outbox.report(f"stop {status}", f"whether somebody stops the session cannot be seen: the server answers {status}")
        except _Later as later:
            failures += 1
            wait = later.wait(failures)
        time.sleep(wait)


def _url_of(url: Optional[str]) -> str:
    given = url or os.environ.get("COUNTERFOIL_URL", "")
    parts = urllib.parse.urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise CounterfoilError(f"counterfoil: expected the URL of a server, got {given!r}; set COUNTERFOIL_URL, for example https://audit.example.com")
    if parts.scheme == "http" and not _is_loopback(parts.hostname) and os.environ.get("COUNTERFOIL_INSECURE") != "1":
        raise CounterfoilError(f"counterfoil: {given} would send the key and what is recorded in the clear; use https, or set COUNTERFOIL_INSECURE=1 where the network itself is private")
    return given.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key_of(key: Optional[str]) -> str:
    given = (key or os.environ.get("COUNTERFOIL_KEY", "")).strip()
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", given):
        raise CounterfoilError("counterfoil: expected a key of the server; set COUNTERFOIL_KEY to the one that an admin gave out")  # what was given may be a secret
    return given


# ---------------------------------------------------------------------------------------------------------------- the outbox


class _File:
    """One process's file of the outbox: its lines, and how far they are sent. Whoever holds its lock may send it."""

    def __init__(self, path: str, fd: int, offset: int = 0) -> None:
        self.path = path
        self.fd = fd
        self.offset = offset
        self.size = os.fstat(fd).st_size
        self.synced = self.size

    @staticmethod
    def make(folder: str) -> "_File":
        path = os.path.join(folder, f"{int(time.time() * 1000):013x}-{os.getpid()}-{os.urandom(4).hex()}.jsonl")
        # Locked before it has its name: another process would take a file without a lock for one that was left.
        hidden = path if os.name == "nt" else f"{path}.new"
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        _lock_file(fd)
        if hidden != path:
            os.rename(hidden, path)
        return _File(path, fd)

    @staticmethod
    def adopt(path: str) -> Optional["_File"]:
        """The file of a process that is gone; None while it lives, or when somebody else was faster."""
        try:
            fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        if not _lock_file(fd) or not _is_at(path, fd):
            os.close(fd)
            return None
        try:
            with open(f"{path}.sent", "r", encoding="ascii") as sent:
                offset = int(sent.read(20))
        except (OSError, ValueError):
            offset = 0
        size = os.fstat(fd).st_size
        return _File(path, fd, offset if 0 <= offset <= size else 0)

    def append(self, line: bytes) -> None:
        """Written when this returns, so that it survives the process; OSError when it is not, and then nothing of it is."""
        whole = line + b"\n"
        view = memoryview(whole)
        try:
            at = self.size
            while view:
                count = _write_at(self.fd, view, at)
                view, at = view[count:], at + count
        except OSError:
            os.ftruncate(self.fd, self.size)
            raise
        self.size += len(whole)

    def sync(self) -> None:
        if self.synced != self.size:
            size = self.size
            os.fsync(self.fd)
            self.synced = size

    def batch(self, end: int) -> Tuple[List[bytes], int]:
        """Whole lines from `offset` to at most `end`, and where they end. A last line without its end was never accepted."""
        lines: List[bytes] = []
        at = self.offset
        room = BATCH_BYTES
        while at < end and len(lines) < BATCH_EVENTS and room > 0:
            chunk = _read_at(self.fd, min(end - at, max(room, 64 * 1024)), at)
            cut = chunk.rfind(b"\n")
            if cut < 0 and len(chunk) < end - at:
                chunk = _read_at(self.fd, min(end - at, 4 * MAX_EVENT_BYTES), at)
                cut = chunk.find(b"\n")
            if cut < 0:
                return lines, (end if not lines else at)
            for line in chunk[: cut + 1].split(b"\n")[:-1]:
                if len(lines) == BATCH_EVENTS or (room < len(line) and lines):
                    return lines, at
                lines.append(line)
                at += len(line) + 1
                room -= len(line) + 1
        return lines, at

    def sent(self, offset: int) -> None:
        self.offset = offset
        with open(f"{self.path}.sent", "w", encoding="ascii") as file:
            file.write(str(offset))

    def restart(self) -> None:
        """Everything is sent: begins again at 0. The offset first; killed in between, what was sent is sent again, which adds nothing."""
        self.sent(0)
        os.ftruncate(self.fd, 0)
        self.size = self.synced = 0

    def remove(self) -> None:
        for path in (self.path, f"{self.path}.sent"):
            try:
                os.unlink(path)
            except OSError:
                pass
        os.close(self.fd)


class _Outbox:
    """All that this process sends to one server: a file to append to, a thread that sends."""

    def __init__(self, url: str, key: str, folder: str, report: Optional[Callable[[str], None]]) -> None:
        self.url = url
        self.key = key
        self.folder = folder
        self._report = report
        self._told: set = set()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pid = os.getpid()
        self._file: Optional[_File] = None
        self._thread: Optional[threading.Thread] = None
        self._adopted_at = -ADOPT_SECONDS
        self._wait_until = 0.0
        self._failures = 0
        self._hurry = 0
        self._lost = 0
        self._accepted = 0
        self._delivered = 0
        self._wanted: Dict[str, Any] = {}
        self.refused = 0
        self._aside: Optional[_File] = None
        self._barred: set = set()
        self._offered_at = -math.inf
        proxies = [urllib.request.ProxyHandler({})] if _is_loopback(urllib.parse.urlsplit(url).hostname or "") else []
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=ssl.create_default_context()), *proxies)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise CounterfoilError(f"counterfoil: the outbox {folder} cannot be made: {error}; pass outbox= a folder that this process may write") from error

    def report(self, cause: str, text: str) -> None:
        if cause in self._told:
            return
        self._told.add(cause)
        try:
            (self._report or (lambda line: print(line, file=sys.stderr)))(f"counterfoil: {text}")
        except Exception:  # noqa: BLE001 - neither recording nor its author's own report may break the agent
            pass

    # ----------------------------------------------------------------------------------------- the recording side

    def put(self, line: bytes, wanted: Optional[str] = None) -> None:
        """`wanted`: the id of an event whose receipt somebody waits for."""
        with self._lock:
            if wanted is not None:
                self._wanted[wanted] = None
            try:
                self._in_this_process()
                if self._file is None:
                    self._file = _File.make(self.folder)
                if self._file.size - self._file.offset + len(line) > MAX_OUTBOX_BYTES:
                    raise OSError(errno.ENOSPC, f"{MAX_OUTBOX_BYTES} bytes wait already")
                self._file.append(line)
                self._accepted += 1
            except OSError as error:
                self._lost += 1
                self._settle(wanted, {"refused": {"code": "not_accepted", "message": f"the outbox does not take it ({error})", "next": "make room, or bring the server back"}})
                self.report(f"put {error.errno}", f"events are not recorded: the outbox {self.folder} does not take them ({error}); make room, or bring the server back")
                return
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="counterfoil", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: the next process sends it
                    self._thread = None
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        end = time.monotonic() + timeout
        with self._lock:
            self._hurry += 1
            self._changed.notify_all()
            try:
                while self.waits():
                    left = end - time.monotonic()
                    if left <= 0 or self._thread is None or not self._thread.is_alive():
                        return False
                    self._changed.wait(min(left, 0.5))
                return self._lost == 0 and self.refused == 0
            finally:
                self._hurry -= 1

    def delivered(self, timeout: float) -> bool:
        """Waits until what was recorded before is at the server, whatever is recorded meanwhile. False when it is not."""
        with self._lock:
            mark = self._accepted
            return self._until(lambda: self._delivered >= mark, timeout)

    def receipt(self, event_id: str, timeout: float) -> Optional[Dict[str, Any]]:
        """What the server said of an event that was put as `wanted`; None when it says nothing in time."""
        with self._lock:
            self._until(lambda: self._wanted.get(event_id) is not None, timeout)
            return self._wanted.pop(event_id, None)

    def _until(self, done: Callable[[], bool], timeout: float) -> bool:
        end = time.monotonic() + timeout
        self._hurry += 1
        self._changed.notify_all()
        try:
            while not done():
                left = end - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                self._changed.wait(min(left, 0.5))
            return True
        finally:
            self._hurry -= 1

    def _settle(self, event_id: Any, answer: Dict[str, Any]) -> None:
        with self._lock:
            if event_id in self._wanted:
                self._wanted[event_id] = answer
                self._changed.notify_all()

    def waits(self) -> bool:
        return self._file is not None and self._file.offset < self._file.size

    def _in_this_process(self) -> None:
        """A fork has copies of the lock, the file and no thread. The file stays its parent's."""
        if self._pid == os.getpid():
            return
        if self._file is not None:
            os.close(self._file.fd)
        if self._aside is not None:
            os.close(self._aside.fd)
        self._pid, self._file, self._thread, self._adopted_at = os.getpid(), None, None, -ADOPT_SECONDS
        self._accepted, self._delivered, self._wanted, self._hurry = 0, 0, {}, 0
        self._aside, self._barred, self.refused, self._offered_at = None, set(), 0, -math.inf

    def forked(self) -> None:
        self._lock = threading.RLock()  # whoever held it is not here
        self._changed = threading.Condition(self._lock)
        with self._lock:
            self._in_this_process()

    # ------------------------------------------------------------------------------------------- the sending side

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except Exception as error:  # noqa: BLE001 - the thread must go on
                self.report(f"thread {type(error).__name__}", f"sending failed: {error}; it is tried again")
                time.sleep(1)

    def _turn(self) -> bool:
        with self._lock:
            if self._pid != os.getpid():
                return False
            wait = self._wait_until - time.monotonic()
            if wait > 0 and not (self._hurry and self._failures < 2):
                self._changed.wait(min(wait, 0.2 if self._hurry else wait))
                return True
            file, end = self._file, 0 if self._file is None else self._file.size
        if time.monotonic() - self._adopted_at >= ADOPT_SECONDS:
            self._adopted_at = time.monotonic()
            self._offer_again()
            if not self._send_left():
                return True
        if file is not None and file.offset < end:
            file.sync()
            self._send(file, end)
            return True
        with self._lock:
            if file is not None and file is self._file and 0 < file.offset == file.size:
                file.restart()  # what is at the server need not lie here in the clear
                self._changed.notify_all()
            if not self.waits():
                self._changed.wait(ADOPT_SECONDS)
        return True

    def _send_left(self) -> bool:
        """What processes left that are gone, the oldest first. False when the server does not take it now."""
        for name in sorted(os.listdir(self.folder)):
            path = os.path.join(self.folder, name)
            if not name.endswith(".jsonl") or (self._file is not None and path == self._file.path):
                continue
            left = _File.adopt(path)
            if left is None:
                continue
            while left.offset < left.size:
                if not self._send(left, left.size):
                    os.close(left.fd)
                    return False
            left.remove()
        return True

    def _send(self, file: _File, end: int) -> bool:
        """Sends the next batch of a file. False when it has to be tried again."""
        lines, to = file.batch(end)
        good = [line for line in lines if _is_event(line)]
        if len(good) < len(lines):
            self.report("damaged", f"{len(lines) - len(good)} lines of {file.path} are no events and are passed by; look at the disk")
        try:
            self._post(good)
        except _Later as later:
            self._failures += 1
            self._wait_until = time.monotonic() + later.wait(self._failures)
            self.report(f"later {later.cause}", f"{later} It is kept in {self.folder} and tried again.")
            return False
        with self._lock:
            if self._failures > 0:
                self._failures, self._told = 0, {cause for cause in self._told if not cause.startswith("later")}
            file.sent(to)
            if file is self._file:
                self._delivered += len(lines)
            self._changed.notify_all()
        return True

    def _offer_again(self) -> None:
        """What was refused in processes that are gone is sent once more, and now and then what was refused here: rights may have changed."""
        folder = os.path.join(self.folder, "refused")
        if time.monotonic() - self._offered_at >= OFFER_SECONDS:
            self._offered_at = time.monotonic()
            with self._lock:
                if self._aside is not None:
                    os.close(self._aside.fd)
                self._aside, self._barred, self.refused = None, set(), 0
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            left = _File.adopt(path) if name.endswith(".jsonl") else None
            if left is not None:  # of a process that lives, it is left to it
                os.close(left.fd)
                os.replace(path, os.path.join(self.folder, f"0{name}"))  # sent before what came after it

    def _set_aside(self, lines: List[bytes], session_id: Any, problem: Dict[str, Any]) -> None:
        """What the server does not take from this key keeps nothing else back. On the disk when this returns; _Later when it cannot be."""
        folder = os.path.join(self.folder, "refused")
        try:
            with self._lock:
                if self._aside is None:
                    os.makedirs(folder, mode=0o700, exist_ok=True)
                    self._aside = _File.make(folder)
                if self._aside.size + sum(map(len, lines)) > MAX_OUTBOX_BYTES:
                    raise OSError(errno.ENOSPC, f"{MAX_OUTBOX_BYTES} bytes lie there already")
                for line in lines:
                    self._aside.append(line)
                self._aside.sync()
                self.refused += len(lines)
                self._barred.add(session_id)
        except OSError as error:
            raise _Later("aside", f"events that the server refuses cannot be set aside in {folder} ({error}).", None) from None
        for line in lines:
            self._settle(json.loads(line).get("event_id"), {"refused": problem})
        self.report("aside", f"the server does not take events of session {session_id} from this key ({problem.get('detail')}); they are kept in {folder}, and offered again every {OFFER_SECONDS // 60} minutes and by the next process")

    def _post(self, lines: List[bytes]) -> None:
        """Returns when each of the lines is on record, or refused and reported. _Later when the server does not answer."""
        if self._barred:
            lines = self._without_barred(lines)
        if not lines:
            return
        status, answer = self.ask("POST", "/v1/events", b"\n".join(lines) + b"\n")
        if status == 200:
            receipts = answer.get("receipts") if isinstance(answer, dict) else None
            if not isinstance(receipts, list) or len(receipts) != len(lines):  # a proxy's page, or half an answer: nothing says that they are on record
                raise _Later("answer", f"what answers at {self.url} gives no receipt for each event.", None)
            for receipt in receipts:
                if isinstance(receipt, dict) and receipt.get("event_id") in self._wanted:
                    self._settle(receipt["event_id"], receipt)  # whoever waits for it hears it
                elif isinstance(receipt, dict) and "refused" in receipt:
                    refused = receipt["refused"]
                    self.report(f"refused {refused.get('code')}", f"the server refused event {receipt.get('event_id')}: {refused.get('message')}")
            return
        if status == 413 and len(lines) > 1:
            self._post(lines[: len(lines) // 2])
            self._post(lines[len(lines) // 2 :])
            return
        if status in (400, 413, 422):
            self._without_bad(lines, status, answer)
            return
        if status == 403 and isinstance(answer, dict) and answer.get("code") == "not_own_agent":
            sessions = _by_session(lines)
            for session_id, own in sessions.items():
                if len(sessions) == 1:
                    self._set_aside(own, session_id, answer)
                else:
                    self._post(own)
            return
        says = answer.get("detail") if isinstance(answer, dict) else None
        raise _Later(str(status), f"the server answers {status}{'' if says is None else f' ({says})'}.", LONGEST_WAIT_SECONDS if status in (401, 403, 404) else None)

    def _without_barred(self, lines: List[bytes]) -> List[bytes]:
        """Sets aside what belongs to a session that the server refused: asking for each batch of it would fill the log with denials."""
        rest: List[bytes] = []
        for session_id, own in _by_session(lines).items():
            if session_id in self._barred:
                self._set_aside(own, session_id, {"code": "not_own_agent", "detail": "the server refused its events before", "next": "ask an admin for a key that may"})
            else:
                rest.extend(own)
        return rest

    def _without_bad(self, lines: List[bytes], status: int, answer: Any) -> None:
        """Nothing of a body is stored when one event in it is malformed: that one goes as text inside an event of its own, so that it is not lost."""
        errors = answer.get("errors") if isinstance(answer, dict) else None
        bad = {error["at"]: error for error in errors or [] if isinstance(error, dict) and isinstance(error.get("at"), int) and 0 <= error["at"] < len(lines)}
        if not bad:
            if len(lines) > 1:  # the server does not say which: one by one
                for line in lines:
                    self._post([line])
                return
            bad = {0: {"code": str(status), "detail": answer.get("detail") if isinstance(answer, dict) else None}}
        rest: List[bytes] = []
        for at, line in enumerate(lines):
            if at not in bad:
                rest.append(line)
                continue
            event, why = json.loads(line), bad[at]
            self._settle(event.get("event_id"), {"refused": {"code": why.get("code"), "message": why.get("detail"), "next": why.get("next")}})
            self.report(f"malformed {why.get('code')}", f"the server does not take a {event.get('event_type')} as it is ({why.get('detail')}); it is recorded as text in a custom event")
            if event.get("event_type") == "custom" and event.get("name") in ("refused_event", "too_large"):
                self._lost += 1
                continue
            rest.append(_wrapped(event, line, why))
        self._post(rest)

    def request(self, method: str, path: str, body: Any, end: float) -> Tuple[int, Any]:
        """As `ask`, with a JSON body, again and again while the server is away: what is asked for must be safe to be sent twice. CounterfoilError after `end`."""
        failures = 0
        while True:
            try:
                return self.ask(method, path, json.dumps(body, ensure_ascii=True, allow_nan=False).encode("ascii"), "application/json")
            except _Later as later:
                failures += 1
                left = end - time.monotonic()
                if left <= 0:
                    raise CounterfoilError(f"counterfoil: {later} Try again when it is back.") from None
                time.sleep(min(left, later.wait(failures)))

    def ask(self, method: str, path: str, body: Optional[bytes] = None, media: str = "application/x-ndjson") -> Tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.key}", "accept": "application/json", "user-agent": f"counterfoil-python/{__version__}"}
        if body is not None:
            headers.update({"content-type": media, "content-encoding": "gzip"})
            body = gzip.compress(body, 1)
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=REQUEST_SECONDS) as response:
                return response.status, _json_of(response.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                status, after = error.code, error.headers.get("retry-after", "")
                answer = _json_of(error.read(1024 * 1024))
            if status in (408, 429) or status >= 500 or 300 <= status < 400:
                raise _Later(str(status), f"the server answers {status}.", min(float(after), 300.0) if re.fullmatch(r"\d{1,4}", after) else None) from None
            return status, answer
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _Later(type(error).__name__, f"the server {self.url} cannot be reached ({getattr(error, 'reason', error)}).", None) from None

    def read_rows(self, session_id: str) -> Optional[List[Dict[str, Any]]]:
        """The server's rows of a session; None where the key may not read, or the server is away."""
        rows: List[Dict[str, Any]] = []
        cursor = ""
        while True:
            try:
                status, answer = self.ask("GET", f"/v1/sessions/{session_id}/rows?content=full&purpose=own%20session&limit=1000{cursor}")
            except _Later:
                return None
            if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
                return None
            rows.extend(answer["items"])
            if not answer.get("next"):
                return rows
            cursor = f"&cursor={urllib.parse.quote(str(answer['next']), safe='')}"

    def at_exit(self) -> None:
        if self._pid != os.getpid():
            return
        if self.waits():
            self.flush(EXIT_SECONDS)
        with self._lock:
            if self.waits():
                self.report("left", f"some events are not at the server yet; they are kept in {self.folder} and sent by the next process that uses it")
            elif self._file is not None:
                self._file.remove()
                self._file = None
            if self._aside is not None:
                self.report("aside left", f"{self.refused} events are set aside that the server does not take from this key; they are kept in {os.path.dirname(self._aside.path)} and offered again by the next process")
                os.close(self._aside.fd)
                self._aside = None


class _Later(Exception):
    """Not now: the server is away, or says so."""

    def __init__(self, cause: str, text: str, after: Optional[float]) -> None:
        super().__init__(text)
        self.cause = cause
        self.after = after

    def wait(self, failures: int) -> float:
        """Seconds until the next try: as the server says, else longer each time, up to a bound and apart from others'."""
        return self.after if self.after is not None else min(LONGEST_WAIT_SECONDS, 0.2 * 2 ** min(failures, 10)) * (0.5 + random.random() / 2)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _wrapped(event: Dict[str, Any], line: bytes, why: Dict[str, Any]) -> bytes:
    kept = {name: event[name] for name in ("session_id", "event_id", "stream", "stream_seq", "timestamp") if name in event}
    content = {"event": line.decode("ascii", "replace")[: 4 * KEPT_CHARACTERS], "code": why.get("code"), "detail": why.get("detail")}
    return json.dumps({"event_type": "custom", **kept, "name": "refused_event", "content": content}, separators=(",", ":")).encode("ascii")


def _by_session(lines: List[bytes]) -> Dict[Any, List[bytes]]:
    sessions: Dict[Any, List[bytes]] = {}
    for line in lines:
        sessions.setdefault(str(json.loads(line).get("session_id")), []).append(line)
    return sessions


def _is_event(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _read_at(fd: int, count: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, count, at)
    with io.open(os.dup(fd), "rb") as file:
        file.seek(at)
        return file.read(count)


def _write_at(fd: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, at)
    os.lseek(fd, at, os.SEEK_SET)
    return os.write(fd, data)


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except OSError:
        return False


def _lock_file(fd: int) -> bool:
    """Takes the file's lock, which ends with the process. False while another process has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            os.lseek(fd, 2**40, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return True
        except OSError:
            return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


_outboxes: Dict[Tuple[str, str, str], _Outbox] = {}
_outboxes_lock = threading.Lock()
_trails: "weakref.WeakSet[AgentAuditTrail]" = weakref.WeakSet()


def _outbox_for(url: str, key: str, folder: str, report: Optional[Callable[[str], None]]) -> _Outbox:
    """One outbox for each server, key and folder in a process."""
    place = os.path.join(os.path.abspath(folder), hashlib.sha256(url.encode()).hexdigest()[:16])
    with _outboxes_lock:
        known = _outboxes.get((url, key, place))
        if known is None:
            known = _outboxes[(url, key, place)] = _Outbox(url, key, place, report)
        return known


def _at_exit() -> None:
    for outbox in list(_outboxes.values()):
        outbox.at_exit()


def _after_fork() -> None:
    """Whoever held a lock is not in the child."""
    global _outboxes_lock
    _outboxes_lock = threading.Lock()
    for trail in list(_trails):
        trail._lock = threading.Lock()
        stopped = trail._stop.is_set()
        trail._stop, trail._watch = threading.Event(), None
        if stopped:
            trail._stop.set()
    for outbox in list(_outboxes.values()):
        outbox.forked()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
