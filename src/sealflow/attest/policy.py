"""Core, pure: which claims are good enough, and the approval that says so. Spec: attestation.md, 4.

A production policy and a simulation policy are different classes: no flag turns one into the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.claims import Claims, TrustRoot, verify
from sealflow.errors import PolicyError
from sealflow.wire.strict_json import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.evidence import Evidence, Role
    from sealflow.attest.requirements import Requirements

_DEBUG: Final = 0x02
_WANTED_ATTRIBUTES: Final = 0x05
_FORBIDDEN_ATTRIBUTES: Final = 0x32
"""INIT and MODE64BIT must be set; DEBUG, PROVISION_KEY and EINITTOKEN_KEY must not. Source: Intel
SDM volume 3D, section 34.7.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing in the claims that the policy does not accept, and what can be done about it."""

    code: str
    expected: str
    got: str
    hint: str

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.code}: expected {self.expected}, got {self.got}; {self.hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an enclave of real hardware must prove."""

    role: Role
    deployment: str
    manifest_digest: str
    requirements: Requirements

    @property
    def root(self) -> TrustRoot:
        """Intel's root."""
        return TrustRoot()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPolicy:
    """What a simulated enclave must prove. Accepting one protects nothing from the operator."""

    role: Role
    deployment: str
    manifest_digest: str
    requirements: Requirements
    insecure_root: bytes = field(repr=False)

    @property
    def root(self) -> TrustRoot:
        """The simulated platform's own root."""
        return TrustRoot(insecure_root=self.insecure_root)


AnyPolicy = Policy | SimulationPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Proof that claims passed a policy; whatever hands out keys demands one.

    `until_ms`: Unix ms after which the collateral must be fetched anew.
    """

    claims: Claims
    policy_digest: str
    until_ms: int
    _appraised: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse approvals that nobody made."""
        if self._appraised is not _APPRAISED:
            raise TypeError("approvals are made by appraise() alone")


def appraise(
    evidence: Evidence, policy: AnyPolicy, now_ms: int, *, nonce: str | None = None
) -> Approval:
    """Verify evidence, then compare every claim with the policy.

    `nonce`: the appraiser's own, when freshness must be proved (64 hex digits).

    Raises: EvidenceError, or PolicyError with all mismatches.
    """
    claims = verify(evidence, policy.root, now_ms)
    mismatches = (*_identity(claims, policy, nonce), *_platform(claims, policy, now_ms))
    if mismatches:
        raise PolicyError(mismatches)
    return Approval(
        claims=claims,
        policy_digest=policy_digest(policy),
        until_ms=claims.collateral_expires_ms,
        _appraised=_APPRAISED,
    )


def policy_digest(policy: AnyPolicy) -> str:
    """Name a policy by what it demands."""
    root = policy.root.insecure_root
    whole = canonical(
        {
            "role": policy.role.value,
            "deployment": policy.deployment,
            "manifest_digest": policy.manifest_digest,
            "requirements": policy.requirements.as_json(),
            "insecure_root": None if root is None else hashlib.sha256(root).hexdigest(),
        }
    )
    return hashlib.sha256(whole).hexdigest()


def _identity(claims: Claims, policy: AnyPolicy, nonce: str | None) -> Iterator[Mismatch]:
    bound, wanted = claims.bound, policy.requirements
    if bound.role is not policy.role:
        yield Mismatch(
            code="role",
            expected=policy.role,
            got=bound.role,
            hint="another kind of enclave answered",
        )
    if bound.deployment != policy.deployment:
        yield Mismatch(
            code="deployment",
            expected=policy.deployment,
            got=bound.deployment,
            hint="this is another deployment: check the address, or use its policy",
        )
    if bound.manifest_digest != policy.manifest_digest:
        yield Mismatch(
            code="manifest_digest",
            expected=policy.manifest_digest,
            got=bound.manifest_digest,
            hint="the deployment's settings changed: ask its owner for a new policy",
        )
    if claims.measurement not in wanted.measurements:
        yield Mismatch(
            code="measurement",
            expected=" or ".join(sorted(wanted.measurements)),
            got=claims.measurement,
            hint="other code runs than the policy names: ask the owner for a new policy",
        )
    if wanted.signers and claims.signer not in wanted.signers:
        yield Mismatch(
            code="signer",
            expected=" or ".join(sorted(wanted.signers)),
            got=claims.signer,
            hint="somebody else signed the enclave",
        )
    if nonce is not None and bound.nonce != nonce:
        yield Mismatch(
            code="nonce", expected=nonce, got=bound.nonce, hint="old evidence: ask for new evidence"
        )


def _platform(claims: Claims, policy: AnyPolicy, now_ms: int) -> Iterator[Mismatch]:
    wanted = policy.requirements
    if (
        claims.attributes & _FORBIDDEN_ATTRIBUTES
        or claims.attributes & _WANTED_ATTRIBUTES != _WANTED_ATTRIBUTES
    ):
        debug = "a debug enclave" if claims.attributes & _DEBUG else "not a production enclave"
        yield Mismatch(
            code="attributes", expected="0x05", got=f"{claims.attributes:#04x}", hint=debug
        )
    if claims.svn < wanted.min_svn:
        yield Mismatch(
            code="svn",
            expected=f"at least {wanted.min_svn}",
            got=str(claims.svn),
            hint="an old release: the operator must update",
        )
    if claims.tcb_status not in wanted.tcb_statuses:
        yield Mismatch(
            code="tcb_status",
            expected=" or ".join(sorted(wanted.tcb_statuses)),
            got=claims.tcb_status,
            hint="the operator must update microcode or BIOS",
        )
    unknown = [each for each in claims.advisories if each not in wanted.advisories]
    if unknown:
        yield Mismatch(
            code="advisories",
            expected="only " + (", ".join(sorted(wanted.advisories)) or "none"),
            got=", ".join(unknown),
            hint="read the advisories, then update the platform or allow them by name",
        )
    age_s = (now_ms - claims.collateral_issued_ms) // 1000
    if age_s > wanted.max_collateral_age_s:
        yield Mismatch(
            code="collateral_age",
            expected=f"at most {wanted.max_collateral_age_s} s",
            got=f"{age_s} s",
            hint="the operator must fetch collateral anew",
        )
    if claims.tcb_evaluation < wanted.min_tcb_evaluation:
        yield Mismatch(
            code="tcb_evaluation",
            expected=f"at least {wanted.min_tcb_evaluation}",
            got=str(claims.tcb_evaluation),
            hint="the operator must fetch collateral anew",
        )


_APPRAISED: Final = object()
