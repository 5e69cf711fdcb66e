"""Intel quotes of every kind of fault, made by the laboratory, judged by the real verifier."""

from __future__ import annotations

import json
import struct
from typing import Any

import dcap_qvl
import pytest

from sealflow.attest.collateral import UnverifiedDates
from sealflow.attest.dcap import read_claims, verify_quote
from sealflow.attest.reports import IntelPlatform, SgxReport, TcbStatus, TdxReport
from sealflow.errors import EvidenceError
from tests.sim.dcap_lab import DAY_S, NOW_S, SEPT_VE_DISABLE, ZERO48, Lab, sgx_body, tdx_body

SGX = Lab()
TDX = Lab(tee="TDX")


def platform(lab: Lab, quote: bytes | None = None, at_s: int = NOW_S) -> IntelPlatform:
    """Verify a quote of a lab and give its platform."""
    body = tdx_body() if lab.tee == "TDX" else sgx_body()
    genuine = verify_quote(quote or lab.quote(body), lab.collateral(), lab.root_der, at_s)
    assert isinstance(genuine.platform, IntelPlatform)
    return genuine.platform


def refused(lab: Lab, quote: bytes | None = None, at_s: int = NOW_S) -> str:
    """Verify what must be refused and give the error's text."""
    with pytest.raises(EvidenceError) as caught:
        platform(lab, quote, at_s)
    return str(caught.value)


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
    report = verify_quote(SGX.quote(body), SGX.collateral(), SGX.root_der, NOW_S).report
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
    report = verify_quote(TDX.quote(body), TDX.collateral(), TDX.root_der, NOW_S).report
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
        seam="5e" * 48,
        seam_signer="00" * 48,
        seam_attributes=0,
        service_td="00" * 48,
        report_data=b"\x78" * 64,
    )
    assert (report.signer, report.svn) == ("", 0)


@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
@pytest.mark.parametrize("status", [each for each in TcbStatus if "Relaunch" not in each])
def test_statuses(lab: Lab, status: TcbStatus) -> None:
    """Every status that Intel gives is handed on as a value that policies judge."""
    assert platform(lab.but(tcb_status=status.value)).tcb_status is status


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("UpToDate", TcbStatus.TD_RELAUNCH_ADVISED),
        ("ConfigurationNeeded", TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
    ],
)
def test_relaunch(now: str, status: TcbStatus) -> None:
    """A trust domain that was launched before its platform's update has a status of its own."""
    lab = TDX.but(tcb_status=now, older_status="OutOfDate")
    quote = lab.quote(tdx_body(service_td=ZERO48, launched_svn=4))
    assert platform(lab, quote).tcb_status is status


@pytest.mark.parametrize("status", ["Revoked", "uptodate", "OK", "SW_HARDENING_NEEDED", ""])
def test_unknown_statuses(status: str) -> None:
    """A revoked platform, and a status that nobody knows, are refused."""
    assert refused(SGX.but(tcb_status=status))
    assert refused(SGX.but(qe_status=status))


def test_quoting_enclave_status() -> None:
    """An old quoting enclave shows in both statuses, and its advisories join the platform's."""
    lab = SGX.but(
        qe_status="OutOfDate", advisories=("INTEL-SA-00001",), qe_advisories=("INTEL-SA-00002",)
    )
    found = platform(lab)
    assert found.qe_status is TcbStatus.OUT_OF_DATE
    assert found.tcb_status is TcbStatus.OUT_OF_DATE
    assert set(found.advisories) == {"INTEL-SA-00001", "INTEL-SA-00002"}


def test_evaluation_number() -> None:
    """The lower evaluation number of TCB info and QE identity counts."""
    assert platform(SGX.but(evaluation=20, qe_evaluation=17)).tcb_evaluation == 17
    assert platform(SGX.but(evaluation=16, qe_evaluation=17)).tcb_evaluation == 16


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_age(part: str) -> None:
    """The oldest part of the collateral makes its age, however new the others are."""
    lab = SGX.but(**{part: 20 * DAY_S})
    assert platform(lab).collateral_issued_s == NOW_S - 20 * DAY_S


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_future(part: str) -> None:
    """Collateral with a part from the future is refused until that time has come."""
    lab = SGX.but(**{part: -10})
    assert refused(lab)
    assert platform(lab, at_s=NOW_S + 10).collateral_issued_s <= NOW_S + 10


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_expiry(part: str) -> None:
    """Collateral with an expired part is refused, and says so a second before."""
    lab = SGX.but(**{part: 29 * DAY_S})
    last_s = NOW_S + DAY_S
    assert platform(lab, at_s=last_s - 1).collateral_expires_s == last_s
    assert refused(lab, at_s=last_s + 1)


