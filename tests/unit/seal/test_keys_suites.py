"""Suites belong to one world each."""

from __future__ import annotations

import pytest

from sealflow.attest.suites import SuiteName
from sealflow.errors import MalformedError
from sealflow.seal.keys import Suite, parse_suite
from sealflow.wire.domain import TrustDomain


@pytest.mark.parametrize("domain", TrustDomain)
@pytest.mark.parametrize("name", SuiteName)
def test_the_suite_of_a_world(domain: TrustDomain, name: SuiteName) -> None:
    """Each world has a suite of every name, and no other world has it."""
    suite = Suite.for_domain(domain, name)
    assert (suite.domain, suite.suite_name) == (domain, name)
    assert suite.post_quantum is (name is SuiteName.X_WING)
    assert parse_suite(int(suite)) is suite


@pytest.mark.parametrize("domain", TrustDomain)
def test_post_quantum_unless_asked_otherwise(domain: TrustDomain) -> None:
    """The default resists a quantum computer."""
    assert Suite.for_domain(domain).post_quantum


@pytest.mark.parametrize("number", [0, 3, -1, "1", None, 1.5, 2**32])
def test_unknown_suites(number: object) -> None:
    """A number that names none is refused."""
    with pytest.raises(MalformedError):
        parse_suite(number)
