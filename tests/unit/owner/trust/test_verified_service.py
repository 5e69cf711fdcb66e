"""A directory that is verified by passports, by evidence, or by both."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import EvidenceError, MalformedError, PolicyError
from sealflow.owner import TrustReport
from sealflow.owner.passport.passport import Tier
from sealflow.owner.trust.verified_service import VerifiedService, verify_directory
from sealflow.owner.verifier.appraisal import Appraiser
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.passports.tokens import ED25519, OTHER, P256, ear, passport_claims, sign

if TYPE_CHECKING:
    from sealflow.owner.verifier.verifier_key import VerifierKey

INSTEAD = ED25519.trusted("hospital", instead_of_evidence=True)
BESIDES = P256.trusted("auditor")


@pytest.fixture(scope="module")
def service() -> PublishedService:
    """A service whose directory passes."""
    return PublishedService.create()


def issue(service: PublishedService, key: VerifierKey, **changes: Any) -> str:
    """A passport about the service by a verifier that appraised it."""
    return Appraiser(service.policy, key, **changes).issue(service.evidence(), NOW_MS).token


def published(service: PublishedService, *passports: str, quote: bool = True) -> bytes:
    """The published document with passports; without a quote nobody can appraise it."""
    value = json.loads(service.document())
    if not quote:
        value["evidence"] |= {"quote": "", "collateral": ""}
    return json.dumps({**value, "passports": passports}).encode()


def verified(service: PublishedService, document: bytes, *verifiers: Any) -> VerifiedService:
    """Verify a document by the service's policy with verifiers."""
    return verify_directory(document, replace(service.policy, verifiers=verifiers), NOW_MS)[0]


def test_instead_of_evidence(service: PublishedService) -> None:
    """A passport stands in for a quote that nobody can read, and bounds how long this counts."""
    token = issue(service, ED25519, lifetime_s=60)
    found = verified(service, published(service, token, quote=False), INSTEAD)
    assert not found.evidence_checked
    assert found.simulated
    assert found.valid_until_ms == NOW_MS + 60_000
    assert found.keybroker.public == service.private_key.public_key.public
    report = TrustReport(found)
    assert report.verifiers == ("hospital",)
    assert repr(report).startswith("<SIMULATED, NOT PROTECTED")
    assert report.hardware == "SIMULATED Intel SGX: no hardware at all"
    facts = {fact.name: fact for fact in report.proven_facts()}
    assert "as it would a vendor's root" in facts["hardware"].by
    assert "hospital" in facts["passport"].value
    assert all("quote and certificates" not in fact.by for fact in facts.values())
    value = json.loads(json.dumps(report.to_json()))
    assert (value["evidence_checked"], value["verifiers"]) == (False, ["hospital"])


@pytest.mark.parametrize("tokens", [[], ["x.y.z"], [sign(ear())], [sign(ear(), OTHER)]])
def test_evidence_stays_enough(service: PublishedService, tokens: list[str]) -> None:
    """Without an acceptable passport the evidence is appraised, and must pass."""
    found = verified(service, published(service, *tokens), INSTEAD)
    assert found.evidence_checked
    assert found.passports == ()
    with pytest.raises(EvidenceError, match="quote"):
        verified(service, published(service, *tokens, quote=False), INSTEAD)


def test_besides_evidence(service: PublishedService) -> None:
    """Both are demanded, and both are in the report."""
    token = issue(service, P256)
    found = verified(service, published(service, token), BESIDES)
    assert found.evidence_checked
    facts = {fact.name: fact for fact in TrustReport(found).proven_facts()}
    assert "quote and certificates" in facts["hardware"].by
    assert facts["passport"].value.startswith("of auditor, ")
    with pytest.raises(EvidenceError, match="quote"):
        verified(service, published(service, token, quote=False), BESIDES)
    for tokens in ([], [issue(service, ED25519)]):
        with pytest.raises(EvidenceError, match=r"passport_missing: .* auditor"):
            verified(service, published(service, *tokens), BESIDES)
    over = published(service, issue(service, P256, lifetime_s=60))
    with pytest.raises(EvidenceError, match="passport_expired"):
        verify_directory(over, replace(service.policy, verifiers=(BESIDES,)), NOW_MS + 60_000)


def test_one_of_each(service: PublishedService) -> None:
    """One verifier stands in for evidence, another is demanded besides."""
    tokens = [issue(service, P256, lifetime_s=90), issue(service, ED25519)]
    for verifiers in ((INSTEAD, BESIDES), (BESIDES, INSTEAD)):
        found = verified(service, published(service, *tokens, quote=False), *verifiers)
        assert {each.verifier.name for each in found.passports} == {"hospital", "auditor"}
        assert found.valid_until_ms == NOW_MS + 90_000
    with pytest.raises(EvidenceError, match="passport_missing"):
        verified(service, published(service, tokens[1], quote=False), INSTEAD, BESIDES)


def test_other_code(service: PublishedService) -> None:
    """A passport about code that the policy does not name is worth nothing."""
    claims = passport_claims(
        service.bound(), tier=Tier.CONTRAINDICATED, collateral_issued_ms=NOW_MS, signer="00" * 32
    )
    document = published(service, sign(ear(claims)), quote=False)
    with pytest.raises(EvidenceError, match="quote"):
        verified(service, document, INSTEAD)
    with pytest.raises(PolicyError, match="measurement"):
        verified(service, document, ED25519.trusted("hospital"))


def test_other_directories(service: PublishedService) -> None:
    """A passport is about evidence: the directory's signature, names and times count as before."""
    token = issue(service, ED25519)
    value = json.loads(published(service, token, quote=False))
    signature = value["directory"]["signature"]
    value["directory"]["signature"] = "AAAA" + signature[4:]
    with pytest.raises(EvidenceError, match="directory_signature"):
        verified(service, json.dumps(value).encode(), INSTEAD)
    late = replace(service.policy, verifiers=(INSTEAD,))
    with pytest.raises(EvidenceError, match="directory_expired"):
        verify_directory(
            published(service, issue(service, ED25519, lifetime_s=7 * 86_400)),
            late,
            NOW_MS + 86_400_000,
        )


@pytest.mark.parametrize("passports", ["x", [1], {"a": "b"}, ["x"] * 9])
def test_what_is_no_list(service: PublishedService, passports: object) -> None:
    """What stands in the place of passports is bounded, and read only by who wants passports."""
    value = {**json.loads(service.document()), "passports": passports}
    document = json.dumps(value).encode()
    assert verified(service, document).evidence_checked
    with pytest.raises(MalformedError, match="passports"):
        verified(service, document, INSTEAD)
