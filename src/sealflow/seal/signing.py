"""Core: verification of Ed25519 signatures (RFC 8032).

Every reader must come to the same verdict: the equation is the one without cofactor, S is below the
group order (both as OpenSSL does it), and keys are canonical and not of small order.
Spec: docs/spec/registry.md, Ed25519.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from sealflow.errors import SealflowError

SIGNATURE_BYTES: Final = 64
_PRIME: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y: Final = frozenset({0, 1, _PRIME - 1, _ORDER_8_Y, _PRIME - _ORDER_8_Y})
"""The y coordinates of the eight points whose order divides 8."""


def verify_signature(
    signer: bytes, signature: bytes, signed: bytes, refusal: SealflowError
) -> None:
    """Check a signature over `signed` with `signer`, a raw Ed25519 public key.

    Raises: `refusal`, for a wrong signature and for a malformed or weak key.
    """
    y = int.from_bytes(signer, "little") & (2**255 - 1)
    if y >= _PRIME or y in _SMALL_ORDER_Y:
        raise refusal
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise refusal from None
