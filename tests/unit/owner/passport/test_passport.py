"""Passports: which claims a client reads, and when a passport counts."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.owner.passport.passport import (
    EXTENSION,
    MAX_LIFETIME_S,
    SUBMODULE,
    Passport,
    PassportClaims,
    Tier,
    verify_passport,
)
from tests.support.passports.tokens import (
    ED25519,
    NOW_MS,
    NOW_S,
    code_of,
    ear,
    passport_claims,
    sign,
)


def submodules(**changes: Any) -> dict[str, Any]:
    """The claim `submods` with changed values in our object; None takes one away."""
    value = {**passport_claims().to_json(), **changes}
    value = {name: each for name, each in value.items() if each is not None or name in _NULLABLE}
    return {SUBMODULE: {"ear_status": "affirming", EXTENSION: value}}


_NULLABLE = {"product_id"}


def test_what_it_says() -> None:
    """All claims are read, with the times."""
    found = verify_passport(sign(ear()), ED25519.trusted("v"), NOW_MS)
    assert found.claims == passport_claims()
    assert (found.issued_ms, found.expires_ms) == (NOW_MS, NOW_MS + 3_600_000)
    assert found.verifier.name == "v"


def test_only_verification_makes_one() -> None:
    """A passport that was not checked cannot exist."""
    with pytest.raises(TypeError, match="verify_passport"):
        Passport(
            verifier=ED25519.trusted("v"),
            claims=passport_claims(),
            issued_ms=0,
            expires_ms=0,
            _verified=object(),
        )


def test_unknown_claims() -> None:
    """They are ignored at every level, as the draft demands."""
    more = {"x": 1}
    value = ear(jti="x", submods={**submodules(x=1), "x": more})
    value["submods"][SUBMODULE] |= more
    value["ear_verifier_id"] |= more
    assert code_of(sign(value)) == "ok"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": NOW_S}, "passport"),
        ({"exp": NOW_S - 1}, "passport"),
        ({"exp": NOW_S + MAX_LIFETIME_S}, "ok"),
        ({"exp": NOW_S + MAX_LIFETIME_S + 1}, "passport"),
        ({"iat": NOW_S - 3600, "exp": NOW_S}, "passport_expired"),
        ({"iat": NOW_S - 3600, "exp": NOW_S + 1}, "ok"),
        ({"iat": NOW_S + 300, "exp": NOW_S + 3600}, "ok"),
        ({"iat": NOW_S + 300 + 1, "exp": NOW_S + 3600}, "passport_early"),
        ({"nbf": NOW_S + 300 + 1}, "passport_early"),
        ({"nbf": NOW_S + 300}, "ok"),
        ({"nbf": "x"}, "passport"),
        ({"iat": "1"}, "passport"),
        ({"iat": -1}, "passport"),
        ({"iat": True}, "passport"),
        ({"exp": 2**53}, "passport"),
        ({"exp": None}, "passport"),
        ({"iat": None}, "passport"),
        ({"aud": "x"}, "passport"),
    ],
)
def test_times(changes: dict[str, Any], code: str) -> None:
    """Not before it was issued, but for five minutes; not from its end on; at most seven days."""
    assert code_of(sign(ear(**changes))) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"eat_profile": "tag:ietf.org,2026:rats/ear#03"},
        {"eat_profile": None},
        {"ear_verifier_id": None},
        {"ear_verifier_id": {"developer": "x"}},
        {"ear_verifier_id": {"developer": "x", "build": 1}},
        {"ear_verifier_id": "x"},
        {"submods": None},
        {"submods": {}},
        {"submods": []},
        {"submods": {SUBMODULE: {}}},
        {"submods": {SUBMODULE: {"ear_status": "affirming"}}},
        {"submods": {SUBMODULE: {"ear_status": 2, EXTENSION: passport_claims().to_json()}}},
        {"submods": submodules(format=None)},
        {"submods": submodules(registers={"rtmr0": 1})},
        {"submods": submodules(registers={"rtmr0": "0" * 129})},
        {"submods": submodules(registers=[])},
        {"submods": submodules(product_id=-1)},
        {"submods": submodules(advisories="x")},
        {"submods": submodules(collateral_issued_ms=2**53)},
        *({"submods": submodules(**{name: None})} for name in passport_claims().to_json()
          if name != "product_id"),
        *({"submods": submodules(**{name: 0.5})} for name in passport_claims().to_json()),
    ],
)  # fmt: skip
def test_what_breaks_the_form(changes: dict[str, Any]) -> None:
    """Every claim has one form, and all are required."""
    assert code_of(sign(ear(**changes))) == "passport"


def test_newer_formats() -> None:
    """Another format, or an unknown field that must be known, asks for a newer release."""
    assert code_of(sign(ear(submods=submodules(format=2)))) == "format"
    value = submodules(critical=["x"], x=1)
    assert code_of(sign(ear(submods=value))) == "critical"
    for critical in ([], ["format"], ["absent"], "x", ["x", "x"]):
        assert code_of(sign(ear(submods=submodules(critical=critical, x=1)))) == "passport"


@pytest.mark.parametrize("tier", Tier)
def test_tiers(tier: Tier) -> None:
    """The verifier's summary is read; the policy decides on it."""
    found = verify_passport(sign(ear(passport_claims(tier=tier))), ED25519.trusted("v"), NOW_MS)
    assert found.claims.tier is tier


def test_round_trip() -> None:
    """Claims are read as they were written."""
    claims = passport_claims(registers={"rtmr1": "ab"}, product_id=None, advisories=("X",))
    assert PassportClaims.from_json(claims.to_json(), Tier.AFFIRMING) == claims
