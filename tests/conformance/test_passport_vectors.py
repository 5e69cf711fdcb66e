"""Passports for other clients: which are accepted, and the code of each refusal."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import jwt
import pytest

from sealflow.attest.evidence import Evidence, Tee
from sealflow.attest.verifiers import TrustedVerifier
from sealflow.errors import EvidenceError, PolicyError
from sealflow.owner.passport.acceptance import accept_passport
from sealflow.owner.passport.passport import verify_passport
from sealflow.owner.trust.policy_file import parse_policy

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "passport.json").read_text()
)
NEWER_NAME = "good, named Ed25519"
CASES: dict[str, Any] = VECTORS["cases"]


def outcome(case: dict[str, Any]) -> str | list[str]:
    """Check a token and decide on it."""
    verifier = TrustedVerifier.from_json(VECTORS["verifiers"][case["verifier"]])
    policy = parse_policy(VECTORS["policies"][case["policy"]]).keybroker
    bound = b64decode(VECTORS["bound"][case["bound"]])
    evidence = Evidence(tee=Tee(json.loads(bound)["tee"]), quote=b"", bound=bound, collateral=b"")
    try:
        passport = verify_passport(case["token"], verifier, case["now_ms"])
        accept_passport(passport, evidence, policy, case["now_ms"])
    except EvidenceError as error:
        return error.code
    except PolicyError as error:
        return sorted(mismatch.code for mismatch in error.mismatches)
    return "ok"


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    """Each ends as it says; of several mismatches the order has no meaning."""
    expect = CASES[name]["expect"]
    assert outcome(CASES[name]) == (sorted(expect) if isinstance(expect, list) else expect)


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith("good") and name != NEWER_NAME]
)
def test_another_library(name: str) -> None:
    """PyJWT reads the good ones."""
    key = VECTORS["verifiers"][CASES[name]["verifier"]]["key"]
    head = jwt.get_unverified_header(CASES[name]["token"])
    value = jwt.decode(
        CASES[name]["token"],
        jwt.PyJWK(key, head["alg"]).key,
        [head["alg"]],
        options={"verify_iat": False, "verify_exp": False},
    )
    assert value["eat_profile"].startswith("tag:ietf.org,2026:rats/ear#")
