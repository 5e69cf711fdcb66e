"""Attacks on the directory and its pin: rows 31 to 38 of docs/threat-model.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.deployment import Deployment
from sealflow.documents.directory import SignedDirectory
from sealflow.errors import EvidenceError, MalformedError, PolicyError
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.trust.verified_service import verify_directory
from sealflow.seal.keys import OpeningKey, SealingKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json, parse_object
from tests.support.cluster.published_service import NOW_MS, PublishedService

if TYPE_CHECKING:
    from sealflow.documents.directory import Directory


@pytest.fixture(scope="module")
def service() -> PublishedService:
    """A service whose directory passes."""
    made = PublishedService.create()
    verify_directory(made.document(), made.policy, NOW_MS)
    return made


def code(service: PublishedService, document: bytes, now_ms: int = NOW_MS) -> str:
    """Examine what must be refused; gives the error's code."""
    with pytest.raises(EvidenceError) as caught:
        verify_directory(document, service.policy, now_ms)
    return caught.value.code


def signed(service: PublishedService, payload: bytes) -> bytes:
    """Publish any payload with a good signature of the key broker."""
    signature = service.signing.sign(TrustDomain.SIMULATED.label("directory") + payload)
    whole = SignedDirectory(payload=payload, signature=signature, evidence=service.evidence())
    return whole.to_bytes()


def adopt_all(service: PublishedService, *directories: Directory) -> str:
    """Let one client adopt directories until one is refused; gives the error's code."""
    session = ServiceSession(service.policy, clock_ms=lambda: NOW_MS)
    with pytest.raises(EvidenceError) as caught:
        for each in directories:
            session.accept(session.verify_directory(service.document(each)))
    return caught.value.code


def test_31_flipped_bits(service: PublishedService) -> None:
    """Every flipped byte of payload and signature is refused."""
    good = SignedDirectory.from_bytes(service.document())
    for name in ("payload", "signature"):
        content = getattr(good, name)
        for at in range(0, len(content), 11 if name == "payload" else 1):
            changed = bytearray(content)
            changed[at] ^= 1
            parts = {"payload": good.payload, "signature": good.signature, name: bytes(changed)}
            document = SignedDirectory(evidence=good.evidence, **parts).to_bytes()
            assert code(service, document) == "directory_signature"


def test_32_rollback_fork_expiry(service: PublishedService) -> None:
    """An older version, a second one of the same number, a broken chain and an old one fail."""
    before = "99" * 32
    first = service.directory(version=5, previous=before)
    older = service.directory(version=4, previous=before)
    twin = replace(first, issued_ms=first.issued_ms - 1)
    stranger = service.directory(version=6, previous="aa" * 32)
    assert adopt_all(service, first, older) == "directory_rollback"
    assert adopt_all(service, first, twin) == "directory_fork"
    assert adopt_all(service, first, stranger) == "directory_fork"
    restarted = replace(stranger, log_id="bb" * 32)
    assert adopt_all(service, first, restarted) == "directory_history"
    late_ms = first.expires_ms
    assert code(service, service.document(first), late_ms) == "directory_expired"
    early = service.directory(issued_ms=NOW_MS + 10**6, expires_ms=NOW_MS + 2 * 10**6)
    assert code(service, service.document(early)) == "directory_early"


def test_33_epoch_rollback(service: PublishedService) -> None:
    """Keys of an epoch that is over are not sealed to, and an older directory does not return."""
    first = service.directory(version=5, previous="99" * 32)
    over = replace(
        first,
        version=6,
        log_number=first.log_number + 1,
        log_tree=None,
        previous=SignedDirectory.from_bytes(service.document(first)).digest,
        keys=tuple(replace(key, retire_ms=NOW_MS) for key in first.keys[:1]),
    )
    session = ServiceSession(service.policy, clock_ms=lambda: NOW_MS)
    session.accept(session.verify_directory(service.document(first)))
    session.accept(session.verify_directory(service.document(over)))
    assert session.refresh_due()
    assert not session.postpone_refresh()
    assert adopt_all(service, first, over, first) == "directory_rollback"


def test_34_kid_of_another_key(service: PublishedService) -> None:
    """A kid that is not the hash of its suite and key is refused."""
    directory = service.directory()
    other = OpeningKey.generate(Suite.SIMULATED_X25519).public_key
    key = directory.keys[0]
    for changed in (
        replace(key, public=other.public, suite=other.suite),
        replace(key, kid=other.key_id),
    ):
        bent = replace(directory, keys=(changed, *directory.keys[1:]))
        assert code(service, service.document(bent)) == "directory"
    assert SealingKey(suite=key.suite, public=key.public).key_id == key.kid


def test_35_unknown_field(service: PublishedService) -> None:
    """A critical field that nobody knows, one that is twice there and a missing one are refused."""
    value = dict(parse_object(service.directory().to_bytes(), "directory"))
    newer = {**value, "new": 1, "critical": ["new"]}
    assert code(service, signed(service, canonical_json(newer))) == "critical"
    assert code(service, signed(service, canonical_json({**value, "format": 2}))) == "format"
    twice = service.directory().to_bytes().replace(b'"version":1', b'"version":1,"version":2')
    assert code(service, signed(service, twice)) == "directory"
    del value["revoked"]
    assert code(service, signed(service, canonical_json(value))) == "directory"


def test_36_retired_signer(service: PublishedService) -> None:
    """A signature of any other key than the one in the evidence is refused."""
    stranger = replace(service, signing=Ed25519PrivateKey.generate())
    document = SignedDirectory.sign(
        service.directory(), stranger.signing, TrustDomain.SIMULATED, service.evidence()
    ).to_bytes()
    assert code(service, document) == "directory_signature"
    hardware = SignedDirectory.sign(
        service.directory(), service.signing, TrustDomain.HARDWARE, service.evidence()
    ).to_bytes()
    assert code(service, hardware) == "directory_signature"


def test_37_tampered_settings(service: PublishedService) -> None:
    """Other settings of the deployment than the policy's are refused, wherever they stand."""
    other = service.evidence(service.bound(manifest_digest="cd" * 32))
    with pytest.raises(PolicyError) as caught:
        verify_directory(service.document(evidence=other), service.policy, NOW_MS)
    assert [each.code for each in caught.value.mismatches] == ["manifest_digest"]
    bent = service.directory(manifest_digest="cd" * 32)
    assert code(service, service.document(bent)) == "directory"
    text = service.site.deployment.to_bytes()
    changed = text.replace(b'"lease_s":3600', b'"lease_s":3601')
    assert changed != text
    assert Deployment.from_bytes(changed).digest != service.site.deployment.digest


def test_38_mixed_worlds(service: PublishedService) -> None:
    """A key of real hardware's world in a simulated directory is refused."""
    real = OpeningKey.generate(Suite.XWING).public_key
    directory = service.directory()
    key = replace(directory.keys[0], kid=real.key_id, suite=real.suite, public=real.public)
    mixed = replace(directory, keys=(*directory.keys, key))
    assert code(service, service.document(mixed)) == "directory"
    with pytest.raises(MalformedError):
        SignedDirectory.from_bytes(b"{}")
