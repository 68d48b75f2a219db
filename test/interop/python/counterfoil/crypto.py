"""SHA-256, HMAC, HKDF, AES-256-GCM and the strict Ed25519 of docs/format.md §2.3."""

from __future__ import annotations

import hashlib
import hmac as _hmac

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hmac(key: bytes, *parts: bytes) -> bytes:
    return _hmac.digest(key, b"".join(parts), "sha256")


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    key = hmac(salt or bytes(32), secret)
    out, block, n = b"", b"", 0
    while len(out) < length:
        n += 1
        block = hmac(key, block, info, bytes([n]))
        out += block
    return out[:length]


def open_sealed(head: bytes, sealed: bytes, secret: bytes, salt: bytes, info: bytes) -> bytes | None:
    """The plaintext, or None when the tag is false."""
    okm = hkdf(secret, salt, info, 44)
    try:
        return AESGCM(okm[:32]).decrypt(okm[32:], sealed, head)
    except InvalidTag:
        return None


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L:
        return False
    if not (_large_and_canonical(public) and _large_and_canonical(signature[:32])):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _large_and_canonical(point: bytes) -> bool:
    """y below p, and no point of order 1, 2, 4 or 8. Those have y = ±1, y = 0, or twice them has y = 0: x² = −y², so d·y⁴ + 2y² = 1."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    square = y * y % P
    return y < P and y != 0 and square != 1 and (D * square * square + 2 * square - 1) % P != 0
