"""Claims and approvals: what they say, and that nothing but proof makes them."""

from __future__ import annotations

import hashlib

import pytest

from sealflow.attest.claims import Claims, TrustRoot, verify_evidence
from sealflow.attest.evidence import Evidence
from sealflow.attest.policy import Approval, appraise
from sealflow.attest.reports import TcbStatus
from sealflow.errors import EvidenceError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import DAY_S, NOW_S
from tests.support.attestation.evidence import bound_claims
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    change_requirements,
    policy,
    sgx_evidence,
)


def test_claims() -> None:
    """What was proved has this form for machines."""
    lab = DcapAuthority(
        tcb_status="SWHardeningNeeded",
        advisories=("INTEL-SA-00615",),
        tcb_age_s=2 * DAY_S,
        life_s=10 * DAY_S,
    )
    wanted = change_requirements(
        SGX,
        tcb_statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}),
        advisories=frozenset({"INTEL-SA-00615"}),
    )
    evidence = sgx_evidence(lab, svn=5)
    found = appraise(evidence, policy(wanted, lab.root_der), NOW_MS).claims.to_json()
    signed = evidence.quote[: 48 + 384]
    assert found == {
        "tee": "simulated",
        "form": "sgx",
        "measurement": "11" * 32,
        "signer": "22" * 32,
        "svn": 5,
        "tcb_status": "SWHardeningNeeded",
        "advisories": ["INTEL-SA-00615"],
        "collateral_issued_ms": 1000 * (NOW_S - 2 * DAY_S),
        "collateral_expires_ms": 1000 * (NOW_S + 8 * DAY_S),
        "registers": {},
        "report_digest": hashlib.sha256(signed).hexdigest(),
    }


def test_binding() -> None:
    """A quote counts for the claims that it was made for, to the bit, and for nothing else."""
    lab = DcapAuthority()
    good = sgx_evidence(lab)
    other = bound_claims(signing_key=b"x" * 32).to_bytes()
    stolen = Evidence(tee=good.tee, quote=good.quote, bound=other, collateral=good.collateral)
    with pytest.raises(EvidenceError, match="report_data"):
        appraise(stolen, policy(SGX, lab.root_der), NOW_MS)
    for bound in (b"{}", good.bound + b" x", b"\xff"):
        broken = Evidence(tee=good.tee, quote=good.quote, bound=bound, collateral=good.collateral)
        with pytest.raises(EvidenceError, match="bound_claims"):
            appraise(broken, policy(SGX, lab.root_der), NOW_MS)


def test_proofs_cannot_be_made() -> None:
    """Claims and approvals cannot be made by hand."""
    lab = DcapAuthority()
    claims = verify_evidence(sgx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS)
    with pytest.raises(TypeError, match="verify"):
        Claims(
            domain=claims.domain,
            bound=claims.bound,
            bound_bytes=claims.bound_bytes,
            report=claims.report,
            platform=claims.platform,
            report_digest=claims.report_digest,
            _verified=object(),
        )
    with pytest.raises(TypeError, match="appraise"):
        Approval(claims=claims, policy=None, valid_until_ms=0, _appraised=object())  # type: ignore[arg-type]
