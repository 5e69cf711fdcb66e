"""A verifier's appraisal: what a passport says of each kind of evidence, and for how long."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from sealflow.attest.evidence import NO_NONCE
from sealflow.attest.reports import AmdPlatform, IntelPlatform
from sealflow.errors import ConfigError, EvidenceError, PolicyError
from sealflow.owner import Requirements, Role, TcbStatus, Tee
from sealflow.owner.passport.acceptance import accept_passport
from sealflow.owner.passport.passport import PROFILE, verify_passport
from sealflow.owner.verifier.appraisal import (
    Appraiser,
    trustworthiness_tier,
    trustworthiness_vector,
)
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.evidence import bound_claims, make_evidence
from tests.support.attestation.policies import NOW_MS, SGX, SNP, TDX, change_requirements, policy
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import snp_authority
from tests.support.cluster.published_service import NOW_MS as SERVICE_MS
from tests.support.cluster.published_service import PublishedService
from tests.support.passports.tokens import ED25519, P256

BOUND = bound_claims(role=Role.KEY_BROKER, nonce=NO_NONCE)
VECTOR = {"configuration": 2, "executables": 2, "hardware": 97, "runtime-opaque": 96}


def sgx_passport(requirements: Requirements = SGX, **lab: Any) -> dict[str, Any]:
    """Appraise a simulated SGX enclave; gives our claims of the passport."""
    authority = DcapAuthority(**lab)
    evidence = make_evidence(
        BOUND, lambda data: authority.quote(sgx_body(data)), authority.collateral()
    )
    wanted = policy(requirements, authority.root_der, role=Role.KEY_BROKER)
    passport = Appraiser(wanted, ED25519).issue(evidence, NOW_MS)
    found = verify_passport(passport.token, ED25519.trusted("v"), NOW_MS)
    assert accept_passport(found, evidence, wanted, NOW_MS).claims.bound == BOUND
    return found.claims.to_json()


@pytest.mark.parametrize("key", [ED25519, P256], ids=["Ed25519", "P-256"])
def test_form(key: Any) -> None:
    """It is what the draft describes, read by another library, and says that it is a simulation."""
    service = PublishedService.create()
    passport = Appraiser(service.policy, key).issue(service.evidence(), SERVICE_MS)
    value = jwt.decode(
        passport.token,
        key.private.public_key(),
        ["EdDSA", "ES256"],
        options={"verify_iat": False, "verify_exp": False},
    )
    head = jwt.get_unverified_header(passport.token)
    assert head["typ"] == "eat+jwt"
    assert head["kid"] == key.trusted("v").key_id
    assert value["eat_profile"] == PROFILE
    assert value["exp"] - value["iat"] == 3600
    assert value["iat"] == SERVICE_MS // 1000
    module = value["submods"]["keybroker"]
    assert module["ear_trustworthiness_vector"] == VECTOR
    assert module["ear_status"] == value["ear_status"] == "contraindicated"
    assert module["ear_appraisal_policy_ids"][0].startswith("sha256:")
    assert set(value["ear_verifier_id"]) == {"developer", "build"}
    assert passport.simulated
    assert passport.expires_ms == 1000 * value["exp"]
    assert "ey" not in repr(passport)


def test_sgx() -> None:
    """Code, signer and statuses are those of report and collateral."""
    said = sgx_passport()
    assert said["form"] == "sgx"
    assert said["measurement"] == "11" * 32
    assert (said["tcb_status"], said["qe_status"]) == ("UpToDate", "UpToDate")
    assert isinstance(said["product_id"], int)
    assert said["registers"] == {}


def test_tdx() -> None:
    """All registers are in it."""
    authority = DcapAuthority(tee="TDX")
    evidence = make_evidence(
        BOUND, lambda data: authority.quote(tdx_body(data)), authority.collateral()
    )
    wanted = policy(TDX, authority.root_der, role=Role.KEY_BROKER)
    token = Appraiser(wanted, ED25519).issue(evidence, NOW_MS).token
    said = verify_passport(token, ED25519.trusted("v"), NOW_MS).claims
    assert (said.form, said.product_id) == (Tee.TDX, None)
    assert len(said.registers) == 7
    assert said.registers["rtmr1"] == "41" * 48


def test_snp() -> None:
    """AMD rates no platform."""
    amd = snp_authority(NOW_MS // 1000)
    evidence = make_evidence(BOUND, amd.report, amd.endorsements().to_bytes())
    wanted = policy(SNP, amd.root(), role=Role.KEY_BROKER)
    token = Appraiser(wanted, P256).issue(evidence, NOW_MS).token
    said = verify_passport(token, P256.trusted("v"), NOW_MS).claims
    assert (said.form, said.tcb_status, said.qe_status) == (Tee.SNP, "not rated", "not rated")
    assert said.measurement == "11" * 48


def test_nothing_is_signed_that_does_not_pass() -> None:
    """Evidence that is not genuine, or not what the policy demands, gets no passport."""
    service = PublishedService.create()
    appraiser = Appraiser(service.policy, ED25519)
    with pytest.raises(PolicyError, match="deployment"):
        appraiser.issue(service.evidence(service.bound(deployment="other")), SERVICE_MS)
    with pytest.raises(PolicyError, match="measurement"):
        appraiser.issue(service.evidence(measurement=bytes(32)), SERVICE_MS)
    with pytest.raises(EvidenceError):
        appraiser.issue(service.evidence(), SERVICE_MS + 10**12)


def test_lifetime() -> None:
    """It ends with the collateral, and lasts a minute to seven days."""
    service = PublishedService.create()
    appraiser = Appraiser(service.policy, ED25519, lifetime_s=7 * 86_400)
    passport = appraiser.issue(service.evidence(), SERVICE_MS)
    assert passport.expires_ms <= SERVICE_MS + 7 * 86_400_000
    for lifetime_s in (59, 7 * 86_400 + 1):
        with pytest.raises(ConfigError, match="60 to"):
            Appraiser(service.policy, ED25519, lifetime_s=lifetime_s)
    worker = service.site.deployment.policy(Role.WORKER)
    with pytest.raises(ConfigError, match="key broker"):
        Appraiser(worker, ED25519)


def test_accepted_status() -> None:
    """A status that the policy accepts is in the passport."""
    statuses = frozenset({TcbStatus.SW_HARDENING_NEEDED, TcbStatus.UP_TO_DATE})
    requirements = change_requirements(SGX, tcb_statuses=statuses)
    assert sgx_passport(requirements, tcb_status="SWHardeningNeeded")["tcb_status"] == (
        "SWHardeningNeeded"
    )


@pytest.mark.parametrize(
    ("changes", "hardware", "tier"),
    [
        ({}, 2, "affirming"),
        ({"tcb_status": TcbStatus.OUT_OF_DATE}, 32, "warning"),
        ({"qe_status": TcbStatus.SW_HARDENING_NEEDED}, 32, "warning"),
        ({"advisories": ("INTEL-SA-00615",)}, 32, "warning"),
    ],
)
def test_vector(changes: dict[str, Any], hardware: int, tier: str) -> None:
    """Hardware is affirmed, or warned of where it has known weaknesses; a simulation never is."""
    values: dict[str, Any] = {
        "tcb_status": TcbStatus.UP_TO_DATE,
        "qe_status": TcbStatus.UP_TO_DATE,
        "advisories": (),
        "tcb_evaluation": 17,
        "flags": frozenset(),
        "collateral_issued_s": 0,
        "collateral_expires_s": 1,
    }
    platform = IntelPlatform(**values | changes)
    vector = trustworthiness_vector(Tee.SGX, platform)
    assert vector["hardware"] == hardware
    assert trustworthiness_tier(vector) == tier
    assert trustworthiness_tier(trustworthiness_vector(Tee.SIMULATED, platform)) == (
        "contraindicated"
    )
    amd = AmdPlatform(revocations_checked=True, collateral_issued_s=0, collateral_expires_s=1)
    assert trustworthiness_tier(trustworthiness_vector(Tee.SNP, amd)) == "affirming"
