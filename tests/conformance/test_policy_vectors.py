"""Policies and settings of deployments, one fault each: the code that must come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.deployment import Deployment
from sealflow.owner.trust.policy_file import load_policy_file, parse_policy
from sealflow.wire.strict_json import parse_object
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

if TYPE_CHECKING:
    from pathlib import Path


def cases(name: str) -> list[Any]:
    """The cases of a file, named by it."""
    return [
        pytest.param(case, id=f"{name}: {case_name(case)}") for case in read_cases(f"{name}.json")
    ]


@pytest.mark.parametrize("case", cases("policies"))
def test_policy(case: dict[str, Any], tmp_path: Path) -> None:
    """A policy is of its form, and some service can meet it."""

    def judge() -> None:
        if "toml" in case:
            path = tmp_path / "client.toml"
            path.write_text(case["toml"], newline="")
            load_policy_file(path)
        else:
            parse_policy(parse_object(json.dumps(case["json"]).encode(), "policy"))

    assert verdict(judge, "config") == expected(case)


@pytest.mark.parametrize("case", cases("settings"))
def test_settings(case: dict[str, Any]) -> None:
    """Settings have one form, and their times fit."""
    found = verdict(lambda: Deployment.from_bytes(case["settings"].encode()), "settings")
    assert found == expected(case)
