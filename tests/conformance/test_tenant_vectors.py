"""What tenant authorities sign, and records of use, one fault each: the code that must come out."""

from __future__ import annotations

import dataclasses
from base64 import b64decode
from typing import Any

import pytest

from sealflow.documents.tenant_usage import UsageRecord
from sealflow.seal.content import parse_content
from sealflow.trusted.worker.serving.tenants import TenantLedger
from tests.support.attestation.deployments import simulated_deployment
from tests.support.vectors.cases import case_name, expected, read_cases, verdict


def ledger_of(case: dict[str, Any]) -> TenantLedger:
    """A worker's ledger in the case's deployment."""
    deployment = dataclasses.replace(
        simulated_deployment(case["now_ms"]).deployment,
        name=case["deployment"],
        tenants=case["authority"],
    )
    return TenantLedger(deployment, 10, case["now_ms"])


@pytest.mark.parametrize(
    "case", read_cases("tenant-tokens.json"), ids=lambda each: f"tenant-tokens: {case_name(each)}"
)
def test_token(case: dict[str, Any]) -> None:
    """A worker takes only what its deployment's authority signed for now."""
    ledger = ledger_of(case)

    def judge() -> None:
        ledger.admit({"tenant_token": case["token"]}, 1, case["now_ms"])

    assert verdict(judge, "tenant_refused") == expected(case)


@pytest.mark.parametrize(
    "case", read_cases("tenant-usage.json"), ids=lambda each: f"tenant-usage: {case_name(each)}"
)
def test_usage(case: dict[str, Any]) -> None:
    """A worker tells the authority alone, which reads only what is a record."""

    def judge() -> None:
        if "order" in case:
            ledger_of(case).report(case["order"], case["now_ms"])
            return
        record = parse_content(memoryview(b64decode(case["record"])))
        written = UsageRecord.from_content(record).parts()
        again = parse_content(memoryview(b"".join(written)))
        assert UsageRecord.from_content(again) == UsageRecord.from_content(record)

    assert verdict(judge, "tenant_refused" if "order" in case else "malformed") == expected(case)
