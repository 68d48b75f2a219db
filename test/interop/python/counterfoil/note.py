"""Signed notes, checkpoints and verifier keys: docs/format.md §2.1, §2.3 and the C2SP specifications that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .crypto import ed25519, sha256
from .encoding import Malformed, SAFE, decode_base64, require, utf8
from .tree import EMPTY

LOG, WITNESS = 0x01, 0x04


@dataclass(frozen=True)
class Key:
    text: str
    name: str
    id: bytes
    type: int
    public: bytes

    def verify(self, text: str, signature: bytes) -> bool:
        if self.type == LOG:
            return ed25519(self.public, text.encode(), signature)
        if len(signature) != 72:
            return False
        time = int.from_bytes(signature[:8], "big")
        return time <= SAFE and ed25519(self.public, f"cosignature/v1\ntime {time}\n{text}".encode(), signature[8:])


def parse_key(text: str) -> Key:
    require(isinstance(text, str), "a verifier key is a text")
    parts = text.split("+", 2)
    require(len(parts) == 3, "a verifier key is name+id+key")
    name, hexid, key = parts
    require(_is_name(name) and re.fullmatch("[0-9a-f]{8}", hexid), "a verifier key is name+id+key")
    data = decode_base64(key, 33)
    require(data[0] in (LOG, WITNESS), f"a key of type {data[0]}")
    require(sha256(name.encode(), b"\n", data)[:4].hex() == hexid, "a key id that is not its key's")
    return Key(text, name, bytes.fromhex(hexid), data[0], data[1:])


def _is_name(name: str) -> bool:
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


@dataclass(frozen=True)
class Note:
    text: str
    signatures: list[tuple[str, bytes, bytes]]


def parse_note(data: bytes) -> Note:
    require(len(data) <= 1_000_000, "a note over 1,000,000 bytes")
    whole = utf8(data)
    require(all(c >= " " or c == "\n" for c in whole), "a control character")
    at = whole.rfind("\n\n")
    require(at >= 0 and whole.endswith("\n"), "no signatures")
    text, lines = whole[: at + 1], whole[at + 2 :].split("\n")[:-1]
    require(1 <= len(lines) <= 100, "1 to 100 signatures")
    signatures = []
    for line in lines:
        match = re.fullmatch(r"— ([^ ]+) ([^ ]+)", line)
        require(match is not None and _is_name(match[1]), "no signature line")
        assert match is not None
        signature = decode_base64(match[2])
        require(len(signature) >= 5, "a signature without its key id")
        signatures.append((match[1], signature[:4], signature[4:]))
    return Note(text, signatures)


def verified_by(note: Note, keys: list[Key]) -> list[Key]:
    """The keys that signed; refuses a note with a false signature by one of them."""
    signed = []
    for name, id_, signature in note.signatures:
        for key in keys:
            if key.name == name and key.id == id_:
                require(key.verify(note.text, signature), f"a false signature by {name}")
                if key not in signed:
                    signed.append(key)
    return signed


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    lines = text.split("\n")[:-1]
    require(len(lines) >= 3, "a checkpoint has three lines")
    origin, size, root, *extensions = lines
    require(origin != "" and all(len(line.encode()) <= 4096 for line in (origin, *extensions)), "a line over 4,096 bytes")
    require("" not in extensions, "an empty extension line")
    require(re.fullmatch("0|[1-9][0-9]{0,15}", size) and int(size) <= SAFE, "the size is no decimal")
    checkpoint = Checkpoint(origin, int(size), decode_base64(root, 32))
    require(checkpoint.size > 0 or checkpoint.root == EMPTY, "an empty log has the empty root")
    return checkpoint


__all__ = ["Checkpoint", "Key", "LOG", "Malformed", "Note", "WITNESS", "parse_checkpoint", "parse_key", "parse_note", "verified_by"]
