"""Owner, pure: a client's decision on passports: whether they are what its policy demands.

A passport never makes an `Approval`, which key release demands. It makes a `PassportApproval`,
which only clients take. Spec: passport.md, section 4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import among, check_age, check_bound, check_code, equal
from sealflow.attest.evidence import NO_NONCE, BoundClaims, Tee
from sealflow.attest.intel.checks import check_registers, check_statuses
from sealflow.attest.policy import policy_digest
from sealflow.errors import EvidenceError, MalformedError, PolicyError
from sealflow.owner.passport.passport import MAX_PASSPORTS, Tier, verify_passport
from sealflow.wire.fields import evidence_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Policy, SimulationPolicy
    from sealflow.attest.verifiers import TrustedVerifier
    from sealflow.errors import Mismatch, VerificationError
    from sealflow.owner.passport.passport import Passport, PassportClaims
    from sealflow.wire.domain import TrustDomain

_ACCEPTED_TIERS: Final = (Tier.AFFIRMING, Tier.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedClaims:
    """A key broker's claims for which a verifier vouches; no quote was checked on this machine.

    `bound`: what the key broker states about itself. `passport`: what the verifier says of the
    quote that binds it.
    """

    bound: BoundClaims
    passport: Passport

    @property
    def domain(self) -> TrustDomain:
        """The trust domain of the key broker."""
        return self.bound.tee.domain

    @property
    def measurement(self) -> str:
        """MRENCLAVE, MRTD or launch digest, in hex."""
        return self.passport.claims.measurement

    @property
    def signer(self) -> str:
        """MRSIGNER or the digest of the id key, in hex; empty for TDX."""
        return self.passport.claims.signer

    @property
    def svn(self) -> int:
        """The security version number (SVN) of the enclave; 0 for TDX."""
        return self.passport.claims.svn

    @property
    def tcb_status(self) -> str:
        """Intel's TCB status of the platform; `not rated` for AMD."""
        return self.passport.claims.tcb_status

    @property
    def advisories(self) -> tuple[str, ...]:
        """The ids of Intel's security advisories that apply to the platform."""
        return self.passport.claims.advisories

    def to_json(self) -> dict[str, object]:
        """Return the claims with the keys of `Claims.to_json`, as far as a passport has them."""
        said = self.passport.claims
        return {
            "tee": self.bound.tee.value,
            "form": said.form.value,
            "measurement": said.measurement,
            "signer": said.signer,
            "svn": said.svn,
            "tcb_status": said.tcb_status,
            "advisories": list(said.advisories),
            "collateral_issued_ms": said.collateral_issued_ms,
            "collateral_expires_ms": None,
            "registers": dict(said.registers),
            "report_digest": None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PassportApproval:
    """A client's approval of a key broker by a passport. Only `accept_passport` makes one."""

    claims: VouchedClaims
    policy_digest: str
    valid_until_ms: int
    _accepted: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse any creation outside of `accept_passport`."""
        if self._accepted is not _ACCEPTED:
            raise TypeError("PassportApproval is not constructed directly: call accept_passport()")


def accept_passport(
    passport: Passport, evidence: Evidence, policy: Policy | SimulationPolicy, now_ms: int
) -> PassportApproval:
    """Compare a verified passport with the bound claims that it is about, and with a policy.

    `evidence`: untrusted; only its bound claims are read.

    Raises: EvidenceError if the passport is about other claims (`passport_bound`) or contradicts
        them, or the bound claims do not parse (`bound_claims`); PolicyError with all mismatches.
    """
    said = passport.claims
    if hashlib.sha256(evidence.bound).hexdigest() != said.bound_digest:
        raise EvidenceError(
            "passport_bound", f"{passport.verifier.name} appraised another key broker than this one"
        )
    try:
        bound = BoundClaims.from_bytes(evidence.bound)
    except MalformedError as error:
        raise evidence_error("bound_claims", error) from error
    if bound.sealing_domain is not bound.tee.domain:
        raise EvidenceError("bound_claims", "the sealing key is of another trust domain")
    own = (bound.role, bound.tee, bound.deployment, bound.manifest_digest)
    if own != (said.role, said.tee, said.deployment, said.manifest_digest):
        raise EvidenceError("passport_bound", "the passport contradicts the claims that it names")
    mismatches = tuple(_mismatches(said, bound, policy, now_ms))
    if mismatches:
        raise PolicyError(mismatches)
    return PassportApproval(
        claims=VouchedClaims(bound=bound, passport=passport),
        policy_digest=policy_digest(policy),
        valid_until_ms=passport.expires_ms,
        _accepted=_ACCEPTED,
    )


def find_passport(
    tokens: Sequence[str],
    verifier: TrustedVerifier,
    evidence: Evidence,
    policy: Policy | SimulationPolicy,
    now_ms: int,
) -> PassportApproval:
    """Return the approval by the first of some tokens that is an acceptable passport of a verifier.

    `tokens`: untrusted; those after the first `MAX_PASSPORTS` are not read.

    Raises: EvidenceError or PolicyError of the first token that this verifier signed;
        EvidenceError (`passport_missing`) if it signed none.
    """
    refusal: VerificationError | None = None
    for token in tokens[:MAX_PASSPORTS]:
        try:
            return accept_passport(
                verify_passport(token, verifier, now_ms), evidence, policy, now_ms
            )
        except EvidenceError as error:
            if error.code not in _NOT_SIGNED:
                refusal = refusal or error
        except PolicyError as error:
            refusal = refusal or error
    raise refusal or EvidenceError(
        "passport_missing", f"the service shows no passport of {verifier.name}"
    )


def _mismatches(
    said: PassportClaims, bound: BoundClaims, policy: Policy | SimulationPolicy, now_ms: int
) -> Iterator[Mismatch]:
    required = policy.requirements
    yield from check_bound(
        bound,
        role=policy.role,
        tee=policy.tee,
        deployment=policy.deployment,
        manifest_digest=policy.manifest_digest,
        nonce=NO_NONCE,
    )
    if policy.tee is not Tee.SIMULATED:
        yield from equal("tee", "tee", policy.tee, said.form, "the service runs on other hardware")
        yield from among(
            "passport_status",
            "",
            _ACCEPTED_TIERS,
            said.tier,
            "the verifier itself does not trust this service",
        )
    yield from check_code(said, required)
    if required.tdx is not None:
        yield from check_registers(said.registers, required.tdx)
    if said.form is not Tee.SNP:
        yield from check_statuses(said, required, now_ms)
    yield from check_age(said.collateral_issued_ms // 1000, required, now_ms)


_NOT_SIGNED: Final = ("passport", "passport_signature")
_ACCEPTED: Final = object()
