"""Attacks on evidence: rows 1 to 21 of docs/threat-model.md. Real verifier, real formats."""

from __future__ import annotations

import hashlib
import inspect
import json
from datetime import timedelta
from typing import Any

import pytest

from sealflow.attest.evidence import MAX_QUOTE_BYTES, Evidence, Role, Tee
from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.attest.policy import Policy, appraise
from sealflow.attest.reports import TcbStatus
from sealflow.errors import EvidenceError, MalformedError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import DAY_S, NOW_S
from tests.support.attestation.evidence import MANIFEST, bound_claims, make_evidence
from tests.support.attestation.hardware_samples import (
    GENUINE,
    QUOTES,
    REPORTS,
    appraise_sample,
    read_sample,
)
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    SNP,
    TDX,
    change_requirements,
    codes,
    policy,
    sgx_codes,
    sgx_evidence,
    snp_codes,
    snp_evidence,
    tdx_codes,
    tdx_evidence,
)
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.snp_authority import GUEST_POLICY, snp_authority


def refused(evidence: Evidence, wanted: Any, now_ms: int = NOW_MS) -> str:
    """Appraise what is not genuine; gives the error's code."""
    with pytest.raises(EvidenceError) as caught:
        appraise(evidence, wanted, now_ms)
    return caught.value.code


def test_01_old_nonce() -> None:
    """Evidence made for an earlier challenge is refused."""
    lab = DcapAuthority()
    assert codes(sgx_evidence(lab), policy(SGX, lab.root_der), nonce="ee" * 32) == ["nonce"]


def test_02_report_data() -> None:
    """One flipped bit anywhere in the claims parts them from the quote."""
    lab = DcapAuthority()
    good = sgx_evidence(lab)
    wanted = policy(SGX, lab.root_der)
    for at in range(0, len(good.bound), 7):
        bound = bytearray(good.bound)
        bound[at] ^= 1
        changed = Evidence(
            tee=good.tee, quote=good.quote, bound=bytes(bound), collateral=good.collateral
        )
        assert refused(changed, wanted) in ("report_data", "bound_claims", "world")


def test_03_role_confusion() -> None:
    """A worker's evidence does not pass for a key broker's, nor under its label."""
    lab = DcapAuthority()
    wanted = policy(SGX, lab.root_der, role=Role.KEY_BROKER)
    assert codes(sgx_evidence(lab), wanted) == ["role"]
    good = sgx_evidence(lab)
    lying = bound_claims(role=Role.KEY_BROKER).to_bytes()
    changed = Evidence(tee=good.tee, quote=good.quote, bound=lying, collateral=good.collateral)
    assert refused(changed, wanted) == "report_data"


def test_04_other_deployment() -> None:
    """Evidence of another deployment is refused."""
    lab = DcapAuthority()
    wanted = policy(SGX, lab.root_der, deployment="another")
    assert codes(sgx_evidence(lab), wanted) == ["deployment"]


def test_05_debug_enclave() -> None:
    """A debug enclave is refused, simulated or real, by the library or by our checks."""
    for lab, body in (
        (DcapAuthority(), sgx_body(attributes=7)),
        (DcapAuthority(tee="TDX"), tdx_body(attributes=1)),
    ):
        with pytest.raises(EvidenceError, match="quote"):
            verify_intel_quote(lab.quote(body), lab.collateral(), lab.root_der, NOW_S)
    for name in (each for each in QUOTES if "debug" in each):
        with pytest.raises(EvidenceError, match="quote"):
            appraise_sample(name)


def test_06_debug_quoting_enclave() -> None:
    """A debug quoting enclave is refused."""
    lab = DcapAuthority(qe_attributes=0x13)
    assert refused(sgx_evidence(lab), policy(SGX, lab.root_der)) == "quote"


def test_07_attributes() -> None:
    """INIT off, a provisioning or launch key, unknown features or state: each is refused."""
    for attributes in (0x04, 0x15, 0x25):
        assert sgx_codes(SGX, attributes=attributes) == ["attributes"]
    assert sgx_codes(SGX, xfrm=0x03 | 1 << 40) == ["xfrm"]
    assert sgx_codes(SGX, misc_select=1 << 5) == ["misc_select"]
    lab = DcapAuthority(tee="TDX")
    assert refused(tdx_evidence(lab, attributes=1 << 28 | 1 << 29), policy(TDX, lab.root_der)) == (
        "quote"
    )


