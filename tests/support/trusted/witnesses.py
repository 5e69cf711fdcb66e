"""Witnesses that sign whatever a test has them sign."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.verifiers import TrustedWitness
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.owner.trust.log_proof import log_head
from sealflow.owner.witness.cosignature import cosign, log_checkpoint_text
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.documents.log_tree import TreeHead


@dataclass(frozen=True, kw_only=True)
class SigningWitness:
    """A witness with its private key."""

    name: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def trusted(self) -> TrustedWitness:
        """What a policy names it by."""
        public = self.private.public_key().public_bytes_raw()
        return TrustedWitness(name=self.name, public=public)

    def line(self, text: str, at_s: int) -> str:
        """A cosignature over a checkpoint."""
        return cosign(text, self.trusted, self.private.sign, at_s)


def head_of(document: bytes) -> tuple[Directory, TreeHead]:
    """The directory of a document of a simulation, and the head of its log."""
    published = SignedDirectory.from_bytes(document)
    directory = Directory.unverified_from_bytes(published.payload)
    head = log_head(directory, published.digest, TrustDomain.SIMULATED)
    assert head is not None
    return directory, head


def checkpoint_of(document: bytes, domain: TrustDomain = TrustDomain.SIMULATED) -> str:
    """The checkpoint that witnesses sign."""
    directory, head = head_of(document)
    return log_checkpoint_text(head, directory.log_id, domain)


def with_cosignatures(document: bytes, *lines: Any) -> bytes:
    """A document with cosignatures."""
    return json.dumps({**json.loads(document), "cosignatures": list(lines)}).encode()
