"""Tokens: one strict form, and the key alone decides the algorithm."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from sealflow.attest.verifiers import base64url
from sealflow.errors import EvidenceError
from sealflow.owner.passport.token import MAX_TOKEN_CHARACTERS, verify_token
from tests.support.passports.tokens import ED25519, HEADER, OTHER, P256, ear, sign

if TYPE_CHECKING:
    from sealflow.owner.verifier.verifier_key import VerifierKey

KEYS = {"Ed25519": ED25519, "P-256": P256}
CLAIMS = json.dumps(ear()).encode()


def code(token: str, key: VerifierKey = ED25519) -> str:
    """Check a token that must be refused; gives the error's code."""
    with pytest.raises(EvidenceError) as caught:
        verify_token(token, key.trusted("v"))
    return caught.value.code


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_another_library_agrees(key: VerifierKey) -> None:
    """PyJWT reads our tokens, and we read what PyJWT signs."""
    algorithm = "EdDSA" if key is ED25519 else "ES256"
    public = key.private.public_key()
    assert jwt.decode(sign(ear(), key), public, [algorithm], options=_ANY_TIME) == ear()
    token = jwt.encode(ear(), key.private, algorithm, headers={"typ": "eat+jwt"})
    assert verify_token(token, key.trusted("v")) == ear()


_ANY_TIME: Any = {"verify_iat": False, "verify_exp": False}


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "HS256"},
        {**HEADER, "alg": "ES256"},
        {**HEADER, "alg": "eddsa"},
        {**HEADER, "alg": None},
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": "application/eat+jwt"},
        {"alg": "EdDSA"},
        {"typ": "eat+jwt"},
        {**HEADER, "crit": ["exp"], "exp": 1},
        {**HEADER, "b64": False, "crit": ["b64"]},
        {**HEADER, "jwk": ED25519.trusted("v").jwk},
        {**HEADER, "kid": 1},
        b'{"alg":"EdDSA","alg":"EdDSA","typ":"eat+jwt"}',
        b'{"alg":"EdDSA","typ":"eat+jwt"} x',
        b"[]",
        b"",
    ],
)
def test_headers(header: Any) -> None:
    """Only `alg` of the key, `typ`, and a `kid` that nothing depends on."""
    assert code(sign(CLAIMS, header=header)) == "passport"


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
def test_names_of_ed25519(name: str) -> None:
    """Both registered names of the algorithm are read."""
    token = sign(CLAIMS, header={**HEADER, "alg": name, "kid": "any"})
    assert verify_token(token, ED25519.trusted("v")) == ear()


def test_public_key_as_secret() -> None:
    """A token whose HMAC key is the public key is refused by its header."""
    head = base64url(b'{"alg":"HS256","typ":"eat+jwt"}')
    signed = f"{head}.{base64url(CLAIMS)}"
    tag = hmac.digest(ED25519.trusted("v").public, signed.encode(), "sha256")
    assert code(f"{signed}.{base64url(tag)}") == "passport"


def test_other_keys() -> None:
    """Another key, another curve, a flipped bit, a short signature."""
    assert code(sign(CLAIMS, OTHER)) == "passport_signature"
    assert code(sign(CLAIMS, P256)) == "passport"
    assert code(sign(CLAIMS), P256) == "passport"
    head, claims, signature = sign(CLAIMS).split(".")
    other = "B" if signature[0] == "A" else "A"
    assert code(f"{head}.{claims}.{other}{signature[1:]}") == "passport_signature"
    assert code(f"{head}.{claims}.{base64url(bytes(63))}") == "passport_signature"
    assert code(f"{head}.{claims}.") == "passport_signature"
    zeros = base64url(bytes(64))
    assert code(f"{head}.{claims}.{zeros}") == "passport_signature"
    head, claims, _ = sign(CLAIMS, P256).split(".")
    assert code(f"{head}.{claims}.{zeros}", P256) == "passport_signature"


def test_one_spelling() -> None:
    """Padding, white space, further parts, unused bits and other alphabets are refused."""
    token = sign(CLAIMS)
    head, claims, signature = token.split(".")
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}
    for each in (
        f"{token}=",
        f"{token}\n",
        f" {token}",
        f"{token}.",
        f"{token}.x",
        f"{head}.{claims}",
        f"{head}..{signature}",
        f"{head}.{claims}.{signature[:-1]}{last[signature[-1]]}",
        f"{head}.{claims}.{signature[:-1]}+",
        f"{head}.{claims}.é{signature[1:]}",
        "",
    ):
        assert code(each).startswith("passport"), each
    assert code(f"{head}.{claims}.{signature[:-1]}{last[signature[-1]]}") == "passport"


def test_size() -> None:
    """A token over the limit is refused before it is decoded."""
    assert code(sign(ear(pad="x" * MAX_TOKEN_CHARACTERS))) == "passport"
    assert code("." * (MAX_TOKEN_CHARACTERS + 1)) == "passport"


def test_claims_are_strict_json() -> None:
    """Doubled keys, fractions and other values than objects are refused, though they are signed."""
    for claims in (b'{"a":1,"a":1}', b'{"a":1.5}', b"[]", b"", b"\xff", CLAIMS + b" x"):
        assert code(sign(claims)) == "passport"
