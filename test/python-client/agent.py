"""The classic loop: a model, two tools, and an audit trail of every step. Usage: agent.py MODEL_URL DB"""

import json
import sys
import urllib.request

from agent_audit import AgentAuditTrail

SYSTEM = "You are a customer service agent. Refund at most 50 EUR."
TOOLS = [{"name": name, "description": name, "input_schema": {"type": "object"}} for name in ("lookup_order", "shipping_status")]


def ask(url, model, messages):
    body = json.dumps({"model": model, "max_tokens": 4096, "system": SYSTEM, "tools": TOOLS, "messages": messages}).encode()
    request = urllib.request.Request(f"{url}/v1/messages", body, {"content-type": "application/json", "x-api-key": "none-needed", "anthropic-version": "2023-06-01"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return json.load(response)


def execute_tool(name, tool_input):
    if name == "lookup_order":
        return {"status": "returned", "amount": 42, "lines": [1, 2.5, None, True]}
    if len(tool_input) == 1:
        raise RuntimeError("the warehouse did not answer: '503'")
    return "arrived"


def run_audited_agent(url, db_path, user_message, agent_id, model):
    audit = AgentAuditTrail(db_path, agent_id, model, SYSTEM)
    audit.log("session_start", {"user_message": user_message})
    messages = [{"role": "user", "content": user_message}]
    step = 0
    while True:
        step += 1
        response = ask(url, model, messages)
        text = "".join(block["text"] for block in response["content"] if block["type"] == "text")
        calls = [{"name": block["name"], "input": block["input"]} for block in response["content"] if block["type"] == "tool_use"]
        tokens = {"input": response["usage"]["input_tokens"], "output": response["usage"]["output_tokens"]}
        audit.log_llm_call(messages, text, calls, tokens, step)
        if response["stop_reason"] != "tool_use":
            audit.log("final_output", {"output": text}, step)
            break
        messages.append({"role": "assistant", "content": response["content"]})
        results = []
        for block in response["content"]:
            if block["type"] != "tool_use":
                continue
            try:
                output = execute_tool(block["name"], block["input"])
                audit.log_tool_call(block["name"], block["input"], output, None, step)
                results.append({"type": "tool_result", "tool_use_id": block["id"], "content": json.dumps(output)})
            except Exception as error:
                audit.log_tool_call(block["name"], block["input"], None, str(error), step)
                results.append({"type": "tool_result", "tool_use_id": block["id"], "content": str(error), "is_error": True})
        messages.append({"role": "user", "content": results})
    for row in audit.get_session_trail():
        print(json.dumps({"event_type": row["event_type"], "step_number": row["step_number"], "content": json.loads(row["content"])}))
    print(json.dumps({"session_id": audit.session_id, "system_prompt_hash": audit.system_prompt_hash}))


run_audited_agent(sys.argv[1], sys.argv[2], "Where is my refund for order 1182?", "customer-service-v1", "claude-opus-4-6")
