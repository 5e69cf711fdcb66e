"""What a policy demands of SGX enclaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.intel.checks import check_sgx
from sealflow.attest.policy import appraise
from sealflow.attest.reports import SgxReport
from sealflow.attest.requirements import DAY_S
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    change_requirements,
    policy,
    sgx_codes,
    sgx_evidence,
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"measurements": frozenset({"12" * 32})}, "measurement"),
        ({"signers": frozenset({"23" * 32})}, "signer"),
        ({"product_id": 2}, "product_id"),
        ({"min_svn": 2}, "svn"),
        ({"min_tcb_evaluation": 21}, "tcb_evaluation"),
        ({"max_collateral_age_s": DAY_S - 1}, "collateral_age"),
    ],
)
def test_sgx_code(changes: dict[str, Any], code: str) -> None:
    """Other code, signer, product, an older release or older collateral is refused."""
    assert sgx_codes(change_requirements(SGX, **changes)) == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"attributes": 0x04}, "attributes"),
        ({"attributes": 0x01}, "attributes"),
        ({"attributes": 0x15}, "attributes"),
        ({"attributes": 0x25}, "attributes"),
        ({"attributes": 0x0805}, "attributes"),
        ({"attributes": 1 << 63 | 0x05}, "attributes"),
        ({"xfrm": 0x01}, "xfrm"),
        ({"xfrm": 0x03 | 1 << 20}, "xfrm"),
        ({"misc_select": 4}, "misc_select"),
        ({"config_id": b"\1" + bytes(63)}, "config_id"),
        ({"config_svn": 1}, "config_id"),
    ],
)
def test_sgx_state(body: dict[str, Any], code: str) -> None:
    """An enclave started in any other than a known production state is refused."""
    assert sgx_codes(SGX, **body) == [code]


def test_signer_only() -> None:
    """Any code of a signer passes where a policy says so by an insecure option, and only then."""
    wanted = change_requirements(
        SGX,
        measurements=frozenset(),
        signers=frozenset({"22" * 32}),
        product_id=1,
        min_svn=1,
        insecure_signer_only=True,
    )
    lab = DcapAuthority()
    appraise(sgx_evidence(lab, measurement=b"\x99" * 32), policy(wanted, lab.root_der), NOW_MS)
    assert sgx_codes(wanted, signer=b"\x23" * 32) == ["signer"]
    assert sgx_codes(wanted, product_id=2) == ["product_id"]
    assert sgx_codes(wanted, svn=0) == ["svn"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": 0x07}, "attributes"),
        ({"attributes": 0x05 | 1 << 4}, "attributes"),
        ({"attributes": 0x05 | 1 << 5}, "attributes"),
    ],
)
def test_sgx_without_library(changes: dict[str, Any], code: str) -> None:
    """What the library refuses first is refused by our own checks too."""
    lab = DcapAuthority()
    report = verify_evidence(
        sgx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS
    ).report
    assert isinstance(report, SgxReport)
    assert list(check_sgx(report)) == []
    assert [each.code for each in check_sgx(replace(report, **changes))] == [code]
