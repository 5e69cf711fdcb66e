"""Our own vectors of evidence and verdicts, checked against ourselves."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from sealflow.attest.evidence import BoundClaims, Evidence, Role, Tee, report_data
from sealflow.attest.policy import SimulationPolicy, appraise
from sealflow.errors import EvidenceError, PolicyError
from sealflow.owner import Requirements
from sealflow.wire.domain import TrustDomain

FILE = Path(__file__).parents[1] / "vectors" / "attestation.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text())


@pytest.mark.parametrize("vector", VECTORS["report_data"], ids=lambda vector: vector["role"])
def test_report_data(vector: dict[str, str]) -> None:
    """Bound claims have one form, and the report data is their hash in each world."""
    bound, role = vector["bound"].encode(), Role(vector["role"])
    assert BoundClaims.from_bytes(bound).to_bytes() == bound
    assert report_data(bound, role, TrustDomain.HARDWARE).hex() == vector["hardware"]
    assert report_data(bound, role, TrustDomain.SIMULATED).hex() == vector["simulated"]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_verdicts(case: dict[str, Any]) -> None:
    """Each case has its verdict: approved, one error's code, or all mismatches in order."""
    evidence = Evidence(
        tee=Tee(case["tee"]),
        quote=b64decode(case["quote"]),
        bound=case["bound"].encode(),
        collateral=VECTORS["collateral"][case["collateral"]].encode(),
    )
    policy = SimulationPolicy(
        role=Role.KEY_BROKER,
        deployment=VECTORS["deployment"],
        manifest_digest=VECTORS["manifest_digest"],
        requirements=Requirements.from_json(case["keybroker"], "keybroker"),
        insecure_root=b64decode(VECTORS["roots"][case["root"]]),
    )
    expect = case["expect"]
    try:
        appraise(evidence, policy, case["now_ms"], nonce=case["nonce"])
    except EvidenceError as error:
        found: str | list[str] = error.code
    except PolicyError as error:
        found = [mismatch.code for mismatch in error.mismatches]
    else:
        found = []
    assert found == expect