@pytest.mark.parametrize("name", ["pck", "middle", "tcb"])
@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
def test_revoked(lab: Lab, name: str) -> None:
    """A revoked certificate anywhere in the chains is refused."""
    assert "certificate chain" in refused(lab.but(revoked=frozenset({name})))


@pytest.mark.parametrize("flags", [(), ("smt_enabled",), ("dynamic_platform", "cached_keys")])
def test_flags(flags: tuple[str, ...]) -> None:
    """The platform's flags are handed on as values that policies judge."""
    assert platform(SGX.but(flags=flags)).flags == set(flags)


def test_roots() -> None:
    """A chain that ends in another root is refused, also one that claims to be Intel's."""
    assert refused(SGX, SGX.but(root="another").quote(sgx_body()))
    with pytest.raises(EvidenceError):
        verify_quote(SGX.quote(sgx_body()), SGX.collateral(), None, NOW_S)


def test_debug() -> None:
    """A debug enclave, trust domain or quoting enclave is refused by the verifier itself."""
    assert "Debug" in refused(SGX, SGX.quote(sgx_body(attributes=0x07)))
    assert "Debug" in refused(TDX, TDX.quote(tdx_body(attributes=SEPT_VE_DISABLE | 1)))
    assert refused(SGX.but(qe_attributes=0x13))


@pytest.mark.parametrize("field", [{"fmspc": "5e0000000001"}, {"info_id": "TDX"}])
def test_collateral_of_others(field: dict[str, str]) -> None:
    """Collateral of other machines or of another TEE is refused."""
    assert refused(SGX.but(**field))


def test_collateral_of_another_tee() -> None:
    """SGX collateral does not judge a trust domain, nor the other way round."""
    assert refused(SGX, TDX.quote(tdx_body()))
    assert refused(TDX, SGX.quote(sgx_body()))


@pytest.mark.parametrize("certification", [1, 2, 3, 4, 6, 7])
def test_certification(certification: int) -> None:
    """Only quotes that bring their certificates are accepted."""
    assert refused(SGX.but(certification=certification))


@pytest.mark.parametrize(
    "chain", [("middle", "pck", "root"), ("pck",), ("pck", "root"), ("tcb", "middle", "root")]
)
def test_chains(chain: tuple[str, ...]) -> None:
    """Certificates in another order, missing or of another purpose are refused."""
    assert refused(SGX.but(chain=chain))


def test_unverified_root_copy() -> None:
    """The copy of the root within a quote is not what is trusted, nor part of its identity."""
    first = verify_quote(SGX.quote(sgx_body()), SGX.collateral(), SGX.root_der, NOW_S)
    strange = SGX.but(chain=("pck", "middle", "stranger")).quote(sgx_body())
    second = verify_quote(strange, SGX.collateral(), SGX.root_der, NOW_S)
    assert first.report_digest == second.report_digest
    other = verify_quote(SGX.quote(sgx_body(svn=2)), SGX.collateral(), SGX.root_der, NOW_S)
    assert other.report_digest != first.report_digest


@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
def test_trailing(lab: Lab) -> None:
    """Zeros may follow a quote, for clouds pad them; anything else may not."""
    quote = lab.quote(tdx_body() if lab is TDX else sgx_body())
    assert platform(lab, quote + bytes(900)) == platform(lab, quote)
    assert "something follows it" in refused(lab, quote + b"\0\1")


def test_truncated() -> None:
    """A quote that ends anywhere too early is refused."""
    for lab, body in ((SGX, sgx_body()), (TDX, tdx_body()), (TDX, tdx_body(service_td=ZERO48))):
        quote = lab.quote(body)
        for length in range(0, len(quote), 97):
            assert refused(lab, quote[:length] or b"\0")


