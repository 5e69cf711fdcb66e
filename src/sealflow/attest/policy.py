"""Core, pure: appraisal of claims by a policy, which yields an approval.

A production policy and a simulation policy are different classes, so no flag turns one into the
other. Spec: attestation.md, section 4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.amd.checks import check_amd, check_snp
from sealflow.attest.checks import check_age, check_bound, check_code
from sealflow.attest.claims import Claims, TrustRoot, verify_evidence
from sealflow.attest.evidence import NO_NONCE, Tee
from sealflow.attest.intel.checks import check_intel, check_sgx, check_tdx
from sealflow.attest.reports import IntelPlatform, SgxReport, TdxReport
from sealflow.attest.suites import ALL_SUITES, parse_suites
from sealflow.errors import MalformedError, PolicyError
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealflow.attest.evidence import Evidence, Role
    from sealflow.attest.requirements import Requirements
    from sealflow.attest.suites import SuiteName
    from sealflow.attest.verifiers import TrustedVerifier, WitnessRequirements
    from sealflow.errors import Mismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy for an enclave on real hardware. `load_policy` reads one from a file.

    Attributes:
        role: The role of the enclave.
        tee: Its TEE, not `Tee.SIMULATED`.
        deployment: The name of its deployment.
        manifest_digest: SHA-256 of the deployment's settings, 64 hex digits.
        requirements: The requirements on its code and platform.
        models: The accepted package digests by model name. If it and `owners` are empty, every
            model that the deployment's owners published is accepted.
        owners: The accepted owners' Ed25519 public keys, 64 hex digits each, by model name; `*` is
            every name that has no keys of its own. A model must meet `models` and `owners`.
        verifiers: The verifiers whose passports are accepted instead of evidence, or demanded
            besides it.
        suites: The cipher suites to seal requests by. A request is sealed by the first of them that
            the deployment has a key of.
        share_batch: Whether a client may let its rows share batches with other clients' rows.
        log: The witnesses that must have signed the log of a directory; None for none.

    Raises:
        MalformedError: The TEE is simulated, the requirements are those of another TEE, or no
            suite is named, or one twice.

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
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    verifiers: tuple[TrustedVerifier, ...] = ()
    suites: tuple[SuiteName, ...] = ALL_SUITES
    share_batch: bool = False
    log: WitnessRequirements | None = None

    def __post_init__(self) -> None:
        """Check the suites, and that the requirements are those of the TEE."""
        if self.tee is Tee.SIMULATED:
            raise MalformedError("tee simulated needs a simulation policy, which names its root")
        parse_suites(self.suites, "policy: suites")
        self.requirements.require_fit(self.tee)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPolicy:
    """The policy for a simulated enclave, which protects nothing from the operator.

    Attributes:
        role: The role of the enclave.
        deployment: The name of its deployment.
        manifest_digest: SHA-256 of the deployment's settings, 64 hex digits.
        requirements: The requirements on its code and platform.
        insecure_root: The simulated platform's root certificate, DER.
        models: As in `Policy`.
        owners: As in `Policy`.
        verifiers: As in `Policy`.
        suites: As in `Policy`.
        share_batch: As in `Policy`.
        log: As in `Policy`.

    Raises:
        MalformedError: No suite is named, or one twice.

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
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    verifiers: tuple[TrustedVerifier, ...] = ()
    suites: tuple[SuiteName, ...] = ALL_SUITES
    share_batch: bool = False
    log: WitnessRequirements | None = None

    def __post_init__(self) -> None:
        """Check the suites."""
        parse_suites(self.suites, "policy: suites")

    @property
    def tee(self) -> Tee:
        """Always `Tee.SIMULATED`."""
        return Tee.SIMULATED


def trust_root(policy: Policy | SimulationPolicy) -> TrustRoot:
    """Return the root that a policy trusts: the vendors' roots, or that of the simulation."""
    return TrustRoot(insecure_root=None if isinstance(policy, Policy) else policy.insecure_root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The result of an appraisal that found no mismatch; key release requires one.

    `valid_until_ms`: Unix ms when the collateral expires or becomes too old for the policy,
    whichever is first.
    """

    claims: Claims
    policy: Policy | SimulationPolicy = field(repr=False)
    valid_until_ms: int
    _appraised: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse any creation outside of `appraise`."""
        if self._appraised is not _APPRAISED:
            raise TypeError("Approval is not constructed directly: call appraise()")

    @property
    def policy_digest(self) -> str:
        """The digest of the policy that was met; see `policy_digest`."""
        return policy_digest(self.policy)


def appraise(
    evidence: Evidence, policy: Policy | SimulationPolicy, now_ms: int, *, nonce: str = NO_NONCE
) -> Approval:
    """Verify evidence, then compare all claims with a policy.

    `now_ms`: the verifier's time in Unix ms. `nonce`: the nonce that the evidence must contain (64
    hex digits); by default that of evidence which need not be fresh.

    Raises: EvidenceError if verification fails; PolicyError with all mismatches.
    """
    claims = verify_evidence(evidence, trust_root(policy), now_ms)
    mismatches = tuple(_mismatches(claims, policy, now_ms, nonce))
    if mismatches:
        raise PolicyError(mismatches)
    issued_until_s = claims.platform.collateral_issued_s + policy.requirements.max_collateral_age_s
    return Approval(
        claims=claims,
        policy=policy,
        valid_until_ms=1000 * min(issued_until_s, claims.platform.collateral_expires_s),
        _appraised=_APPRAISED,
    )


def policy_digest(policy: Policy | SimulationPolicy) -> str:
    """Return the SHA-256 of all fields of a policy, in hex, for logs and reports."""
    root = trust_root(policy).insecure_root or b""
    value: dict[str, object] = {
        "role": policy.role.value,
        "tee": policy.tee.value,
        "deployment": policy.deployment,
        "manifest_digest": policy.manifest_digest,
        "requirements": policy.requirements.to_json(),
        "models": {name: sorted(digests) for name, digests in policy.models.items()},
        "suites": list(policy.suites),
        "root": hashlib.sha256(root).hexdigest(),
    }
    if policy.owners:
        value["owners"] = {name: sorted(owners) for name, owners in policy.owners.items()}
    if policy.verifiers:
        value["verifiers"] = [verifier.to_json() for verifier in policy.verifiers]
    if policy.share_batch:
        value["share_batch"] = True
    if policy.log is not None:
        value["log"] = policy.log.to_json()
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _mismatches(
    claims: Claims, policy: Policy | SimulationPolicy, now_ms: int, nonce: str
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
    yield from check_age(platform.collateral_issued_s, required, now_ms)


_APPRAISED: Final = object()
