"""The classic design in Python: a connection, an insert and a commit for every event. Measures itself as child.ts does others.

    python3 bench/contenders/classic.py SPEC     the result goes to file descriptor 3, as JSON
"""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import sys
import time
import uuid
from datetime import datetime, timezone

SCHEMA = """CREATE TABLE IF NOT EXISTS audit_events (event_id TEXT PRIMARY KEY, session_id TEXT, agent_id TEXT, timestamp TEXT, event_type TEXT, step_number INTEGER,
  content TEXT, model_id TEXT, system_prompt_hash TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)"""
INSERT = "INSERT INTO audit_events (event_id, session_id, agent_id, timestamp, event_type, step_number, content) VALUES (?, ?, ?, ?, ?, ?, ?)"


def insert(path, kind, session, content):
    db = sqlite3.connect(path)
    db.execute(INSERT, (str(uuid.uuid4()), f"s-{session}", "bench", datetime.now(timezone.utc).isoformat(), kind, 1, json.dumps(content)))
    db.commit()
    db.close()


def record(path, act, session):
    insert(path, f"{act['kind']}_call", session, act["call"])
    insert(path, f"{act['kind']}_result", session, act["result"])


def record_all(path, load, sessions, every_ms):
    times = []
    for i, act in enumerate(load):
        began = time.perf_counter_ns()
        record(path, act, i % sessions)
        times.append((time.perf_counter_ns() - began) / 1_000)
        if every_ms > 0:
            time.sleep(every_ms / 1_000)
    return times


def peak_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1_024 for line in status if line.startswith("VmHWM:"))


def cpu_us():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def caller(spec, path, load):
    record_all(path, load[spec["count"]:], spec["sessions"], 0)
    time.sleep(0.1)
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    memory, before = peak_memory(), cpu_us()
    times = record_all(path, load[:spec["count"]], spec["sessions"], spec["everyMs"])
    return {"times": times, "loopMs": None, "cpu": (cpu_us() - before) / spec["count"], "rss": peak_memory() - memory, "settled": True}


def durable(spec, path, load):
    count, alone = spec["count"], spec["alone"]
    record_all(path, load[count + alone:], spec["sessions"], 0)
    began = time.perf_counter_ns()
    record_all(path, load[:count], spec["sessions"], 0)
    seconds = (time.perf_counter_ns() - began) / 1e9
    return {"perSecond": 2 * count / seconds, "aloneUs": record_all(path, load[count:count + alone], 1, 0)}


def end(spec, path, load):
    record_all(path, load, spec["sessions"], spec["everyMs"])
    os.write(3, b"done")
    if spec["ending"] == "exit":
        sys.exit(0)
    if spec["ending"] == "throw":
        raise RuntimeError("the agent fell over")
    if spec["ending"] == "reject":
        async def main():
            async def fall():
                raise RuntimeError("nobody caught this")
            task = asyncio.create_task(fall())
            await asyncio.sleep(0.1)
            del task
        asyncio.run(main())
    if spec["ending"].startswith("SIG"):
        while True:
            signal.pause()


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    path = os.path.join(spec["folder"], "classic.db")
    with open(spec["acts"]) as lines:
        load = [json.loads(line) for line in lines]
    once = sqlite3.connect(path)
    once.execute(SCHEMA)
    once.close()
    if spec["mode"] == "ending":
        end(spec, path, load)
    else:
        os.write(3, json.dumps({"caller": caller, "durable": durable}[spec["mode"]](spec, path, load)).encode())
