"""Owner: appraises the evidence of a service and signs a passport about it.

The passport is an EAT Attestation Result (draft-ietf-rats-ear) as a JSON Web Token, which PyJWT
writes. Spec: passport.md, section 3.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import jwt

from sealflow import __version__
from sealflow.attest.claims import tee_of_report
from sealflow.attest.evidence import NO_NONCE, Role, Tee
from sealflow.attest.policy import appraise
from sealflow.attest.reports import IntelPlatform, SgxReport, TcbStatus, TdxReport
from sealflow.attest.verifiers import ED25519
from sealflow.documents.directory import SignedDirectory
from sealflow.errors import ConfigError
from sealflow.owner.http.gateway_api import DIRECTORY_TIMEOUT_S, unavailable
from sealflow.owner.http.steps import HttpRequest, Steps, send
from sealflow.owner.passport.passport import (
    EXTENSION,
    MAX_LIFETIME_S,
    PROFILE,
    SUBMODULE,
    PassportClaims,
    Tier,
)
from sealflow.owner.passport.token import TOKEN_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.attest.claims import Claims
    from sealflow.attest.evidence import Evidence
    from sealflow.attest.policy import Approval
    from sealflow.attest.reports import Platform
    from sealflow.owner.http.steps import HttpResponse
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.verifier.verifier_key import VerifierKey

DEFAULT_LIFETIME_S: Final = 3600
LEAST_LIFETIME_S: Final = 60
NOT_RATED: Final = "not rated"
_NOT_MODIFIED: Final = 304
_AFFIRMING, _WARNING, _VISIBLE, _UNKNOWN_HARDWARE = 2, 32, 96, 97
"""Values of claims of AR4SI (draft-ietf-rats-ar4si, section 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedPassport:
    """A passport that this verifier signed. `issued_ms`, `expires_ms`: Unix ms."""

    token: str = field(repr=False)
    simulated: bool
    deployment: str
    issued_ms: int
    expires_ms: int


class Appraiser:
    """Appraises a service by one policy, and signs passports with one key."""

    def __init__(
        self, policy: TrustPolicy, key: VerifierKey, *, lifetime_s: int = DEFAULT_LIFETIME_S
    ) -> None:
        """Set what is demanded of a service, and how long a passport lasts.

        Raises: ConfigError when the policy is not for a key broker, or `lifetime_s` is not from one
            minute to seven days.
        """
        if policy.role is not Role.KEY_BROKER:
            raise ConfigError("the policy is not for a key broker")
        if not LEAST_LIFETIME_S <= lifetime_s <= MAX_LIFETIME_S:
            raise ConfigError(
                f"a passport lasts from {LEAST_LIFETIME_S} to {MAX_LIFETIME_S} seconds"
            )
        self._policy = policy
        self._key = key
        self._lifetime_s = lifetime_s

    def issue(self, evidence: Evidence, now_ms: int) -> IssuedPassport:
        """Appraise evidence and return a passport about it.

        It ends with the collateral, if that is earlier than the lifetime.

        Raises: EvidenceError, PolicyError.
        """
        approval = appraise(evidence, self._policy, now_ms, nonce=NO_NONCE)
        issued_s = now_ms // 1000
        expires_s = min(issued_s + self._lifetime_s, approval.valid_until_ms // 1000)
        claims = ear_claims(approval, evidence, issued_s=issued_s, expires_s=expires_s)
        return IssuedPassport(
            token=sign_token(claims, self._key),
            simulated=approval.claims.bound.tee is Tee.SIMULATED,
            deployment=approval.claims.bound.deployment,
            issued_ms=1000 * issued_s,
            expires_ms=1000 * expires_s,
        )


def fetch_evidence() -> Steps[Evidence]:
    """Return the evidence that a gateway publishes.

    Raises: UnavailableError, MalformedError.
    """
    response = yield from _fetch({})
    return SignedDirectory.from_bytes(response.body).evidence


def fetch_changed_evidence(known: str) -> Steps[tuple[Evidence | None, str]]:
    """Return the evidence that a gateway publishes, and the entity tag of its document.

    `known`: the tag of the document that was fetched before; empty if none was. If the gateway
    still has that one, the evidence is None.

    Raises: UnavailableError, MalformedError.
    """
    response = yield from _fetch({"if-none-match": known} if known else {})
    if response.status == _NOT_MODIFIED:
        return None, known
    return SignedDirectory.from_bytes(response.body).evidence, response.headers.get("etag", "")


def _fetch(headers: dict[str, str]) -> Steps[HttpResponse]:
    response = yield from send(
        HttpRequest(
            method="GET", path="/v1/directory", headers=headers, timeout_s=DIRECTORY_TIMEOUT_S
        )
    )
    if response.status != 200 and not (headers and response.status == _NOT_MODIFIED):  # noqa: PLR2004 - HTTP
        raise unavailable("the directory is not available", response)
    return response


def ear_claims(
    approval: Approval, evidence: Evidence, *, issued_s: int, expires_s: int
) -> dict[str, object]:
    """Return the claims of a passport about evidence that was approved. Times in Unix seconds."""
    vector = trustworthiness_vector(approval.claims.bound.tee, approval.claims.platform)
    tier = trustworthiness_tier(vector)
    claims = _passport_claims(approval.claims, evidence, tier)
    return {
        "eat_profile": PROFILE,
        "iat": issued_s,
        "exp": expires_s,
        "ear_verifier_id": {"developer": "Sealflow", "build": f"sealflow {__version__}"},
        "ear_status": tier.value,
        "submods": {
            SUBMODULE: {
                "ear_status": tier.value,
                "ear_trustworthiness_vector": vector,
                "ear_appraisal_policy_ids": [f"sha256:{approval.policy_digest}"],
                EXTENSION: claims.to_json(),
            }
        },
    }


def sign_token(claims: Mapping[str, object], key: VerifierKey) -> str:
    """Return claims as a JSON Web Token in compact form, signed with a verifier's key."""
    return jwt.encode(
        dict(claims),
        key.private,
        algorithm="EdDSA" if key.curve == ED25519 else "ES256",
        headers={"typ": TOKEN_TYPE, "kid": key.trusted("verifier").key_id},
    )


def _passport_claims(claims: Claims, evidence: Evidence, tier: Tier) -> PassportClaims:
    report, platform, bound = claims.report, claims.platform, claims.bound
    rated = platform if isinstance(platform, IntelPlatform) else None
    return PassportClaims(
        tier=tier,
        bound_digest=hashlib.sha256(evidence.bound).hexdigest(),
        role=bound.role,
        tee=bound.tee,
        form=tee_of_report(report),
        deployment=bound.deployment,
        manifest_digest=bound.manifest_digest,
        measurement=report.measurement,
        signer=report.signer,
        product_id=report.product_id if isinstance(report, SgxReport) else None,
        svn=report.svn,
        registers=report.registers if isinstance(report, TdxReport) else {},
        tcb_status=NOT_RATED if rated is None else rated.tcb_status.value,
        qe_status=NOT_RATED if rated is None else rated.qe_status.value,
        advisories=() if rated is None else rated.advisories,
        collateral_issued_ms=1000 * platform.collateral_issued_s,
    )


def trustworthiness_vector(tee: Tee, platform: Platform) -> dict[str, int]:
    """Return the vector of AR4SI for evidence that was approved.

    A simulation has neither hardware nor closed memory. A platform that is not up to date has known
    weaknesses, also where the policy accepts them.
    """
    simulated = tee is Tee.SIMULATED
    hardware = _AFFIRMING if _up_to_date(platform) else _WARNING
    return {
        "configuration": _AFFIRMING,
        "executables": _AFFIRMING,
        "hardware": _UNKNOWN_HARDWARE if simulated else hardware,
        "runtime-opaque": _VISIBLE if simulated else _AFFIRMING,
    }


def trustworthiness_tier(vector: Mapping[str, int]) -> Tier:
    """Return the tier of the worst claim in a vector."""
    worst = max(vector.values())
    if worst >= _VISIBLE:
        return Tier.CONTRAINDICATED
    return Tier.WARNING if worst >= _WARNING else Tier.AFFIRMING


def _up_to_date(platform: Platform) -> bool:
    if not isinstance(platform, IntelPlatform):
        return True
    statuses = {platform.tcb_status, platform.qe_status}
    return statuses == {TcbStatus.UP_TO_DATE} and not platform.advisories