def test_versions() -> None:
    """Quotes of other versions, TEEs, algorithms and bodies are refused."""
    assert "version" in refused(SGX, SGX.quote(sgx_body(), version=4))
    assert "version" in refused(TDX, TDX.quote(tdx_body(), version=3))
    assert refused(SGX, SGX.quote(sgx_body(), algorithm=3))
    other_tee = bytearray(SGX.quote(sgx_body()))
    other_tee[4] = 0x82
    assert "neither" in refused(SGX, bytes(other_tee))
    extended = TDX.quote(tdx_body(service_td=ZERO48) + bytes(100))
    assert "TDX 1.0 and 1.5" in refused(TDX, extended)


def test_lengths() -> None:
    """A length within a quote that goes over its end is refused, however large."""
    quote = bytearray(SGX.quote(sgx_body()))
    struct.pack_into("<I", quote, 48 + 384, 0xFFFFFFFF)
    assert "ends within its signature" in refused(SGX, bytes(quote))


@pytest.mark.parametrize(
    "changes",
    [
        {"tcb_info": '{"a":1,"a":2}'},
        {"tcb_info": "[" * 100_000},
        {"tcb_info": "{}"},
        {"tcb_info": '{"issueDate":"2026-13-01T00:00:00Z"}'},
        {"tcb_info": '{"issueDate":"today"}'},
        {"tcb_info": 5},
        {"qe_identity": "{}"},
        {"pck_crl": "zz"},
        {"pck_crl": "3003020100"},
        {"root_ca_crl": "zz"},
        {"tcb_info_signature": "00" * 64},
        {"qe_identity_signature": "00" * 64},
        {"tcb_info_issuer_chain": ""},
    ],
)
def test_broken_collateral(changes: dict[str, object]) -> None:
    """Collateral that does not parse or is not signed is refused."""
    assert refused(SGX.but(changes=changes))


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
    dates = UnverifiedDates(issued_s=NOW_S)
    assert read_claims(library_claims(), dates, NOW_S)[1].tcb_status is TcbStatus.UP_TO_DATE
    status = library_claims()
    status["tcb"]["status"] = "Excellent"
    with pytest.raises(EvidenceError, match="none that is known"):
        read_claims(status, dates, NOW_S)
    without = library_claims()
    del without["platform"]
    with pytest.raises(EvidenceError, match="not as expected"):
        read_claims(without, dates, NOW_S)


def test_duplicate_keys() -> None:
    """A TCB info that says one thing twice is refused although its signature is right."""
    lab = SGX.but(
        changes={"tcb_info": '{"id":"SGX","id":"TDX","issueDate":"2026-09-01T00:00:00Z"}'}
    )
    assert refused(lab).startswith("collateral: ")


@pytest.mark.parametrize("collateral", [b"", b"\xff", b"{}", b"[]", b"<html></html>"])
def test_no_collateral(collateral: bytes) -> None:
    """What is no collateral at all is refused."""
    with pytest.raises(EvidenceError, match="collateral"):
        verify_quote(SGX.quote(sgx_body()), collateral, SGX.root_der, NOW_S)


def test_swapped_signatures() -> None:
    """Signed parts of two collaterals cannot be mixed."""
    old = json.loads(SGX.but(tcb_status="OutOfDate").collateral())
    mixed = SGX.but(changes={"tcb_info_signature": old["tcb_info_signature"]})
    assert refused(mixed)


@pytest.mark.parametrize(
    "body",
    [
        tdx_body(attributes=0),
        tdx_body(attributes=SEPT_VE_DISABLE | 1 << 29),
        tdx_body(service_td=b"\1" * 48),
        tdx_body(seam_signer=b"\1" * 48),
        tdx_body(seam_attributes=1),
    ],
    ids=["no SEPT_VE_DISABLE", "migratable", "service TD", "module signer", "module attributes"],
)
def test_trust_domains(body: bytes) -> None:
    """What makes a trust domain open to its host is refused by the verifier itself."""
    assert refused(TDX, TDX.quote(body))
