"""Owner, pure: verifies a published directory with its evidence against a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.attest.evidence import NO_NONCE
from sealflow.attest.policy import appraise
from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.errors import EvidenceError
from sealflow.seal.enclave import enclave_sealing_key
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.attest.policy import Approval
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.seal.keys import SealingKey


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedService:
    """The approval and the directory of a service that was verified against a policy.

    `keybroker`: the key broker's public key, to which content keys are sealed. `valid_until_ms`:
    Unix milliseconds.
    """

    approval: Approval
    keybroker: SealingKey
    directory: Directory
    valid_until_ms: int

    @property
    def simulated(self) -> bool:
        """Whether the TEE is simulated, so that nothing is protected from the operator."""
        return self.approval.claims.domain is TrustDomain.SIMULATED


def verify_directory(
    document: bytes, policy: TrustPolicy, now_ms: int
) -> tuple[VerifiedService, bytes]:
    """Appraise the evidence in a published directory and check the directory's signature and times.

    `now_ms`: Unix milliseconds. Return the verified service and the bytes that were signed.

    Raises: MalformedError, EvidenceError, PolicyError.
    """
    published = SignedDirectory.from_bytes(document)
    approval = appraise(published.evidence, policy, now_ms, nonce=NO_NONCE)
    bound = approval.claims.bound
    keybroker = enclave_sealing_key(approval.claims)
    directory = published.verify_signature(bound.signing_key, bound.tee.domain)
    if (directory.deployment, directory.manifest_digest) != (
        bound.deployment,
        bound.manifest_digest,
    ):
        raise EvidenceError("directory", "it is of another deployment than its evidence")
    if now_ms >= directory.expires_ms:
        raise EvidenceError(
            "directory_expired",
            "the service serves an expired directory: check this machine's clock, then ask the "
            "operator to check the key broker",
        )
    if directory.issued_ms > now_ms + MAX_CLOCK_SKEW_MS:
        raise EvidenceError(
            "directory_early", "it was issued in the future: check this machine's clock"
        )
    until_ms = min(directory.expires_ms, approval.valid_until_ms)
    verified = VerifiedService(
        approval=approval, keybroker=keybroker, directory=directory, valid_until_ms=until_ms
    )
    return verified, published.payload
