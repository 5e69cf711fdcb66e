"""Tenant tokens, one fault each: the code of the sealed error that must come out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sealflow.trusted.worker.serving.tenants import TenantLedger
from tests.support.attestation.deployments import simulated_deployment
from tests.support.vectors.cases import case_name, expected, read_cases, verdict


@pytest.mark.parametrize(
    "case", read_cases("tenant-tokens.json"), ids=lambda each: f"tenant-tokens: {case_name(each)}"
)
def test_token(case: dict[str, Any]) -> None:
    """A worker takes only what its deployment's authority signed for now."""
    deployment = dataclasses.replace(
        simulated_deployment(case["now_ms"]).deployment,
        name=case["deployment"],
        tenants=case["authority"],
    )
    ledger = TenantLedger(deployment, 10, case["now_ms"])

    def judge() -> None:
        ledger.admit({"tenant_token": case["token"]}, 1, case["now_ms"])

    assert verdict(judge, "tenant_refused") == expected(case)
