"""Intel's collateral of every kind of fault: age, revocation, form, signatures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.errors import EvidenceError
from tests.support.attestation.dcap_certificates import DAY_S, NOW_S
from tests.support.attestation.quote_bodies import sgx_body, tdx_body
from tests.support.attestation.quote_verdicts import SGX, TDX, refusal_text, verified_platform

if TYPE_CHECKING:
    from tests.support.attestation.dcap_authority import DcapAuthority


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_age(part: str) -> None:
    """The oldest part of the collateral makes its age, however new the others are."""
    lab = SGX.replace(**{part: 20 * DAY_S})
    assert verified_platform(lab).collateral_issued_s == NOW_S - 20 * DAY_S


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_future(part: str) -> None:
    """Collateral with a part from the future is refused until that time has come."""
    lab = SGX.replace(**{part: -10})
    assert refusal_text(lab)
    assert verified_platform(lab, at_s=NOW_S + 10).collateral_issued_s <= NOW_S + 10


@pytest.mark.parametrize("part", ["tcb_age_s", "qe_age_s", "crl_age_s"])
def test_expiry(part: str) -> None:
    """Collateral with an expired part is refused, and says so a second before."""
    lab = SGX.replace(**{part: 29 * DAY_S})
    last_s = NOW_S + DAY_S
    assert verified_platform(lab, at_s=last_s - 1).collateral_expires_s == last_s
    assert refusal_text(lab, at_s=last_s + 1)


@pytest.mark.parametrize("name", ["pck", "middle", "tcb"])
@pytest.mark.parametrize("lab", [SGX, TDX], ids=["SGX", "TDX"])
def test_revoked(lab: DcapAuthority, name: str) -> None:
    """A revoked certificate anywhere in the chains is refused."""
    assert "certificate chain" in refusal_text(lab.replace(revoked=frozenset({name})))


@pytest.mark.parametrize("field", [{"fmspc": "5e0000000001"}, {"info_id": "TDX"}])
def test_collateral_of_others(field: dict[str, str]) -> None:
    """Collateral of other machines or of another TEE is refused."""
    assert refusal_text(SGX.replace(**field))


def test_collateral_of_another_tee() -> None:
    """SGX collateral does not judge a trust domain, nor the other way round."""
    assert refusal_text(SGX, TDX.quote(tdx_body()))
    assert refusal_text(TDX, SGX.quote(sgx_body()))


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
    assert refusal_text(SGX.replace(changes=changes))


def test_duplicate_keys() -> None:
    """A TCB info that says one thing twice is refused although its signature is right."""
    lab = SGX.replace(
        changes={"tcb_info": '{"id":"SGX","id":"TDX","issueDate":"2026-09-01T00:00:00Z"}'}
    )
    assert refusal_text(lab).startswith("collateral: ")


@pytest.mark.parametrize("collateral", [b"", b"\xff", b"{}", b"[]", b"<html></html>"])
def test_no_collateral(collateral: bytes) -> None:
    """What is no collateral at all is refused."""
    with pytest.raises(EvidenceError, match="collateral"):
        verify_intel_quote(SGX.quote(sgx_body()), collateral, SGX.root_der, NOW_S)


def test_swapped_signatures() -> None:
    """Signed parts of two collaterals cannot be mixed."""
    old = json.loads(SGX.replace(tcb_status="OutOfDate").collateral())
    mixed = SGX.replace(changes={"tcb_info_signature": old["tcb_info_signature"]})
    assert refusal_text(mixed)
