"""The vocabulary of docs/format.md §4. `python3 vocabulary.py format.md` prints what should stand here, and fails where it does not."""

from __future__ import annotations

import re
import sys

# type: facts, each `name form`, with `?` where optional; then payloads, `one` or `list`.
VOCABULARY: dict[str, tuple[str, str]] = {
    "session_start": (
        "agent_id label, agent_version? label, model_id? label, source? label, user? ref, subject? ref, parent_session_id? uuid, root_session_id? uuid, system_prompt_fingerprint? hash, implicit? bool",
        "identity one, user_message one, system_prompt one, tool_definitions list, client_session_id one, tags one, on_behalf_of one",
    ),
    "llm_call": (
        "provider label, model_id label, streaming? bool, attempt? int, call_id? label, endpoint? label, message_count? int, system_prompt_fingerprint? hash, max_tokens? int, temperature? decimal, top_p? decimal, top_k? int, seed? int, budget_tokens? int",
        "input_messages list, system_prompt one, tool_definitions list, request_parameters one, model_name one, continues one",
    ),
    "context": (
        "",
        "input_messages list, tool_definitions list, output list",
    ),
    "llm_result": (
        "model_id? label, stop_reason? label, input_tokens? int, output_tokens? int, cache_read_tokens? int, cache_write_tokens? int, reasoning_tokens? int, latency_ms? int, time_to_first_token_ms? int, status? int, error_type? label, attempt? int, complete? bool",
        "output list, output_text one, tool_calls_requested one, response_id one, error one, usage one, raw one, names one",
    ),
    "reasoning": (
        "kind model_reported|author_stated, form? full|summarised|encrypted|withheld",
        "text one",
    ),
    "tool_call": (
        "tool_name label, call_id? label, risk low|medium|high|critical, requires_approval? bool, approval? int, attempt? int, requested_by? int",
        "tool_input one, names one",
    ),
    "tool_result": (
        "tool_name? label, call_id? label, execution_time_ms? int, error_type? label",
        "tool_output one, error one",
    ),
    "approval_request": (
        "tool_name label, call_id? label, risk? low|medium|high|critical, expires_at? time, quorum? int",
        "tool_input one, shown one",
    ),
    "approval_decision": (
        "request hash, decision approved|rejected|expired, approver? ref, assurance? asserted|terminal|api_key|oidc, time_to_decide_ms? int",
        "identity one, comment one",
    ),
    "human_intervention": (
        "kind stop|override|edit|takeover, actor ref",
        "identity one, note one",
    ),
    "policy_decision": (
        "policy label, version? label, decision allow|deny|transform",
        "reason one",
    ),
    "data_access": (
        "source label, classification? label, record_count? int, trust? trusted|untrusted",
        "reference one",
    ),
    "sandbox_crossing": (
        "kind network|file|process, direction? in|out, allowed bool",
        "target one",
    ),
    "state_snapshot": (
        "kind? label, bytes? int",
        "state one",
    ),
    "handoff": (
        "to_agent_id label, child_session_id? uuid",
        "instructions one",
    ),
    "config_change": (
        "what label, agent_version? label, model_id? label, system_prompt_fingerprint? hash",
        "before one, after one, system_prompt one",
    ),
    "error": (
        "error_type? label, recoverable? bool",
        "message one, stack one",
    ),
    "final_output": (
        "",
        "output one",
    ),
    "subject": (
        "subject ref",
        "identity one",
    ),
    "session_suspend": (
        "reason? label",
        "",
    ),
    "session_resume": (
        "reason? label",
        "",
    ),
    "session_interrupted": (
        "interrupted_stream ref, last_stream_seq int",
        "",
    ),
    "session_end": (
        "reason? label, streams? counts[256], stream_total? int, segment_count? int, segment_root? hash",
        "note one",
    ),
    "session_timeout": (
        "reason? label, streams? counts[256], stream_total? int, segment_count? int, segment_root? hash",
        "note one",
    ),
    "gap": (
        "missing_stream ref, from int, to int, cause label",
        "",
    ),
    "finding": (
        "rule label, severity info|low|medium|high|critical, events? uuid[64], expected? hash, got? hash",
        "explanation one",
    ),
    "access": (
        "action label, counts? int, root? hash",
        "identity one, query one, purpose one",
    ),
    "retention": (
        "phase label, scopes? scope[500], part? int, parts? int, result? label",
        "identity one, reason one, legal_basis one",
    ),
    "hold": (
        "phase label, scopes? scope[500], part? int, parts? int, result? label",
        "identity one, reason one, legal_basis one",
    ),
    "erasure": (
        "phase ordered|done, erasure ref, scopes? scope[500], part? int, parts? int, scope_count? int, segment_count? int, result? label",
        "identity one, reason one, legal_basis one",
    ),
    "log_start": (
        "format label, origin label, vkey label, previous? label",
        "",
    ),
    "log_end": (
        "reason? label, next? label",
        "",
    ),
    "key_rotation": (
        "vkey label, from_size int, root hash, signature signature",
        "",
    ),
    "key_compromise": (
        "vkey label, last_good_size int",
        "note one",
    ),
    "integrity_check": (
        "result label, size int, root? hash",
        "",
    ),
    "clock": (
        "from time, to time",
        "",
    ),
    "custom": (
        "name label",
        "content one",
    ),
}


def read_page(page: str) -> dict[str, tuple[str, str]]:
    """The same, out of the page's tables."""
    found = {}
    for block in re.finditer(r"^#### `([a-z_]+)`\n(.*?)(?=^##)", page, re.M | re.S):
        facts, payloads = [], []
        for name, form in re.findall(r"^\| `([a-z_]+)` \| ([^|]*?) \|", block[2], re.M):
            if form.startswith("→"):
                payloads.append(f"{name} {form[2:]}")
                continue
            bare = form.removesuffix(", optional")
            one_of = "|".join(re.findall("`([^`]+)`", bare)) if bare.startswith("one of") else bare
            facts.append(f"{name}{'?' if bare != form else ''} {one_of}")
        found[block[1]] = (", ".join(facts), ", ".join(payloads))
    return found


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        written = read_page(file.read())
    for name, (facts, payloads) in written.items():
        print(f'    "{name}": (\n        "{facts}",\n        "{payloads}",\n    ),')
    sys.exit(written != VOCABULARY)
