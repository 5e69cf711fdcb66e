"""Which genuine claims a policy accepts, whatever the hardware, by way of simulations."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.claims import tee_of_report
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, appraise
from sealflow.attest.requirements import DAY_S
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.domain import TrustDomain
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.evidence import MANIFEST, bound_claims, make_evidence
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    SNP,
    TDX,
    change_requirements,
    codes,
    policy,
    sgx_evidence,
    snp_evidence,
    tdx_evidence,
)
from tests.support.attestation.quote_bodies import sgx_body
from tests.support.attestation.snp_authority import snp_authority


def test_sgx() -> None:
    """An enclave that meets the policy is approved until its collateral is too old."""
    lab = DcapAuthority()
    approval = appraise(sgx_evidence(lab), policy(SGX, lab.root_der), NOW_MS)
    claims = approval.claims
    assert (claims.domain, tee_of_report(claims.report)) == (TrustDomain.SIMULATED, Tee.SGX)
    assert (claims.measurement, claims.signer, claims.svn) == ("11" * 32, "22" * 32, 1)
    assert (claims.tcb_status, claims.advisories) == ("UpToDate", ())
    assert claims.to_json()["form"] == "sgx"
    assert approval.valid_until_ms == NOW_MS + 29 * DAY_S * 1000
    short = policy(change_requirements(SGX, max_collateral_age_s=2 * DAY_S), lab.root_der)
    assert appraise(sgx_evidence(lab), short, NOW_MS).valid_until_ms == NOW_MS + DAY_S * 1000


def test_tdx() -> None:
    """A trust domain that meets the policy is approved."""
    lab = DcapAuthority(tee="TDX")
    claims = appraise(tdx_evidence(lab), policy(TDX, lab.root_der), NOW_MS).claims
    assert (tee_of_report(claims.report), claims.measurement, claims.signer) == (
        Tee.TDX,
        "33" * 48,
        "",
    )
    registers = claims.to_json()["registers"]
    assert isinstance(registers, dict)
    assert registers["rtmr1"] == "41" * 48


def test_snp() -> None:
    """An SNP guest that meets the policy is approved."""
    amd = snp_authority(NOW_S)
    claims = appraise(snp_evidence(amd), policy(SNP, amd.root()), NOW_MS).claims
    assert (tee_of_report(claims.report), claims.measurement) == (Tee.SNP, "11" * 48)
    assert (claims.tcb_status, claims.advisories) == ("not rated", ())
    assert claims.to_json()["registers"] == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"role": Role.KEY_BROKER}, "role"),
        ({"deployment": "other"}, "deployment"),
        ({"manifest_digest": "ef" * 32}, "manifest_digest"),
    ],
)
def test_bound(changes: dict[str, Any], code: str) -> None:
    """An enclave of another role, deployment or settings is refused."""
    lab = DcapAuthority()
    assert codes(sgx_evidence(lab), policy(SGX, lab.root_der, **changes)) == [code]


def test_nonce() -> None:
    """Evidence made for another challenge is refused where freshness counts."""
    lab = DcapAuthority()
    assert codes(sgx_evidence(lab), policy(SGX, lab.root_der), nonce="ab" * 32) == ["nonce"]


def test_classes() -> None:
    """No production policy is of a simulation, and no simulation meets one."""
    with pytest.raises(MalformedError, match="simulation"):
        Policy(
            role=Role.WORKER,
            tee=Tee.SIMULATED,
            deployment="test",
            manifest_digest=MANIFEST,
            requirements=SGX,
        )
    production = Policy(
        role=Role.WORKER,
        tee=Tee.SGX,
        deployment="test",
        manifest_digest=MANIFEST,
        requirements=SGX,
    )
    lab = DcapAuthority()
    with pytest.raises(EvidenceError, match="world"):
        appraise(sgx_evidence(lab), production, NOW_MS)
    hardware = bound_claims(tee=Tee.SGX)
    evidence = make_evidence(hardware, lambda data: lab.quote(sgx_body(data)), lab.collateral())
    with pytest.raises(EvidenceError, match="quote"):
        appraise(evidence, production, NOW_MS)
    with pytest.raises(EvidenceError, match="world"):
        appraise(evidence, policy(SGX, lab.root_der), NOW_MS)
