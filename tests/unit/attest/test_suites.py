"""Lists of cipher suites, as settings and policies have them."""

from __future__ import annotations

import pytest

from sealflow.attest.suites import ALL_SUITES, SuiteName, parse_suites
from sealflow.errors import MalformedError


def test_lists_of_suites() -> None:
    """A list names one suite or several, and its order stays."""
    assert parse_suites(["x25519"], "suites") == (SuiteName.X25519,)
    assert parse_suites(["x25519", "x-wing"], "suites") == (SuiteName.X25519, SuiteName.X_WING)
    assert parse_suites(ALL_SUITES, "suites") == ALL_SUITES


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "x-wing",
        {"x-wing": 1},
        ["X-Wing"],
        ["x-wing", 1],
        [["x-wing"]],
        ["x-wing", "x25519", "x-wing"],
    ],
)
def test_other_lists(value: object) -> None:
    """An empty list, doubles, other names and what is no list are refused."""
    with pytest.raises(MalformedError, match="policy: suites: not a list of different names"):
        parse_suites(value, "policy: suites")
