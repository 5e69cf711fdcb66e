"""What is read from genuine Intel quotes, as values that policies judge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dcap_qvl
import pytest

from sealflow.attest.intel.verify import read_claims, verify_intel_quote
from sealflow.attest.reports import SgxReport, TcbStatus, TdxReport
from sealflow.errors import EvidenceError
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.quote_bodies import SEPT_VE_DISABLE, ZERO48, sgx_body, tdx_body
from tests.support.attestation.quote_verdicts import SGX, TDX, refusal_text, verified_platform

if TYPE_CHECKING:
    from tests.support.attestation.dcap_authority import DcapAuthority


def test_sgx_fields() -> None:
    """All fields of an SGX report that policies judge are read from where they lie."""
    body = sgx_body(
        b"\x77" * 64,
        product_id=7,
        svn=9,
        attributes=0x85,
        xfrm=0x1E7,
        misc_select=1,
        config_id=b"\x09" * 64,
        config_svn=3,
    )
    report = verify_intel_quote(SGX.quote(body), SGX.collateral(), SGX.root_der, NOW_S).report
    assert report == SgxReport(
        measurement="11" * 32,
        signer="22" * 32,
        product_id=7,
        svn=9,
        attributes=0x85,
        xfrm=0x1E7,
        misc_select=1,
        config_id="09" * 64,
        config_svn=3,
        report_data=b"\x77" * 64,
    )


@pytest.mark.parametrize("service_td", [None, ZERO48], ids=["version 4", "version 5"])
def test_tdx_fields(service_td: bytes | None) -> None:
    """All fields of a trust domain's report that policies judge are read from where they lie."""
    body = tdx_body(
        b"\x78" * 64,
        service_td=service_td,
        config=(b"\x01" * 48, b"\x02" * 48, b"\x03" * 48),
        registers=(b"\x40" * 48, b"\x41" * 48, b"\x42" * 48, b"\x43" * 48),
    )
    report = verify_intel_quote(TDX.quote(body), TDX.collateral(), TDX.root_der, NOW_S).report
    assert report == TdxReport(
        measurement="33" * 48,
        registers={
            "rtmr0": "40" * 48,
            "rtmr1": "41" * 48,
            "rtmr2": "42" * 48,
            "rtmr3": "43" * 48,
            "mr_config_id": "01" * 48,
            "mr_owner": "02" * 48,
            "mr_owner_config": "03" * 48,
        },
        attributes=SEPT_VE_DISABLE,
        xfam=0x0602E7,
        seam_signer="00" * 48,
        seam_attributes=0,
        service_td="00" * 48,
        report_data=b"\x78" * 64,
    )
    assert (report.signer, report.svn) == ("", 0)


@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
@pytest.mark.parametrize("status", [each for each in TcbStatus if "Relaunch" not in each])
def test_statuses(lab: DcapAuthority, status: TcbStatus) -> None:
    """Every status that Intel gives is handed on as a value that policies judge."""
    assert verified_platform(lab.replace(tcb_status=status.value)).tcb_status is status


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("UpToDate", TcbStatus.TD_RELAUNCH_ADVISED),
        ("ConfigurationNeeded", TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
    ],
)
def test_relaunch(now: str, status: TcbStatus) -> None:
    """A trust domain that was launched before its platform's update has a status of its own."""
    lab = TDX.replace(tcb_status=now, older_status="OutOfDate")
    quote = lab.quote(tdx_body(service_td=ZERO48, launched_svn=4))
    assert verified_platform(lab, quote).tcb_status is status


@pytest.mark.parametrize("status", ["Revoked", "uptodate", "OK", "SW_HARDENING_NEEDED", ""])
def test_unknown_statuses(status: str) -> None:
    """A revoked platform, and a status that nobody knows, are refused."""
    assert refusal_text(SGX.replace(tcb_status=status))
    assert refusal_text(SGX.replace(qe_status=status))


def test_quoting_enclave_status() -> None:
    """An old quoting enclave shows in both statuses, and its advisories join the platform's."""
    lab = SGX.replace(
        qe_status="OutOfDate", advisories=("INTEL-SA-00001",), qe_advisories=("INTEL-SA-00002",)
    )
    found = verified_platform(lab)
    assert found.qe_status is TcbStatus.OUT_OF_DATE
    assert found.tcb_status is TcbStatus.OUT_OF_DATE
    assert set(found.advisories) == {"INTEL-SA-00001", "INTEL-SA-00002"}


def test_evaluation_number() -> None:
    """The lower evaluation number of TCB info and QE identity counts."""
    assert verified_platform(SGX.replace(evaluation=20, qe_evaluation=17)).tcb_evaluation == 17
    assert verified_platform(SGX.replace(evaluation=16, qe_evaluation=17)).tcb_evaluation == 16


@pytest.mark.parametrize("flags", [(), ("smt_enabled",), ("dynamic_platform", "cached_keys")])
def test_flags(flags: tuple[str, ...]) -> None:
    """The platform's flags are handed on as values that policies judge."""
    assert verified_platform(SGX.replace(flags=flags)).flags == set(flags)


def library_claims() -> dict[str, Any]:
    """What the library says of a good quote."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(SGX.collateral().decode())
    policy = dcap_qvl.QuotePolicy.claims_only(NOW_S)
    verifier = dcap_qvl.QuoteVerifier(SGX.root_der)
    quote = SGX.quote(sgx_body())
    claims: dict[str, Any] = json.loads(
        verifier.verify_with_policy(quote, collateral, NOW_S, policy).to_json()
    )
    return claims


def test_unknown_claims() -> None:
    """A status or a form of claims that a later library may bring is refused, not guessed at."""
    assert read_claims(library_claims(), NOW_S, NOW_S)[1].tcb_status is TcbStatus.UP_TO_DATE
    status = library_claims()
    status["tcb"]["status"] = "Excellent"
    with pytest.raises(EvidenceError, match="TCB status is unknown"):
        read_claims(status, NOW_S, NOW_S)
    without = library_claims()
    del without["platform"]
    with pytest.raises(EvidenceError, match="lack an expected field"):
        read_claims(without, NOW_S, NOW_S)