def test_08_other_code() -> None:
    """Other code, signer, product or an older release is refused; the verdict lists all of it."""
    found = sgx_codes(
        change_requirements(SGX, signers=frozenset({"22" * 32}), product_id=1, min_svn=2),
        measurement=b"\x12" * 32,
        signer=b"\x23" * 32,
        product_id=9,
    )
    assert found == ["measurement", "signer", "product_id", "svn"]
    assert tdx_codes(TDX, measurement=b"\x34" * 48) == ["measurement"]
    assert snp_codes(SNP, measurement=b"\x12" * 48) == ["measurement"]


@pytest.mark.parametrize("status", [each for each in TcbStatus if "Relaunch" not in each])
def test_09_tcb_status(status: TcbStatus) -> None:
    """No status but UpToDate passes a policy that does not name it; revoked passes none."""
    if status is not TcbStatus.UP_TO_DATE:
        assert sgx_codes(SGX, DcapAuthority(tcb_status=status)) == ["tcb_status"]
    lab = DcapAuthority(tcb_status="Revoked")
    assert refused(sgx_evidence(lab), policy(SGX, lab.root_der)) == "quote"


def test_10_advisories() -> None:
    """An advisory that no policy names is refused."""
    assert sgx_codes(SGX, DcapAuthority(advisories=("INTEL-SA-00615",))) == ["advisories"]


@pytest.mark.parametrize("name", ["pck", "middle", "tcb"])
def test_11_revoked_certificates(name: str) -> None:
    """A revoked platform key, intermediate or TCB signer is refused."""
    lab = DcapAuthority(revoked=frozenset({name}))
    assert refused(sgx_evidence(lab), policy(SGX, lab.root_der)) == "quote"


def test_12_collateral_window() -> None:
    """Collateral counts from its first to its last second, and not one longer."""
    lab = DcapAuthority(tcb_age_s=DAY_S - 100, life_s=2 * DAY_S)
    evidence, wanted = sgx_evidence(lab), policy(SGX, lab.root_der)
    first_s, end_s = NOW_S - DAY_S + 100, NOW_S + DAY_S
    for good_s in (first_s, end_s - 1):
        appraise(evidence, wanted, 1000 * good_s)
    for bad_s in (first_s - 1, end_s):
        assert refused(evidence, wanted, 1000 * bad_s) == "quote"
    for name in GENUINE[:3]:
        with pytest.raises(EvidenceError):
            appraise_sample(name, at_s=1)


def test_13_older_evaluation() -> None:
    """Older collateral that has not expired is refused by evaluation number and by age."""
    wanted = change_requirements(SGX, min_tcb_evaluation=21, max_collateral_age_s=DAY_S - 1)
    assert sgx_codes(wanted) == ["tcb_evaluation", "collateral_age"]


def test_14_wrong_root() -> None:
    """A root of one's own is refused, and so is a simulation under a production policy."""
    lab = DcapAuthority()
    assert refused(sgx_evidence(lab), policy(SGX, lab.replace(root="mine").root_der)) == "quote"
    production = Policy(
        role=Role.WORKER, tee=Tee.SGX, deployment="test", manifest_digest=MANIFEST, requirements=SGX
    )
    assert refused(sgx_evidence(lab), production) == "world"
    lying = make_evidence(
        bound_claims(tee=Tee.SGX), lambda data: lab.quote(sgx_body(data)), lab.collateral()
    )
    assert refused(lying, production) == "quote"


def test_15_collateral_of_another() -> None:
    """Collateral of another platform model, or of another kind of TEE, is refused."""
    for lab in (DcapAuthority(fmspc="5f0000000000"), DcapAuthority(info_id="TDX")):
        assert refused(sgx_evidence(lab), policy(SGX, lab.root_der)) == "quote"
    sgx, tdx = DcapAuthority(), DcapAuthority(tee="TDX")
    mixed = make_evidence(bound_claims(), lambda data: sgx.quote(sgx_body(data)), tdx.collateral())
    assert refused(mixed, policy(SGX, sgx.root_der)) == "quote"


def test_16_bent_quotes() -> None:
    """Truncated, lengthened and oversized quotes are refused before anything is read from them."""
    lab = DcapAuthority()
    good = sgx_evidence(lab)
    wanted = policy(SGX, lab.root_der)
    for quote in (*(good.quote[:cut] for cut in range(0, len(good.quote), 97)), good.quote + b"x"):
        bent = Evidence(tee=good.tee, quote=quote, bound=good.bound, collateral=good.collateral)
        assert refused(bent, wanted) == "quote"
    value = Evidence(
        tee=good.tee, quote=bytes(MAX_QUOTE_BYTES + 1), bound=b"", collateral=b""
    ).to_json()
    with pytest.raises(MalformedError, match="quote"):
        Evidence.from_json(value)


