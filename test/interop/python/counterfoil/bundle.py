"""Evidence of one session in one file: docs/format.md §14."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .encoding import Malformed, canonical, decode_base64, is_int, matches, parse_json, require, utf8
from .entry import Entry, Ref
from .erasures import read_erasures
from .log import CannotRun, first_key, read_entry
from .note import LOG, WITNESS, Checkpoint, parse_checkpoint, parse_key, parse_note
from .reigns import Reign, Reigns
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
    if OPENING not in text:
        return None
    require(text.count(OPENING) == 1, "more than one block")
    document, closing, rest = text.partition(OPENING)[2].partition("<")
    require((closing + rest).startswith("</script>"), "a block that does not end")
    return document


def verify_bundle_file(path: Path, vkey: str | None) -> Report:
    report = Report()
    try:
        require(path.stat().st_size <= 4 * UNITS, "too long")
        document = document_of(utf8(path.read_bytes()))
    except Malformed as error:
        report.bad("bundle_malformed", None, str(error))
        return report
    if document is None:
        raise CannotRun("neither a database nor a bundle")
    return verify_bundle(document, vkey)


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
    require(_is_text(bundle["origin"], 4_096) and matches("uuid", bundle["session_id"]), "origin or session_id")
    require(_is_text(bundle["checkpoint"], 1_000_000), "checkpoint")
    keys, entries, proof, payloads = (bundle[name] for name in ("keys", "entries", "proof", "payloads"))
    require(isinstance(keys, list) and 1 <= len(keys) <= 100 and all(_is_text(key, 10_000) for key in keys), "keys")
    require(isinstance(entries, list) and 1 <= len(entries) <= 1_000_000, "entries")
    before = -1
    for one in entries:
        require(isinstance(one, dict) and set(one) == {"entry", "index"} and is_int(one["index"]) and one["index"] > before, "an entry")
        require(len(decode_base64(one["entry"])) <= 65_535, "an entry over 65,535 bytes")
        before = one["index"]
    require(isinstance(proof, list) and len(proof) <= 53 * len(entries), "proof")
    for one in proof:
        decode_base64(one, 32)
    require(isinstance(payloads, list) and len(payloads) <= 4_000_000, "payloads")
    for one in payloads:
        _payload(one)
    return bundle


def _is_text(value: object, most: int) -> bool:
    return isinstance(value, str) and len(value.encode("utf-16-le", "surrogatepass")) <= 2 * most


def _payload(one: Any) -> None:
    names = {"index", "slot", "position", "media"}
    require(isinstance(one, dict) and set(one) in (names | {"withheld"}, names | {"salt", "text"}, names | {"salt", "base64"}), "a payload")
    require(is_int(one["index"]) and _is_text(one["slot"], 64) and is_int(one["position"]) and _is_text(one["media"], 16), "a payload")
    require(one.get("withheld", True) is True and _is_text(one.get("text", ""), 64 << 20), "a payload")
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
        checkpoint = self._open()
        hashes = {one["index"]: leaf_hash(decode_base64(one["entry"])) for one in bundle["entries"]}
        entries = self._entries(hashes)
        reigns = self._read_reigns(entries)
        self._others(entries, reigns is not None)
        self._keys(entries, reigns, checkpoint, vkey)
        if checkpoint is not None:
            report.size = checkpoint.size
            try:
                require(max(hashes) < checkpoint.size and self._root(hashes, checkpoint.size) == checkpoint.root, "another root")
            except Malformed as error:
                report.bad("root", report.first_changed(), str(error))
        self._payloads(entries)

    def _open(self) -> Checkpoint | None:
        """Step 2, but whose key it is."""
        bundle, report = self.bundle, self.report
        try:
            keys = [parse_key(text) for text in bundle["keys"]]
            require(len(set(bundle["keys"])) == len(keys), "a key twice")
            require(keys[0].type == LOG and all(key.type == WITNESS for key in keys[1:]), "keys of other types")
            note = parse_note(bundle["checkpoint"].encode())
            require([(name, id_) for name, id_, _ in note.signatures] == [(key.name, key.id) for key in keys], "signatures of other keys")
            require(all(key.verify(note.text, signature) for key, (_, _, signature) in zip(keys, note.signatures)), "a false signature")
            checkpoint = parse_checkpoint(note.text)
            require(checkpoint.origin == bundle["origin"] == keys[0].name, "a checkpoint of another log")
        except (Malformed, UnicodeEncodeError) as error:
            report.bad("checkpoint", None, str(error))
            return None
        return checkpoint

    def _read_reigns(self, entries: list[Entry | None]) -> Reigns | None:
        """The keys that led to the one that signed, where the bundle has entry 0 and that names the first."""
        first = entries[0] if self.bundle["entries"][0]["index"] == 0 else None
        key = first_key(first, self.bundle["origin"]) if first is not None else None
        if first is None or key is None:
            return None
        reigns = Reigns(self.bundle["origin"], self.report, [Reign(key, 0)], first.session_id)
        for entry in entries:
            if entry is not None:
                reigns.add(entry)
        return reigns

    def _keys(self, entries: list[Entry | None], reigns: Reigns | None, checkpoint: Checkpoint | None, vkey: str | None) -> None:
        """Step 2: whose key signed."""
        report, signer = self.report, self.bundle["keys"][0]
        texts = [signer, *(one.key.text for one in reigns.line)] if reigns is not None else [signer]
        if vkey is not None and vkey not in texts:
            report.bad("key", None, f"signed under {signer}, to which the given key does not lead")
        if reigns is None or checkpoint is None:
            return
        if reigns.at(checkpoint.size).text != signer:
            report.bad("key_reign" if signer in texts[1:] else "key", None, "signed by another key than the one in force")
        own = [entry.index for entry in entries if entry is not None and entry.session_id == self.bundle["session_id"]]
        doubtful = [(start, end) for start, end in reigns.doubtful() if any(start <= index < end for index in own)]
        report.say_keys(reigns.told(), doubtful, vkey is None or vkey not in texts[1:] or reigns.leads(parse_key(vkey)))

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

    def _entries(self, hashes: dict[int, bytes]) -> list[Entry | None]:
        """Steps 3 and 4."""
        report, session = self.report, self.bundle["session_id"]
        entries: list[Entry | None] = []
        sessions = Sessions(self.bundle["origin"], report)
        for one in self.bundle["entries"]:
            report.counts["entries"] += 1
            entry = read_entry(decode_base64(one["entry"]), one["index"], report)
            entries.append(entry)
            if entry is not None and entry.session_id == session:
                sessions.add(entry, one["index"], hashes[one["index"]])
        own = [entry for entry in entries if entry is not None and entry.session_id == session]
        if own:
            sessions.settle(session, None)
        else:
            report.bad("session_missing", None, "no entry is of the session")
        report.incomplete += sessions.missing()
        if own and own[-1].event_type not in ENDS:
            report.incomplete.append(session)
        return entries

    def _others(self, entries: list[Entry | None], keys: bool) -> None:
        """Entries of other sessions account for what was erased of this one, or speak of the log's keys, and do nothing else."""
        session = self.bundle["session_id"]
        read = [entry for entry in entries if entry is not None]

        def orders(entry: Entry) -> bool:
            return any(scope.startswith(f"{session}/") for scope in read_erasures([entry]).ordered)

        about = {str(entry.facts.get("erasure")) for entry in read if orders(entry)}
        for entry in read:
            erases = entry.event_type == "erasure" and entry.writer == "ledger" and str(entry.facts.get("erasure")) in about
            speaks = keys and (entry.index == 0 or (entry.event_type in ("key_rotation", "key_compromise") and entry.writer == "ledger"))
            if entry.session_id != session and not erases and not speaks:
                self.report.bad("entry_extra", entry.index, "neither erases of this session nor speaks of a key")

    def _payloads(self, entries: list[Entry | None]) -> None:
        """Step 5."""
        report, given, n = self.report, self.bundle["payloads"], 0
        ordered = read_erasures(entry for entry in entries if entry is not None).ordered
        for i, entry in enumerate(entries):
            if entry is None:
                while n < len(given) and given[n]["index"] <= self.bundle["entries"][i]["index"]:
                    n += 1
                continue
            for ref in entry.refs:
                if n == len(given) or (given[n]["index"], given[n]["slot"], given[n]["position"], given[n]["media"]) != (entry.index, ref.slot, ref.position, ref.media):
                    report.bad("payload_list", entry.index, f"expected {ref.slot}/{ref.position} next")
                    return
                self._payload(given[n], entry.index, ref, ref.scope in ordered)
                n += 1
        if n < len(given):
            report.bad("payload_list", None, "a payload that no entry has")

    def _payload(self, one: dict[str, Any], index: int, ref: Ref, erased: bool) -> None:
        if "withheld" in one:
            self.report.counts["erased" if erased else "withheld"] += 1
            return
        content = one["text"].encode() if "text" in one else decode_base64(one["base64"])
        if commitment(decode_base64(one["salt"]), content) == decode_base64(ref.commitment):
            self.report.counts["payloads"] += 1
        else:
            self.report.bad("commitment", index, f"{ref.slot}/{ref.position}")
