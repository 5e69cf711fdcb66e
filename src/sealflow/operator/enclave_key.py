"""Operator: the key that signs SGX enclaves. Source: Intel SDM volume 3D, section 37.14."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_BITS: Final = 3072
_EXPONENT: Final = 3
"""Both are fixed by the processor, which checks the signature with it."""


def new_enclave_key() -> tuple[bytes, str]:
    """Draw a key; gives its PEM, as gramine-sgx-sign reads it, and its MRSIGNER in hex."""
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    modulus = key.public_key().public_numbers().n.to_bytes(_BITS // 8, "little")
    return pem, hashlib.sha256(modulus).hexdigest()
