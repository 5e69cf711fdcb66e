"""Orders: who signed what, in the one form of it."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.domain import TrustDomain

KEY = Ed25519PrivateKey.generate()
ORDER = RevocationOrder(
    deployment="d",
    log_id="cd" * 32,
    counter=1,
    revoked=(Revoked(kind=RevokedKind.MODEL, id="ab" * 32),),
    signer=KEY.public_key().public_bytes_raw().hex(),
)


def test_round_trip() -> None:
    """What was signed is read again, and says what it said."""
    signed = SignedRevocationOrder.sign(ORDER, KEY, TrustDomain.SIMULATED)
    assert (
        SignedRevocationOrder.from_json(signed.to_json()).verify_signature(TrustDomain.SIMULATED)
        == ORDER
    )


def test_another_form() -> None:
    """The same order in other bytes is the same order, if it is signed so."""
    text = ORDER.to_bytes() + b" "
    signature = KEY.sign(TrustDomain.SIMULATED.label("order") + text)
    signed = SignedRevocationOrder(text=text, signature=signature)
    assert signed.verify_signature(TrustDomain.SIMULATED) == ORDER


def test_somebody_else_signed() -> None:
    """An order in another's name, or for the other world, was not given."""
    forged = SignedRevocationOrder.sign(ORDER, Ed25519PrivateKey.generate(), TrustDomain.SIMULATED)
    genuine = SignedRevocationOrder.sign(ORDER, KEY, TrustDomain.SIMULATED)
    for signed, domain in ((forged, TrustDomain.SIMULATED), (genuine, TrustDomain.HARDWARE)):
        with pytest.raises(EvidenceError, match="did not sign"):
            signed.verify_signature(domain)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (RevokedKind.WORKER, "ab" * 15),
        (RevokedKind.MODEL, "ab" * 16),
        (RevokedKind.KEY, "sim-ab"),
    ],
)
def test_names_of_nothing(kind: RevokedKind, name: str) -> None:
    """What is revoked must be named as its kind is."""
    with pytest.raises(MalformedError):
        dataclasses.replace(ORDER, revoked=(Revoked(kind=kind, id=name),))
