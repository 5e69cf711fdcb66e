"""Owner, pure: verify a published directory with its evidence, by a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.policy import appraise
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.errors import EvidenceError
from sealflow.seal.keys import SealingKey, parse_suite
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.attest.policy import Approval
    from sealflow.owner.trust.policy_file import TrustPolicy

MAX_CLOCK_SKEW_MS: Final = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedService:
    """A service whose evidence and directory passed the policy, until `valid_until_ms` (Unix)."""

    approval: Approval
    directory: Directory
    valid_until_ms: int

    @property
    def simulated(self) -> bool:
        """Whether the enclaves are a simulation: nothing was protected from the operator."""
        return self.approval.claims.domain is TrustDomain.SIMULATED

    @property
    def keybroker(self) -> SealingKey:
        """The key broker's own key, to hand content keys over."""
        bound = self.approval.claims.bound
        return SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)


def verify_directory(
    document: bytes, policy: TrustPolicy, now_ms: int
) -> tuple[VerifiedService, bytes]:
    """Judge a published directory with its evidence; returns the report and the signed payload.

    Raises: MalformedError, EvidenceError, PolicyError.
    """
    published = SignedDirectory.from_bytes(document)
    approval = appraise(published.evidence, policy, now_ms)
    bound = approval.claims.bound
    directory = published.verify_signature(bound.signing_key, bound.tee.domain)
    if (directory.deployment, directory.manifest_digest) != (
        bound.deployment,
        bound.manifest_digest,
    ):
        raise EvidenceError("directory", "it is of another deployment than its evidence")
    if now_ms >= directory.expires_ms:
        raise EvidenceError(
            "directory_expired",
            "the service shows an old directory: check this machine's clock, else the operator's "
            "key broker",
        )
    if directory.issued_ms > now_ms + MAX_CLOCK_SKEW_MS:
        raise EvidenceError("directory_early", "it is from the future: check this machine's clock")
    until_ms = min(directory.expires_ms, approval.valid_until_ms)
    verified = VerifiedService(approval=approval, directory=directory, valid_until_ms=until_ms)
    return verified, published.payload
