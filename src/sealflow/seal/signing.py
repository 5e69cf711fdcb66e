"""Core: the one check of Ed25519 signatures."""

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
    """Check that the holder of `signer`, an Ed25519 public key, signed exactly these bytes.

    Raises: `refusal`, whatever is wrong.
    """
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise refusal from None
