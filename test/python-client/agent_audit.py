"""The classic class: one INSERT an event into one table."""

import hashlib
import json
import sqlite3
import uuid
from datetime import datetime, timezone


class AgentAuditTrail:
    def __init__(self, db_path, agent_id, model_id, system_prompt):
        self.db = sqlite3.connect(db_path)
        self.session_id = str(uuid.uuid4())
        self.agent_id, self.model_id = agent_id, model_id
        self.system_prompt_hash = hashlib.sha256(system_prompt.encode()).hexdigest()
        self.db.execute("""CREATE TABLE IF NOT EXISTS audit_events (event_id TEXT PRIMARY KEY, session_id TEXT, agent_id TEXT, timestamp TEXT, event_type TEXT,
            step_number INTEGER, content TEXT, model_id TEXT, system_prompt_hash TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)""")

    def log(self, event_type, content, step_number=None):
        event_id = str(uuid.uuid4())
        row = (event_id, self.session_id, self.agent_id, datetime.now(timezone.utc).isoformat(), event_type, step_number or 0, json.dumps(content), self.model_id, self.system_prompt_hash)
        self.db.execute("INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, CURRENT_TIMESTAMP)", row)
        self.db.commit()
        return event_id

    def log_llm_call(self, messages, response_text, tool_calls, tokens, step):
        return self.log("llm_call", {"input_messages": messages, "output_text": response_text, "tool_calls_requested": tool_calls, "input_tokens": tokens["input"], "output_tokens": tokens["output"]}, step)

    def log_tool_call(self, tool_name, tool_input, tool_output, error=None, step=None):
        return self.log("tool_call", {"tool_name": tool_name, "tool_input": tool_input, "tool_output": tool_output, "error": error}, step)

    def get_session_trail(self):
        names = ("event_id", "session_id", "agent_id", "timestamp", "event_type", "step_number", "content", "model_id", "system_prompt_hash", "created_at")
        return [dict(zip(names, row)) for row in self.db.execute("SELECT * FROM audit_events WHERE session_id = ? ORDER BY timestamp", (self.session_id,))]
