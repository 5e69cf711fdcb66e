"""Core: verification of Ed25519 signatures (RFC 8032)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from sealflow.errors import SealflowError

SIGNATURE_BYTES: Final = 64


def verify_signature(
    signer: bytes, signature: bytes, signed: bytes, refusal: SealflowError
) -> None:
    """Check a signature over `signed` with `signer`, a raw Ed25519 public key.

    Raises: `refusal`, for a wrong signature and for a malformed key or signature.
    """
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise refusal from None
