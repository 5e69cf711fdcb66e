"""Core, pure: signed and sealed secrets for one approved enclave. Spec: keybroker.md, section 3.

A secret is sealed to the key in the enclave's evidence, so only this enclave can open it. The
key broker signs it together with the evidence's nonce and bound claims, so the enclave knows the
sender and that the secret answers this evidence.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from sealflow.errors import EvidenceError, MalformedError, OpenError
from sealflow.seal.keys import SealingKey, parse_suite
from sealflow.seal.signing import verify_signature
from sealflow.wire.domain import length_prefixed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.evidence import BoundClaims
    from sealflow.attest.policy import Approval
    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.domain import TrustDomain


class BoundKeys(Protocol):
    """The claims of an enclave that are to be trusted, by evidence or by a passport."""

    @property
    def bound(self) -> BoundClaims:
        """The keys and names of the enclave."""

    @property
    def domain(self) -> TrustDomain:
        """Its trust domain."""


def enclave_sealing_key(claims: BoundKeys) -> SealingKey:
    """Return the key of an enclave to which secrets are sealed.

    Raises: EvidenceError (`bound_claims`) if it is not a key of its suite.
    """
    try:
        suite = parse_suite(claims.bound.sealing_suite)
        return SealingKey(suite=suite, public=claims.bound.sealing_key)
    except MalformedError as error:
        raise EvidenceError("bound_claims", f"bound claims: {error}") from error


def seal_to_enclave(
    text: bytes, approval: Approval, signing: Ed25519PrivateKey, purpose: str
) -> tuple[bytes, bytes]:
    """Seal `text` to an approved enclave; return the sealed bytes and the sender's signature.

    `signing`: the sender's key. `purpose`: the label of the secret, such as `grant`.

    Raises: EvidenceError if the enclave's sealing key is not one of its trust domain;
    MalformedError if it is of low order.
    """
    claims = approval.claims
    domain, nonce = claims.domain, claims.bound.nonce
    sealed = enclave_sealing_key(claims).seal(text, domain.label(purpose))
    return sealed, signing.sign(_signed(domain, purpose, nonce, claims.bound_bytes, sealed))


def open_sealed(  # noqa: PLR0913 - each argument is one thing that the secret is bound to
    sealed: bytes,
    signature: bytes,
    *,
    private_key: OpeningKey,
    bound: bytes,
    nonce: str,
    signer: bytes,
    purpose: str,
) -> bytes:
    """Verify and open a secret that `seal_to_enclave` sealed to this enclave's evidence.

    `private_key`: the private key whose public part is in the evidence. `bound`, `nonce`: the bound
    claims and the nonce (hex) of the evidence. `signer`: the sender's Ed25519 public key, from its
    approved claims.

    Raises: OpenError if the signature is not by `signer` for this evidence and purpose, or the
    seal does not open.
    """
    domain = private_key.suite.domain
    verify_signature(signer, signature, _signed(domain, purpose, nonce, bound, sealed), OpenError())
    return private_key.open(sealed, domain.label(purpose))


def _signed(domain: TrustDomain, purpose: str, nonce: str, bound: bytes, sealed: bytes) -> bytes:
    parts = (bytes.fromhex(nonce), hashlib.sha256(bound).digest(), sealed)
    return domain.label(purpose) + length_prefixed(*parts)
