"""Attacks on passports: rows 77 to 80 of docs/threat-model.md."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealflow.attest.policy import Approval
from sealflow.errors import EvidenceError, VerificationError
from sealflow.owner.passport.acceptance import accept_passport
from sealflow.owner.passport.passport import Tier, verify_passport
from sealflow.owner.trust.verified_service import verify_directory
from sealflow.owner.verifier.appraisal import Appraiser
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.passports.tokens import (
    ED25519,
    HEADER,
    OTHER,
    code_of,
    ear,
    hardware_policy,
    passport_claims,
    shown_evidence,
    sign,
    simulated_bound,
)
from tests.support.passports.tokens import NOW_MS as TOKEN_MS

ROOT = Path(__file__).resolve().parents[2]
INSTEAD = ED25519.trusted("hospital", instead_of_evidence=True)


@pytest.fixture(scope="module")
def service() -> PublishedService:
    """A service whose evidence passes."""
    return PublishedService.create()


def shown(service: PublishedService, token: str, **changes: Any) -> bytes:
    """What a host shows that has no evidence that passes: a token, and a quote of nothing."""
    value = json.loads(service.document(**changes))
    value["evidence"] |= {"quote": "", "collateral": ""}
    return json.dumps({**value, "passports": [token]}).encode()


def refused(service: PublishedService, document: bytes, now_ms: int = NOW_MS) -> bool:
    """Say whether a client that trusts the verifier refuses a document."""
    policy = replace(service.policy, verifiers=(INSTEAD,))
    try:
        verify_directory(document, policy, now_ms)
    except VerificationError:
        return True
    return False


def test_77_forged_passport() -> None:
    """Another key, no algorithm, a symmetric one, a key of its own in the header, crit, doubles."""
    claims = json.dumps(ear()).encode()
    assert code_of(sign(claims)) == "ok"
    assert code_of(sign(claims, OTHER)) == "passport_signature"
    for header in (
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "HS256"},
        {**HEADER, "alg": "ES256"},
        {**HEADER, "jwk": OTHER.trusted("x").jwk},
        {**HEADER, "crit": ["exp"]},
        b'{"alg":"EdDSA","typ":"eat+jwt","alg":"none"}',
    ):
        assert code_of(sign(claims, OTHER, header)) == "passport"
        assert code_of(sign(claims, ED25519, header)) == "passport"


def test_78_anothers_passport(service: PublishedService) -> None:
    """A passport of one key broker vouches for no other, nor does one that is over."""
    token = Appraiser(service.policy, ED25519).issue(service.evidence(), NOW_MS).token
    assert not refused(service, shown(service, token))
    assert refused(service, shown(service, token), NOW_MS + 3_600_000)
    other = PublishedService.create()
    swapped = replace(service, signing=other.signing)
    assert refused(service, shown(swapped, token))
    moved = service.evidence(service.bound(sealing_key=other.private_key.public_key.public))
    assert refused(service, shown(service, token, evidence=moved))


def test_79_simulated_passport() -> None:
    """A passport of a simulation meets no policy for hardware, whatever its status says."""
    bound = simulated_bound()
    for tier in Tier:
        token = sign(ear(passport_claims(bound, tier=tier)))
        passport = verify_passport(token, INSTEAD, TOKEN_MS)
        with pytest.raises(VerificationError, match="tee"):
            accept_passport(passport, shown_evidence(bound), hardware_policy(), TOKEN_MS)


def test_79_status_of_a_simulation(service: PublishedService) -> None:
    """A verifier never affirms a simulation, so tools that look at the status alone refuse it."""
    token = Appraiser(service.policy, ED25519).issue(service.evidence(), NOW_MS).token
    found = verify_passport(token, INSTEAD, NOW_MS)
    assert found.claims.tier is Tier.CONTRAINDICATED


def test_80_passport_for_keys(service: PublishedService) -> None:
    """A passport releases no key: what is sealed to enclaves takes an appraisal of evidence."""
    token = Appraiser(service.policy, ED25519).issue(service.evidence(), NOW_MS).token
    policy = replace(service.policy, verifiers=(INSTEAD,))
    found = verify_directory(shown(service, token), policy, NOW_MS)[0]
    assert not found.evidence_checked
    with pytest.raises(EvidenceError):
        verify_directory(shown(service, token), service.policy, NOW_MS)
    assert not isinstance(found.approval, Approval)


def test_80_no_verifier_in_enclaves() -> None:
    """No code of an enclave imports what reads or signs passports."""
    for path in (ROOT / "src" / "sealflow" / "trusted").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert "owner" not in (node.module or "").split(".")
                assert node.module != "sealflow.attest.verifiers"
