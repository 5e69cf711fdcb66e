"""Bound claims, evidence and settings: round trips, and what does not parse."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.evidence import MAX_QUOTE_BYTES, BoundClaims, Evidence, Role, Tee, report_data
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.domain import TrustDomain
from sealflow.wire.fields import base64_bytes
from sealflow.wire.frames import MAX_COLLATERAL_BYTES
from tests.support.attestation.evidence import bound_claims, change_json
from tests.support.attestation.hardware_samples import QUOTES, read_sample


@pytest.mark.parametrize("tee", list(Tee))
@pytest.mark.parametrize("role", list(Role))
def test_bound_claims(tee: Tee, role: Role) -> None:
    """Bound claims are read as they were written."""
    bound = bound_claims(tee=tee, role=role)
    assert BoundClaims.from_bytes(bound.to_bytes()) == bound


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "sealflow/2"},
        {"role": "gateway"},
        {"tee": "sev"},
        {"tee": 5},
        {"nonce": "AB" * 32},
        {"nonce": ""},
        {"manifest_digest": "cd"},
        {"deployment": ""},
        {"instance": "x"},
        {"sealing_suite": "1"},
        {"sealing_suite": True},
        {"sealing_key": "*"},
        {"sealing_key": b64encode(bytes(5000)).decode()},
        {"signing_key": b64encode(bytes(31)).decode()},
        {"signing_key": b64encode(bytes(33)).decode()},
        {"software": None},
        {"software": "x" * 65},
        {"software": "\x1b[2J"},
        {"extra": "x", "critical": ["extra"]},
    ],
)
def test_broken_bound_claims(changes: dict[str, Any]) -> None:
    """Bound claims of another protocol, with a wrong, missing or unknown field do not parse."""
    with pytest.raises(MalformedError):
        BoundClaims.from_bytes(change_json(bound_claims().to_bytes(), **changes))


def test_report_data() -> None:
    """Each bit of claims, role and world changes what the quote carries."""
    bound = bound_claims().to_bytes()
    carried = {
        report_data(bound, Role.WORKER, TrustDomain.SIMULATED),
        report_data(bound, Role.KEY_BROKER, TrustDomain.SIMULATED),
        report_data(bound, Role.WORKER, TrustDomain.HARDWARE),
        report_data(bound + b" ", Role.WORKER, TrustDomain.SIMULATED),
    }
    assert [len(each) for each in carried] == [64] * 4


@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100))
def test_evidence(quote: bytes, bound: bytes, collateral: bytes) -> None:
    """Evidence is read as it was written, whatever is in it."""
    evidence = Evidence(tee=Tee.SNP, quote=quote, bound=bound, collateral=collateral)
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"tee": "sev"},
        {"quote": 5},
        {"quote": "AA="},
        {"quote": b64encode(bytes(MAX_QUOTE_BYTES + 3)).decode()},
        {"collateral": b64encode(bytes(MAX_COLLATERAL_BYTES + 3)).decode()},
        {"bound": None},
        {"extra": "", "critical": ["extra"]},
        {"format": 2},
        {"format": None},
    ],
)
def test_broken_evidence(changes: dict[str, Any]) -> None:
    """Evidence with a wrong, missing, unknown or too large part does not parse."""
    whole = Evidence(tee=Tee.SGX, quote=b"q", bound=b"b", collateral=b"c").to_json()
    with pytest.raises(MalformedError):
        Evidence.from_json(json.loads(change_json(json.dumps(whole).encode(), **changes)))
    with pytest.raises(MalformedError):
        Evidence.from_json([])


def test_quote_of_other_hardware() -> None:
    """A genuine quote of a trust domain does not pass as one of an enclave."""
    name = "tdx-v4-uptodate.quote"
    entry = QUOTES[name]
    evidence = Evidence(
        tee=Tee.SGX,
        quote=read_sample(name),
        bound=bound_claims(tee=Tee.SGX).to_bytes(),
        collateral=read_sample(entry["collateral"]),
    )
    with pytest.raises(EvidenceError, match="the quote is of TEE tdx, not of sgx"):
        verify_evidence(evidence, TrustRoot(), 1000 * entry["verify_at"])


@pytest.mark.parametrize("limit", range(1, 9))
def test_base64(limit: int) -> None:
    """Base64 of so many bytes is taken, of one more is not."""
    for length in range(limit + 1):
        assert base64_bytes(b64encode(bytes(length)).decode(), limit, "x") == bytes(length)
    for length in range(limit + 1, limit + 5):
        with pytest.raises(MalformedError, match="x"):
            base64_bytes(b64encode(bytes(length)).decode(), limit, "x")
