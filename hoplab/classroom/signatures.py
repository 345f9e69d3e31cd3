# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signatures (RFC 8032), made and checked by the library cryptography.

What lives here: the one place that names that library. What must not: what is signed.
"""

from __future__ import annotations

from typing import Any

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

KEY_BYTES, SIGNATURE_BYTES = 32, 64


def _ed25519() -> Any:
    """The library's module. Raises LabError where it is not installed."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise LabError(
            term("signatures need the package cryptography"),
            say("install it: {command}", command="pip install cryptography"),
            Exit.REFUSED,
        ) from None
    return ed25519


def public_key(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes both. Raises LabError, ValueError."""
    from cryptography.hazmat.primitives import serialization

    key = _ed25519().Ed25519PrivateKey.from_private_bytes(private).public_key()
    raw: bytes = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw


def sign(private: bytes, data: bytes) -> bytes:
    """The signature, 64 bytes. Raises LabError, ValueError."""
    made: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(private).sign(data)
    return made


def is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether whoever has the private key signed this very data. Raises LabError."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
