"""Whole published documents with policy, time, pin and log records: the code that must come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError, EvidenceError
from sealflow.owner.trust.policy_file import parse_policy
from sealflow.owner.trust.session import ServiceSession
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("directory", "directory-payload", "links", "proofs", "witnesses")
CASES = [
    pytest.param(case, id=f"{name}: {case_name(case)}")
    for name in FILES
    for case in read_cases(f"{name}.json")
]


def as_bytes(value: Any) -> bytes:
    """A document as sent: text as it is, anything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@pytest.mark.parametrize("case", CASES)
def test_directory(case: dict[str, Any], tmp_path: Path) -> None:
    """The verdict is the expected one; what is refused is not pinned."""
    pin = tmp_path / "client.pin"
    if "pin" in case:
        pin.write_bytes(as_bytes(case["pin"]))
    before = pin.read_bytes() if pin.exists() else b""

    def judge() -> None:
        try:
            session = ServiceSession(
                parse_policy(case["policy"]).keybroker, pin=pin, clock_ms=lambda: case["now_ms"]
            )
        except ConfigError as error:
            raise EvidenceError("pin", str(error)) from error
        candidate = session.verify_directory(as_bytes(case["document"]))
        records = [record.encode() for record in case.get("records", ())]
        found = session.accept(candidate, records).directory
        if "keys" in case:
            assert [key.kid for key in found.keys] == case["keys"]
        if "models" in case:
            assert [f"{model.name}:{model.version}" for model in found.models] == case["models"]

    assert verdict(judge, "document") == expected(case)
    after = pin.read_bytes() if pin.exists() else b""
    assert (after == before) or expected(case) == "ok"
