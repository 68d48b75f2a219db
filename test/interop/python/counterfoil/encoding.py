"""Texts and bytes of docs/format.md §1: base64, canonical JSON (RFC 8785), times, labels."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

SAFE = 2**53 - 1
LEVELS = 64


class Malformed(Exception):
    """What was read is not of the form that the page demands."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise Malformed(what)


def decode_base64(text: object, length: int | None = None) -> bytes:
    require(isinstance(text, str) and text.isascii(), "expected base64")
    assert isinstance(text, str)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed(f"base64: {error}") from None
    require(base64.b64encode(data).decode() == text, "base64 that encodes to another text")
    require(length is None or len(data) == length, f"expected {length} bytes of base64, got {len(data)}")
    return data


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPED = re.compile(r'["\\\x00-\x1f]')


def _string(text: str) -> str:
    require(not any(0xD800 <= ord(c) <= 0xDFFF for c in text), "a lone surrogate")
    return '"' + _ESCAPED.sub(lambda m: _ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", text) + '"'


def _number(value: float) -> str:
    """ECMAScript's Number::toString, which RFC 8785 prescribes."""
    require(value == value and abs(value) != float("inf"), "a number that JSON has not")
    if value == 0:
        return "0"
    mantissa, exponent = f"{value!r}e0".split("e")[:2] if "e" not in repr(value) else repr(value).split("e")
    sign, digits = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, fraction = digits.partition(".")
    point = len(whole) + int(exponent)
    digits = whole + ("" if fraction == "0" else fraction)
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.lstrip("0").rstrip("0")
    n = len(digits)
    if n <= point <= 21:
        return sign + digits + "0" * (point - n)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    shown = digits if n == 1 else digits[0] + "." + digits[1:]
    return f"{sign}{shown}e{point - 1:+d}"


def canonical(value: Any, level: int = 0) -> str:
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value) if abs(value) <= SAFE else _number(float(value))
    if isinstance(value, float):
        return _number(value)
    require(level < LEVELS, "nesting over 64 levels")
    if isinstance(value, list):
        return "[" + ",".join(canonical(one, level + 1) for one in value) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{_string(name)}:{canonical(value[name], level + 1)}" for name in names) + "}"


def parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from None


def utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("no UTF-8") from None


def is_int(value: object, low: int = 0, high: int = SAFE) -> bool:
    return type(value) is int and low <= value <= high


_FORMS = {
    "label": r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "ref": r"[0-9a-f]{32}",
    "decimal": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?",
    "name": r"[a-z][a-z0-9_]{0,63}",
    "time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z",
}
_COMPILED = {name: re.compile(form) for name, form in _FORMS.items()}


def matches(form: str, value: object) -> bool:
    if not isinstance(value, str) or _COMPILED[form].fullmatch(value) is None:
        return False
    if form == "time":
        return _date_exists(value)
    return form != "decimal" or len(value) <= 32


def _date_exists(time: str) -> bool:
    year, month, day = int(time[:4]), int(time[5:7]), int(time[8:10])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return 1 <= month <= 12 and 1 <= day <= days[month - 1] and int(time[11:13]) < 24 and int(time[14:16]) < 60 and int(time[17:19]) < 60


def is_hash(value: object) -> bool:
    return _is_base64(value, 32)


def is_signature(value: object) -> bool:
    return _is_base64(value, 64)


def _is_base64(value: object, length: int) -> bool:
    try:
        decode_base64(value, length)
    except Malformed:
        return False
    return True
