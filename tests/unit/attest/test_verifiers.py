"""Verifiers in policies: their keys, as JSON Web Keys that have one form."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sealflow.attest.verifiers import TrustedVerifier, base64url, base64url_bytes
from sealflow.errors import MalformedError
from tests.support.passports.tokens import ED25519, P256

OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
EC = P256.trusted("v").jwk


def table(**changes: Any) -> dict[str, Any]:
    """A table of a policy file; None takes a key away."""
    value = {"name": "hospital", "key": OKP, **changes}
    return {name: each for name, each in value.items() if each is not None}


@pytest.mark.parametrize("jwk", [OKP, EC], ids=["Ed25519", "P-256"])
def test_round_trip(jwk: dict[str, str]) -> None:
    """A table is read as it is written."""
    found = TrustedVerifier.from_json(table(key=jwk, instead_of_evidence=True))
    assert TrustedVerifier.from_json(found.to_json()) == found
    assert found.jwk == jwk
    assert found.instead_of_evidence
    assert not TrustedVerifier.from_json(table(key=jwk)).instead_of_evidence


def test_published_thumbprint() -> None:
    """The name of a key is that of RFC 8037, appendix A.3."""
    assert TrustedVerifier.from_json(table()).key_id == (
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": None}, "missing name"),
        ({"name": "a b"}, "name"),
        ({"key": None}, "missing key"),
        ({"key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, "not a table"),
        ({"url": "https://x"}, "unknown 'url'"),
        ({"instead_of_evidence": 1}, "neither true nor false"),
        ({"key": {**OKP, "d": "x"}}, "unknown 'd'"),
        ({"key": {**OKP, "alg": "EdDSA"}}, "unknown 'alg'"),
        ({"key": {**OKP, "crv": "X25519"}}, "OKP and Ed25519"),
        ({"key": {**OKP, "crv": "P-256"}}, "OKP and Ed25519"),
        ({"key": {**OKP, "kty": "oct"}}, "OKP and Ed25519"),
        ({"key": {**OKP, "x": OKP["x"] + "="}}, "without padding"),
        ({"key": {**OKP, "x": OKP["x"][:-1] + "p"}}, "unused bits"),
        ({"key": {**OKP, "x": OKP["x"][:-2]}}, "not base64url"),
        ({"key": {**OKP, "x": "AAAA"}}, "not of 32 bytes"),
        ({"key": {**OKP, "x": 1}}, "not a string"),
        ({"key": {"kty": "EC", "crv": "P-256", "x": EC["x"]}}, "missing y"),
        ({"key": {**EC, "crv": "P-384"}}, "EC and P-256"),
        ({"key": {**EC, "y": EC["x"]}}, "not on its curve"),
        ({"key": {**EC, "x": base64url(bytes(32)), "y": base64url(bytes(32))}}, "curve"),
    ],
)
def test_mistakes(changes: dict[str, Any], says: str) -> None:
    """Each is named."""
    with pytest.raises(MalformedError, match=says):
        TrustedVerifier.from_json(table(**changes))


def test_sizes() -> None:
    """A key has the size of its curve."""
    for curve, size in (("Ed25519", 64), ("P-256", 32), ("P-384", 96)):
        with pytest.raises(MalformedError, match="not one of"):
            TrustedVerifier(name="v", curve=curve, public=bytes(size))


def test_base64url() -> None:
    """Every length has one form."""
    for size in range(5):
        content = bytes(range(250, 250 + size))
        assert base64url_bytes(base64url(content), "x") == content
    for text in ("A", "AA=", "AB", "A+", "A/", "A\n", "Ä"):
        with pytest.raises(MalformedError, match=re.escape("x ")):
            base64url_bytes(text, "x")


def test_no_secret_is_shown() -> None:
    """A private key has no text."""
    assert "private" not in repr(ED25519)
