"""For test/interop/python.ts: questions as JSON lines in, answers as JSON lines out, so that one process answers thousands."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from counterfoil.crypto import ed25519
from counterfoil.encoding import Malformed, canonical, parse_json
from counterfoil.entry import parse_entry
from counterfoil.note import parse_checkpoint, parse_key, parse_note, verified_by
from counterfoil.tree import check_consistency, check_inclusion, leaf_hash, root_of
from counterfoil.zstd import decompress
from verify import verify


def of_file(asked: dict[str, Any]) -> Any:
    keys = asked.get("keys")
    return verify(Path(asked["file"]), asked.get("key"), Path(keys) if keys else None)


def of_entry(asked: dict[str, Any]) -> Any:
    entry = parse_entry(_bytes(asked["entry"]))
    return {"newer_format": entry.newer_format, "newer_words": bool(entry.newer_words), "own_refs": [f"{ref.slot}/{ref.position}" for ref in entry.refs]}


def of_note(asked: dict[str, Any]) -> Any:
    note = parse_note(_bytes(asked["note"]))
    checkpoint = parse_checkpoint(note.text)
    signed = verified_by(note, [parse_key(text) for text in asked["keys"]])
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex(), "signed": [key.text for key in signed]}


def of_ed25519(asked: dict[str, Any]) -> Any:
    public, message, signature = asked["ed25519"]
    return ed25519(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


def of_inclusion(asked: dict[str, Any]) -> Any:
    index, size, leaf, root, proof = asked["inclusion"]
    return check_inclusion(int(index), int(size), _bytes(leaf), _bytes(root), [_bytes(one) for one in proof])


def of_consistency(asked: dict[str, Any]) -> Any:
    first, second, old, new, proof = asked["consistency"]
    return check_consistency(int(first), int(second), _bytes(old), _bytes(new), [_bytes(one) for one in proof])


def of_json(asked: dict[str, Any]) -> Any:
    return canonical(parse_json(_bytes(asked["json"]).decode()))


def of_leaves(asked: dict[str, Any]) -> Any:
    return root_of([leaf_hash(_bytes(one)) for one in asked["leaves"]]).hex()


def of_zstd(asked: dict[str, Any]) -> Any:
    return base64.b64encode(decompress(_bytes(asked["zstd"]), asked["most"])).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "file": of_file, "entry": of_entry, "note": of_note, "ed25519": of_ed25519, "inclusion": of_inclusion,
    "consistency": of_consistency, "json": of_json, "leaves": of_leaves, "zstd": of_zstd,
}

for line in sys.stdin:
    question = json.loads(line)
    answer = next(ANSWERS[name] for name in ANSWERS if name in question)
    try:
        print(json.dumps({"is": answer(question)}), flush=True)
    except Malformed as error:
        print(json.dumps({"refused": str(error)}), flush=True)
