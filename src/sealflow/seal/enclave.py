"""Core, pure: hand a secret to an enclave that was appraised. Spec: keybroker.md, section 3.

Sealed to the key in its evidence and signed over its nonce and claims: nobody else can open it, and
nobody but the key broker that was asked can have written it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sealflow.errors import MalformedError, OpenError
from sealflow.seal.keys import SealingKey, parse_suite
from sealflow.seal.signing import verify_signature
from sealflow.wire.domain import length_prefixed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.policy import Approval
    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.domain import TrustDomain


def seal_to_enclave(
    text: bytes, approval: Approval, signing: Ed25519PrivateKey, purpose: str
) -> tuple[bytes, bytes]:
    """Seal `text` to the approved enclave; returns it with the giver's signature.

    Raises: MalformedError when the enclave's key is of another trust domain than its evidence.
    """
    bound, domain = approval.claims.bound, approval.claims.domain
    key = SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)
    if key.suite.domain is not domain:
        raise MalformedError("bound claims: the sealing key is of another trust domain")
    sealed = key.seal(text, domain.label(purpose))
    return sealed, signing.sign(_signed(domain, purpose, bound.nonce, bound.to_bytes(), sealed))


def open_sealed(  # noqa: PLR0913 - everything that the secret is bound to
    sealed: bytes,
    signature: bytes,
    *,
    opening: OpeningKey,
    bound: bytes,
    nonce: str,
    signer: bytes,
    purpose: str,
) -> bytes:
    """Open what `seal_to_enclave` sealed to this enclave's evidence.

    `signer`: the giver's Ed25519 public key, from approved claims. `bound`, `nonce`: what the
    evidence was made of.

    Raises: OpenError when it is not for this evidence or not of this giver.
    """
    domain = opening.suite.domain
    verify_signature(signer, signature, _signed(domain, purpose, nonce, bound, sealed), OpenError())
    return opening.open(sealed, domain.label(purpose))


def _signed(domain: TrustDomain, purpose: str, nonce: str, bound: bytes, sealed: bytes) -> bytes:
    parts = (bytes.fromhex(nonce), hashlib.sha256(bound).digest(), sealed)
    return domain.label(purpose) + length_prefixed(*parts)