def test_17_other_chains() -> None:
    """Swapped, missing and surplus certificates and other certification types are refused."""
    for lab, code in (
        (DcapAuthority(chain=("middle", "pck", "root")), "collateral"),
        (DcapAuthority(chain=("pck", "root")), "quote"),
        (DcapAuthority(chain=("pck", "middle", "root", "root")), "quote"),
        (DcapAuthority(chain=("pck", "middle", "middle")), "quote"),
        (DcapAuthority(chain=("tcb", "middle", "root")), "quote"),
        (DcapAuthority(certification=1), "quote"),
        (DcapAuthority(certification=6), "quote"),
    ):
        assert refused(sgx_evidence(lab), policy(SGX, lab.root_der)) == code


def test_18_bent_collateral() -> None:
    """Duplicate keys, huge numbers, deep nesting and other nonsense in collateral are refused."""
    lab = DcapAuthority()
    text = lab.collateral()
    for collateral in (
        text[:-1] + b', "tcb_info": "{}"}',
        b'{"tcb_info": ' + b"9" * 10_000 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
        b"null",
        text + b"x",
        json.dumps(json.loads(text) | {"pck_crl": "zz"}).encode(),
    ):
        good = sgx_evidence(lab)
        bent = Evidence(tee=good.tee, quote=good.quote, bound=good.bound, collateral=collateral)
        assert refused(bent, policy(SGX, lab.root_der)) == "collateral"


def test_19_snp() -> None:
    """SNP: another signature, leaf or chip, a debug guest, and another privilege level."""
    assert snp_codes(SNP, guest_policy=GUEST_POLICY | 1 << 19) == ["guest_policy"]
    assert snp_codes(SNP, vmpl=1) == ["vmpl"]
    amd = snp_authority(NOW_S)
    wanted = policy(SNP, amd.root())
    good = snp_evidence(amd)
    for at in (0x2A0, 0x2A0 + 72, 0x1A0, 0x08):
        quote = bytearray(good.quote)
        quote[at] ^= 1
        bent = Evidence(
            tee=good.tee, quote=bytes(quote), bound=good.bound, collateral=good.collateral
        )
        assert refused(bent, wanted) in ("quote", "quote_signature")
    assert sum("debug" in name for name in REPORTS) == 1


def test_20_no_policy() -> None:
    """There is no verdict without a policy: approvals are made by `appraise`, which demands one."""
    parameter = inspect.signature(appraise).parameters["policy"]
    assert parameter.default is inspect.Parameter.empty
    with pytest.raises((TypeError, AttributeError)):
        appraise(sgx_evidence(DcapAuthority()), None, NOW_MS)  # type: ignore[arg-type]  # the attack


def test_21_two_encodings() -> None:
    """Two encodings of one quote are one identity: the signed part names it, not the bytes."""
    lab = DcapAuthority()
    plain = lab.quote(sgx_body())
    padded = plain + bytes(64)
    one, two = (
        verify_intel_quote(quote, lab.collateral(), lab.root_der, NOW_S)
        for quote in (plain, padded)
    )
    assert hashlib.sha256(plain).digest() != hashlib.sha256(padded).digest()
    assert one.report_digest == two.report_digest


def test_nothing_passes_by_accident() -> None:
    """What every attack here changes is good before it is changed."""
    for lab, evidence, wanted in (
        (DcapAuthority(), sgx_evidence(DcapAuthority()), SGX),
        (
            DcapAuthority(tee="TDX"),
            make_evidence(
                bound_claims(),
                lambda data: DcapAuthority(tee="TDX").quote(tdx_body(data)),
                DcapAuthority(tee="TDX").collateral(),
            ),
            TDX,
        ),
    ):
        approval = appraise(evidence, policy(wanted, lab.root_der), NOW_MS)
        assert approval.valid_until_ms > NOW_MS + timedelta(days=1) / timedelta(milliseconds=1)
    amd = snp_authority(NOW_S)
    appraise(snp_evidence(amd), policy(SNP, amd.root()), NOW_MS)
    assert read_sample(GENUINE[0])
