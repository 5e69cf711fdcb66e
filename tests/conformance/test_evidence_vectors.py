"""Whole evidence, each case with one fault at most: the code that must come out."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.evidence import NO_NONCE, Evidence
from sealflow.attest.policy import appraise
from sealflow.owner.trust.policy_file import parse_policy
from sealflow.seal.enclave import enclave_sealing_key
from tests.support.vectors.cases import FOLDER, case_name, expected, read_cases, verdict

CASES = [
    pytest.param(case, id=f"{path.stem}: {case_name(case)}")
    for path in sorted((FOLDER / "evidence").glob("*.json"))
    for case in read_cases(f"evidence/{path.name}")
]


@pytest.mark.parametrize("case", CASES)
def test_evidence(case: dict[str, Any]) -> None:
    """The verdict is the expected one, and an approval ends when it must."""

    def judge() -> None:
        evidence = Evidence.from_json(case["evidence"])
        policy = parse_policy(case["policy"]).keybroker
        nonce = case.get("nonce", NO_NONCE)
        approval = appraise(evidence, policy, case["now_ms"], nonce=nonce)
        enclave_sealing_key(approval.claims)
        if "valid_until_ms" in case:
            assert approval.valid_until_ms == case["valid_until_ms"]

    assert verdict(judge, "evidence") == expected(case)
