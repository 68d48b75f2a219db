"""Entries: docs/format.md §3, their vocabulary §4, and what is newer than this page §11."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .encoding import SAFE, Malformed, canonical, is_hash, is_int, is_signature, matches, parse_json, require, utf8
from .vocabulary import VOCABULARY

Slot = dict[str, Any]

MEMBERS = {
    "v": True, "index": True, "event_id": True, "event_type": True, "session_id": True, "seq": True, "prev": True, "writer": True,
    "stream": False, "stream_seq": False, "timestamp": True, "recorded_at": True, "parent_event_id": False, "step_number": False,
    "capture": True, "outcome": False, "facts": True, "payloads": True,
}
CAPTURES = ("before", "after", "imported")
OUTCOMES = ("success", "failure", "denied", "timeout", "unknown")
MEDIA = ("json", "text", "bytes")


@dataclass(frozen=True)
class Ref:
    """An own ref of an entry: §3.3."""

    slot: str
    position: int
    ordinal: int
    commitment: str
    media: str
    scope: str


@dataclass
class Entry:
    value: dict[str, Any]
    newer_format: bool = False
    newer_words: bool = False
    refs: list[Ref] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.value[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name: str) -> Any:
        return self.value.get(name)


def parse_entry(data: bytes) -> Entry:
    require(len(data) <= 65_535, "an entry over 65,535 bytes")
    text = utf8(data)
    value = parse_json(text)
    require(isinstance(value, dict), "an entry is an object")
    version = value.get("v")
    if not isinstance(version, bool) and isinstance(version, (int, float)) and version == int(version) and 1 < version <= SAFE:
        return Entry(value, newer_format=True)
    _envelope(value)
    _facts(value["facts"])
    _payloads(value["payloads"], value["seq"])
    require(canonical(value) == text, "not canonical")
    entry = Entry(value, newer_format=any(name not in MEMBERS for name in value), newer_words=_has_newer_words(value))
    entry.refs = list(_own_refs(value["session_id"], value["payloads"]))
    return entry


def _envelope(value: dict[str, Any]) -> None:
    for name, must in MEMBERS.items():
        require(name in value or not must, f"no {name}")

    def form(name: str, right: bool) -> None:
        require(name not in value or right, f"{name} is not of its form")

    get = value.get
    form("v", type(get("v")) is int and get("v") == 1)
    for name in ("index", "seq", "stream_seq", "step_number"):
        form(name, is_int(get(name)))
    for name in ("event_id", "session_id", "parent_event_id"):
        form(name, matches("uuid", get(name)))
    for name in ("timestamp", "recorded_at"):
        form(name, matches("time", get(name)))
    form("event_type", matches("name", get("event_type")))
    form("prev", is_hash(get("prev")))
    form("writer", matches("label", get("writer")))
    form("stream", matches("ref", get("stream")))
    form("capture", get("capture") in CAPTURES)
    form("outcome", get("outcome") in OUTCOMES)
    form("facts", isinstance(get("facts"), dict))
    form("payloads", isinstance(get("payloads"), dict))
    require(("stream" in value) == ("stream_seq" in value), "stream and stream_seq stand together")


_SHORT = re.compile("[!-~]{1,128}")


def _short(value: object) -> bool:
    return isinstance(value, str) and _SHORT.fullmatch(value) is not None


def _is_fact(value: object) -> bool:
    if isinstance(value, list):
        return all(_short(one) for one in value)
    if isinstance(value, dict):
        return all(_short(name) and is_int(one, -SAFE) for name, one in value.items())
    return isinstance(value, bool) or is_int(value, -SAFE) or _short(value)


def has_form(form: str, value: object) -> bool:
    several = re.fullmatch(r"([a-z]+)\[([0-9]+)\]", form)
    if several is not None and several[1] == "counts":
        return isinstance(value, dict) and len(value) <= int(several[2]) and all(matches("ref", name) and is_int(one) for name, one in value.items())
    if several is not None:
        return isinstance(value, list) and len(value) <= int(several[2]) and all(has_form(several[1], one) for one in value)
    if form == "int":
        return is_int(value, -SAFE)
    if form == "bool":
        return isinstance(value, bool)
    if form == "hash":
        return is_hash(value)
    if form == "signature":
        return is_signature(value)
    if form == "scope":
        return is_scope(value)
    if "|" in form:
        return isinstance(value, str) and value in form.split("|")
    return matches(form, value)


def is_scope(value: object) -> bool:
    if not isinstance(value, str):
        return False
    session, slash, k = value.partition("/")
    return slash == "/" and matches("uuid", session) and re.fullmatch("0|[1-9][0-9]{0,4}", k) is not None and int(k) <= 65_535


def _facts(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        require(matches("name", name) and _is_fact(value), f"the fact {name} is not of its form")


def _payloads(payloads: dict[str, Slot], seq: int) -> None:
    added = 0
    for name, slot in payloads.items():
        require(matches("name", name) and isinstance(slot, dict), f"the payload {name} is not of its form")
        if "same" in slot:
            require(set(slot) == {"same"} and is_int(slot["same"], 0, seq - 1), f"{name}: a same")
        elif "add" in slot:
            _list_change(name, slot, seq)
            added += len(slot["add"])
        else:
            _ref(name, slot)
    require(added <= 256, "over 256 elements")


def _has_newer_words(value: dict[str, Any]) -> bool:
    """§11: vocabulary that the page does not have; it is counted, and no fault."""
    type_, facts = value["event_type"], value["facts"]
    if type_ not in VOCABULARY:
        return True
    forms = {one.partition(" ")[0]: one.partition(" ")[2] for one in VOCABULARY[type_][0].split(", ") if one}
    known = {name.rstrip("?"): form for name, form in forms.items()}
    if any(name not in known or not has_form(known[name], one) for name, one in facts.items()):
        return True
    if any(not name.endswith("?") and name not in facts for name in forms):
        return True
    slots = {one.partition(" ")[0]: one.partition(" ")[2] for one in VOCABULARY[type_][1].split(", ") if one}
    return any(name not in slots or ("same" not in slot and ("add" in slot) != (slots[name] == "list")) for name, slot in value["payloads"].items())


def _list_change(name: str, slot: Slot, seq: int) -> None:
    require(set(slot) in ({"add", "count", "root"}, {"add", "base", "count", "keep", "root"}), f"{name}: a list change")
    require(isinstance(slot["add"], list) and is_hash(slot["root"]), f"{name}: a list change")
    require(is_int(slot.get("keep", 0)) and is_int(slot["count"]) and ("base" not in slot or is_int(slot["base"], 0, seq - 1)), f"{name}: a list change")
    require(slot["count"] == slot.get("keep", 0) + len(slot["add"]), f"{name}: another count")
    for one in slot["add"]:
        _ref(name, one)


def _ref(name: str, ref: object) -> None:
    require(isinstance(ref, dict) and {"c", "m"} <= set(ref) <= {"c", "m", "k", "masked"}, f"{name}: a ref")
    assert isinstance(ref, dict)
    require(is_hash(ref["c"]) and ref["m"] in MEDIA and is_int(ref.get("k", 1), 1, 65_535), f"{name}: a ref")
    if "masked" in ref:
        masks = ref["masked"]
        require(isinstance(masks, list) and 1 <= len(masks) <= 4 and all(matches("label", one) and len(one) <= 32 for one in masks), f"{name}: masked")


def _own_refs(session: str, payloads: dict[str, Slot]) -> Iterator[Ref]:
    ordinal = 0
    for name in sorted(payloads):
        slot = payloads[name]
        refs = [] if "same" in slot else slot["add"] if "add" in slot else [slot]
        for position, ref in enumerate(refs):
            yield Ref(name, position, ordinal, ref["c"], ref["m"], f"{session}/{ref.get('k', 0)}")
            ordinal += 1


__all__ = ["Entry", "Malformed", "Ref", "has_form", "is_scope", "parse_entry"]
