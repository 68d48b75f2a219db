"""Evidence of one session in one file: docs/format.md §14."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .encoding import Malformed, canonical, decode_base64, is_int, matches, parse_json, require, utf8
from .entry import MEDIA, Entry, Ref, parse_entry
from .log import FORMAT
from .note import LOG, WITNESS, Checkpoint, Key, parse_checkpoint, parse_key, parse_note
from .report import Report
from .sessions import ENDS, Sessions
from .tree import leaf_hash, node_hash, split
from .vault import commitment

OPENING = '<script type="application/json" id="counterfoil-bundle">'
MEMBERS = {"format", "origin", "session_id", "checkpoint", "keys", "entries", "proof", "payloads"}
UNITS = 268_435_456


def document_of(text: str) -> str | None:
    """The block of a page; a text that begins with `{` is the document itself. None when it is neither."""
    if text.startswith("{"):
        return text
    if text.count(OPENING) != 1:
        return None
    document, closing, rest = text.partition(OPENING)[2].partition("<")
    return document if (closing + rest).startswith("</script>") else None


def verify_bundle(document: str, vkey: str | None) -> Report:
    report = Report()
    try:
        bundle = parse_bundle(document)
    except Malformed as error:
        report.bad("bundle_malformed", None, str(error))
        return report
    _Bundle(bundle, report).verify(vkey)
    return report


def parse_bundle(document: str) -> dict[str, Any]:
    require(len(document.encode("utf-16-le", "surrogatepass")) <= 2 * UNITS, "too long")
    require("<" not in document, "a `<` that is not escaped")
    bundle = parse_json(document)
    require(isinstance(bundle, dict) and set(bundle) == MEMBERS, "other members")
    require(canonical(bundle).replace("<", "\\u003c") == document, "not in the one form")
    require(bundle["format"] == "counterfoil/bundle/v1", "another format")
    require(matches("label", bundle["origin"]) and len(bundle["origin"]) <= 74 and matches("uuid", bundle["session_id"]), "origin or session_id")
    require(isinstance(bundle["checkpoint"], str), "checkpoint")
    keys, entries, proof, payloads = (bundle[name] for name in ("keys", "entries", "proof", "payloads"))
    require(isinstance(keys, list) and 1 <= len(keys) <= 100 and all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys), "keys")
    require(isinstance(entries, list) and 1 <= len(entries) <= 1_000_000, "entries")
    before = -1
    for one in entries:
        require(isinstance(one, dict) and set(one) == {"entry", "index"} and is_int(one["index"]) and one["index"] > before, "an entry")
        decode_base64(one["entry"])
        before = one["index"]
    require(isinstance(proof, list), "proof")
    for one in proof:
        decode_base64(one, 32)
    require(isinstance(payloads, list) and len(payloads) <= 4_000_000, "payloads")
    for one in payloads:
        _payload(one)
    return bundle


def _payload(one: Any) -> None:
    names = {"index", "slot", "position", "media"}
    require(isinstance(one, dict) and set(one) in (names | {"withheld"}, names | {"salt", "text"}, names | {"salt", "base64"}), "a payload")
    require(is_int(one["index"]) and matches("name", one["slot"]) and is_int(one["position"]) and one["media"] in MEDIA, "a payload")
    require(one.get("withheld", True) is True and isinstance(one.get("text", ""), str), "a payload")
    if "salt" in one:
        decode_base64(one["salt"], 32)
    if "base64" in one:
        data = decode_base64(one["base64"])
        try:
            utf8(data)
        except Malformed:
            return
        raise Malformed("base64 of what is UTF-8")


class _Bundle:
    def __init__(self, bundle: dict[str, Any], report: Report) -> None:
        self.bundle, self.report = bundle, report

    def verify(self, vkey: str | None) -> None:
        report, bundle = self.report, self.bundle
        report.origin, report.pinned = bundle["origin"], vkey is not None
        opened = self._open(vkey)
        if opened is None:
            return
        checkpoint, key = opened
        report.size = checkpoint.size
        hashes = {one["index"]: leaf_hash(decode_base64(one["entry"])) for one in bundle["entries"]}
        try:
            require(max(hashes) < checkpoint.size and self._root(hashes, checkpoint.size) == checkpoint.root, "another root")
        except Malformed as error:
            report.bad("root", None, str(error))
        entries = self._entries(hashes, key)
        if report.newer_from is None and not any(one.code == "entry_malformed" for one in report.problems):
            self._payloads(entries)

    def _open(self, vkey: str | None) -> tuple[Checkpoint, Key] | None:
        """Step 2."""
        bundle, report = self.bundle, self.report
        try:
            keys = [parse_key(text) for text in bundle["keys"]]
            require(keys[0].type == LOG and all(key.type == WITNESS for key in keys[1:]), "keys of other types")
            note = parse_note(bundle["checkpoint"].encode())
            require([(name, id_) for name, id_, _ in note.signatures] == [(key.name, key.id) for key in keys], "signatures of other keys")
            require(all(key.verify(note.text, signature) for key, (_, _, signature) in zip(keys, note.signatures)), "a false signature")
            checkpoint = parse_checkpoint(note.text)
            require(checkpoint.origin == bundle["origin"] == keys[0].name, "a checkpoint of another log")
        except (Malformed, UnicodeEncodeError) as error:
            report.bad("checkpoint", None, str(error))
            return None
        if vkey is not None and keys[0].text != vkey:
            report.bad("key", None, f"signed under {keys[0].text}")
        return checkpoint, keys[0]

    def _root(self, hashes: dict[int, bytes], size: int) -> bytes:
        """§14.2, over the parts of the tree from the left to the right."""
        proof, used = [decode_base64(one) for one in self.bundle["proof"]], 0
        indexes = sorted(hashes)

        def hash_(start: int, end: int, own: list[int]) -> bytes:
            nonlocal used
            if not own:
                require(used < len(proof), "a proof that is too short")
                used += 1
                return proof[used - 1]
            if end - start == 1:
                return hashes[start]
            middle = start + split(end - start)
            left = hash_(start, middle, [one for one in own if one < middle])
            return node_hash(left, hash_(middle, end, [one for one in own if one >= middle]))

        root = hash_(0, size, indexes)
        require(used == len(proof), "a proof that is too long")
        return root

    def _entries(self, hashes: dict[int, bytes], key: Key) -> list[Entry]:
        """Steps 3 and 4."""
        report, session = self.report, self.bundle["session_id"]
        own, others = list[Entry](), list[Entry]()
        sessions = Sessions(self.bundle["origin"], report)
        for one in self.bundle["entries"]:
            index = one["index"]
            report.counts["entries"] += 1
            try:
                entry = parse_entry(decode_base64(one["entry"]))
            except Malformed as error:
                report.bad("entry_malformed", index, str(error))
                continue
            if entry.index is not None and entry.index != index:
                report.bad("index", index, f"says index {entry.index}")
            if entry.newer_format:
                report.met_newer(index)
                continue
            report.counts["newer"] += entry.newer_words
            if index == 0 and (entry.event_type != "log_start" or (entry.facts["format"], entry.facts["origin"], entry.facts["vkey"]) != (FORMAT, key.name, key.text)):
                report.bad("log_start", 0, "begins another log")
            if entry.session_id == session:
                own.append(entry)
                sessions.add(entry, index, hashes[index])
            else:
                others.append(entry)
        if not own:
            report.bad("session_missing", None, "no entry is of the session")
        self._erasures(own, others)
        report.incomplete += sessions.missing()
        if own and own[-1].event_type not in ENDS:
            report.incomplete.append(session)
        return sorted(own + others, key=lambda entry: entry.index or 0)

    def _erasures(self, own: list[Entry], others: list[Entry]) -> None:
        session = self.bundle["session_id"]
        erasures = [entry for entry in others if entry.event_type == "erasure" and entry.writer == "ledger"]
        about = {entry.facts["erasure"] for entry in erasures if entry.facts["phase"] == "ordered" and any(scope.startswith(f"{session}/") for scope in entry.facts.get("scopes", []))}
        for entry in others:
            if entry not in erasures or entry.facts["erasure"] not in about:
                self.report.bad("entry_extra", entry.index, "erases nothing of this session")

    def _payloads(self, entries: list[Entry]) -> None:
        """Step 5."""
        report = self.report
        expected: list[tuple[int, Ref]] = [(entry.index or 0, ref) for entry in entries for ref in entry.refs]
        ordered = {scope for entry in entries if entry.event_type == "erasure" and entry.writer == "ledger" and entry.facts["phase"] == "ordered" for scope in entry.facts.get("scopes", [])}
        given = self.bundle["payloads"]
        for n, one in enumerate(given):
            if n >= len(expected) or (one["index"], one["slot"], one["position"], one["media"]) != (expected[n][0], expected[n][1].slot, expected[n][1].position, expected[n][1].media):
                report.bad("payload_list", one["index"], "not the payload that the entries have next")
                return
            index, ref = expected[n]
            if "withheld" in one:
                report.counts["erased" if ref.scope in ordered else "withheld"] += 1
                continue
            report.counts["payloads"] += 1
            content = one["text"].encode("utf-8", "surrogatepass") if "text" in one else decode_base64(one["base64"])
            if commitment(decode_base64(one["salt"]), content) != decode_base64(ref.commitment):
                report.bad("commitment", index, f"{ref.slot}/{ref.position}")
        if len(given) < len(expected):
            report.bad("payload_list", expected[len(given)][0], "a payload is not in the list")


def read_bundle(path: Path) -> str | None:
    """The document in a file, or None when it is no bundle."""
    return document_of(utf8(path.read_bytes()))


def is_bundle(head: bytes) -> bool:
    return head.startswith(b"{") or re.match(rb"\s*<", head) is not None
