"""Packages, statements and publications, one fault each: the code that must come out."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from sealflow.package.container import UnverifiedPackage
from sealflow.package.publication import open_publication
from sealflow.package.statement import verify_statement
from sealflow.seal.keys import OpeningKey, parse_suite
from sealflow.wire.domain import TrustDomain
from tests.support.vectors.cases import case_name, expected, read_cases, verdict


def cases(name: str) -> list[Any]:
    """The cases of a file, named by it."""
    return [
        pytest.param(case, id=f"{name}: {case_name(case)}") for case in read_cases(f"{name}.json")
    ]


@pytest.mark.parametrize("case", cases("packages"))
def test_package(case: dict[str, Any]) -> None:
    """Only a genuine package gives files."""
    found: list[dict[str, bytes]] = []

    def judge() -> None:
        unverified = UnverifiedPackage.from_bytes(b64decode(case["package"]))
        package = unverified.verify(case["signer"], digest=case["digest"])
        key, domain = bytes.fromhex(case["content_key"]), TrustDomain[case["domain"].upper()]
        found.append(package.open_files(key, domain))

    assert verdict(judge, "bundle") == expected(case)
    if "files" in case:
        assert found == [{name: b64decode(text) for name, text in case["files"].items()}]


@pytest.mark.parametrize("case", cases("statements"))
def test_statement(case: dict[str, Any]) -> None:
    """A statement has one form, and agrees with its manifest."""
    payload, signature = b64decode(case["statement"]), b64decode(case["signature"])
    found = verdict(lambda: verify_statement(payload, signature, case["signer"]), "bundle")
    assert found == expected(case)


@pytest.mark.parametrize("case", cases("publications"))
def test_publication(case: dict[str, Any]) -> None:
    """A publication is its signer's, and its content key that of the statement."""
    suite, seed = parse_suite(case["suite"]), bytes.fromhex(case["seed"])
    key = OpeningKey(suite=suite, seed=seed)
    found = verdict(lambda: open_publication(b64decode(case["sealed"]), key), "publication")
    assert found == expected(case)
