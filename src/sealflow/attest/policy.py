"""Core, pure: which claims are good enough, and the approval that says so. Spec: attestation.md, 4.

A production policy and a simulation policy are different classes: no flag turns one into the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.amd.checks import check_amd, check_snp
from sealflow.attest.checks import check_age, check_bound, check_code
from sealflow.attest.claims import Claims, TrustRoot, verify_evidence
from sealflow.attest.evidence import Tee
from sealflow.attest.intel.checks import check_intel, check_sgx, check_tdx
from sealflow.attest.reports import IntelPlatform, SgxReport, TdxReport
from sealflow.errors import MalformedError, PolicyError
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealflow.attest.evidence import Evidence, Role
    from sealflow.attest.requirements import Requirements
    from sealflow.errors import Mismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an enclave of real hardware must prove. Mostly read from a file by `load_policy`.

    Attributes:
        role: What the enclave is for.
        tee: Its hardware, not `Tee.SIMULATED`.
        deployment: The name of its deployment.
        manifest_digest: SHA-256 of the deployment's settings, 64 hex digits.
        requirements: What code and platform must be.
        models: Accepted package digests by model name; empty leaves models to the deployment's
            owners.

    Raises:
        MalformedError: The TEE is simulated, or the requirements are those of other hardware.

    Example:
        >>> policy = Policy(
        ...     role=Role.KEY_BROKER,
        ...     tee=Tee.SGX,
        ...     deployment="clinic",
        ...     manifest_digest="ab" * 32,
        ...     requirements=Requirements(measurements=frozenset({"cd" * 32})),
        ... )
        >>> describe_policy(policy)[0].text
        'An SGX enclave on Intel hardware, in production mode.'
    """

    role: Role
    tee: Tee
    deployment: str
    manifest_digest: str
    requirements: Requirements
    models: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no hardware could meet."""
        if self.tee is Tee.SIMULATED:
            raise MalformedError("a simulation needs a policy of its own, with its root")
        self.requirements.require_fit(self.tee)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPolicy:
    """What a simulated enclave must prove. Accepting one protects nothing from the operator.

    Attributes:
        role: What the enclave is for.
        deployment: The name of its deployment.
        manifest_digest: SHA-256 of the deployment's settings, 64 hex digits.
        requirements: What code and platform must be.
        insecure_root: The simulated platform's root certificate, DER.
        models: As in `Policy`.

    Example:
        >>> load_policy(".sealflow/client.toml").tee
        <Tee.SIMULATED: 'simulated'>
    """

    role: Role
    deployment: str
    manifest_digest: str
    requirements: Requirements
    insecure_root: bytes = field(repr=False)
    models: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def tee(self) -> Tee:
        """Always `Tee.SIMULATED`."""
        return Tee.SIMULATED


def trust_root(policy: Policy | SimulationPolicy) -> TrustRoot:
    """Return whose signatures count: the makers' own roots, or the simulated platform's."""
    return TrustRoot(
        insecure_root=policy.insecure_root if isinstance(policy, SimulationPolicy) else None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Proof that claims passed a policy; whatever hands out keys demands one.

    `valid_until_ms`: Unix ms after which the collateral must be fetched anew.
    """

    claims: Claims
    policy_digest: str
    valid_until_ms: int
    _appraised: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse approvals that nobody made."""
        if self._appraised is not _APPRAISED:
            raise TypeError("approvals are made by appraise() alone")


def appraise(
    evidence: Evidence, policy: Policy | SimulationPolicy, now_ms: int, *, nonce: str | None = None
) -> Approval:
    """Verify evidence, then compare every claim with the policy.

    `nonce`: the appraiser's own, when freshness must be proved (64 hex digits).

    Raises: EvidenceError, or PolicyError with all mismatches.
    """
    claims = verify_evidence(evidence, trust_root(policy), now_ms)
    mismatches = tuple(_mismatches(claims, policy, now_ms, nonce))
    if mismatches:
        raise PolicyError(mismatches)
    issued_until_s = claims.platform.collateral_issued_s + policy.requirements.max_collateral_age_s
    return Approval(
        claims=claims,
        policy_digest=policy_digest(policy),
        valid_until_ms=1000 * min(issued_until_s, claims.platform.collateral_expires_s),
        _appraised=_APPRAISED,
    )


def policy_digest(policy: Policy | SimulationPolicy) -> str:
    """Name a policy in logs and reports: SHA-256 of all it says, in hex."""
    root = trust_root(policy).insecure_root or b""
    whole = canonical_json(
        {
            "role": policy.role.value,
            "tee": policy.tee.value,
            "deployment": policy.deployment,
            "manifest_digest": policy.manifest_digest,
            "requirements": policy.requirements.to_json(),
            "models": {name: sorted(digests) for name, digests in policy.models.items()},
            "root": hashlib.sha256(root).hexdigest(),
        }
    )
    return hashlib.sha256(whole).hexdigest()


def _mismatches(
    claims: Claims, policy: Policy | SimulationPolicy, now_ms: int, nonce: str | None
) -> Iterator[Mismatch]:
    required, platform = policy.requirements, claims.platform
    yield from check_bound(
        claims.bound,
        role=policy.role,
        tee=policy.tee,
        deployment=policy.deployment,
        manifest_digest=policy.manifest_digest,
        nonce=nonce,
    )
    yield from check_code(claims.report, required)
    report = claims.report
    if isinstance(report, SgxReport):
        yield from check_sgx(report)
    elif isinstance(report, TdxReport):
        yield from check_tdx(report, required.tdx)
    else:
        yield from check_snp(report, required.snp, required.platform_flags)
    if isinstance(platform, IntelPlatform):
        yield from check_intel(platform, required, now_ms)
    else:
        yield from check_amd(platform, required.snp)
    yield from check_age(platform, required, now_ms)


_APPRAISED: Final = object()
