"""Attacks on revocations that have ended: row 154 of docs/threat-model.md. A real key broker.

A history has room for so many revoked workers; what has ended makes room, and still is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.errors import EvidenceError
from sealflow.owner.trust.pin import DirectoryPin, PinnedDirectory
from sealflow.trusted.keybroker import key_store, order_records
from tests.support.trusted.keybroker import (
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
    make_identity,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.trusted.identity.identity import EnclaveIdentity


def revoked_worker(broker: KeyBrokerInstance) -> EnclaveIdentity:
    """A worker that had a grant, and was revoked."""
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    assert "error" not in broker.revoke(RevokedKind.WORKER, worker.instance)
    return worker


def listed(broker: KeyBrokerInstance) -> dict[str, int]:
    """Until when the directory lists which workers."""
    return dict(broker.directory.ends)


def pass_end(broker: KeyBrokerInstance, instance: str) -> None:
    """Go on to the end that is told for a worker, which is listed until then."""
    broker.tick(listed(broker)[instance] - broker.now_ms - 1)
    assert Revoked(kind=RevokedKind.WORKER, id=instance) in broker.directory.revoked
    broker.tick(1)
    assert Revoked(kind=RevokedKind.WORKER, id=instance) not in broker.directory.revoked


def test_154_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a history is full of revoked workers, another is revoked once one has ended."""
    monkeypatch.setattr(key_store, "MAX_REVOKED_WORKERS", 1)
    broker = KeyBrokerInstance().lead()
    for _ in range(3):
        worker, other = revoked_worker(broker), make_identity(Role.WORKER)
        broker.grant(other)
        assert error_code(broker.revoke(RevokedKind.WORKER, other.instance)) == "full"
        pass_end(broker, worker.instance)
        broker = broker.successor()
        assert listed(broker) == {}


def test_154_nothing_that_it_held_is_left() -> None:
    """A worker is listed until its lease and every key that it may have had have ended."""
    broker = KeyBrokerInstance().lead()
    worker = make_identity(Role.WORKER)
    grant = broker.grant(worker)
    broker.revoke(RevokedKind.WORKER, worker.instance)
    held = {each.private_key.public_key.key_id for each in grant.keys}
    assert held & {key.kid for key in broker.directory.keys}
    assert listed(broker)[worker.instance] >= grant.lease_ms
    pass_end(broker, worker.instance)
    assert held.isdisjoint(key.kid for key in broker.directory.keys)


def test_154_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key broker refuses a revoked worker after its end, too, and after a restart."""
    broker = KeyBrokerInstance().lead()
    worker = revoked_worker(broker)
    pass_end(broker, worker.instance)
    assert "is revoked" in broker.enroll(worker)["error"]["detail"]
    assert error_code(broker.revoke(RevokedKind.WORKER, worker.instance)) == "not_found"
    broker.grant(make_identity(Role.WORKER))
    broker.publish("m")
    broker = broker.successor()
    assert "is revoked" in broker.enroll(worker)["error"]["detail"]
    # Only operators revoke workers, so nobody else pushes one out.
    monkeypatch.setattr(order_records, "MAX_BARRED", 1)
    pass_end(broker, revoked_worker(broker).instance)
    broker.publish("n")
    assert "error" not in broker.enroll(worker)
    broker.successor()


@pytest.mark.parametrize("stored", [False, True])
def test_154_taken_back_too_early(tmp_path: Path, *, stored: bool) -> None:
    """A client takes no directory without a revoked worker before the end that it was told."""
    path = tmp_path / "pin" if stored else None
    broker = KeyBrokerInstance().lead()
    worker = revoked_worker(broker)
    before = broker.directory
    end = listed(broker)[worker.instance]
    pin = DirectoryPin(path)
    pin.accept(before, b"before")
    linked: dict[str, Any] = {
        "version": before.version + 1,
        "previous": PinnedDirectory.from_directory(before, b"before").digest,
        "log_number": before.log_number + 1,
        "revoked": (),
        "ends": {},
        "expires_ms": end + 9,
    }
    for issued_ms in (before.issued_ms, end - 1):
        after = replace(before, **linked, issued_ms=issued_ms)
        with pytest.raises(EvidenceError) as caught:
            (DirectoryPin(path) if stored else pin).accept(after, b"after")
        assert caught.value.code == "directory_revocation"
    after = replace(before, **linked, issued_ms=end)
    assert (DirectoryPin(path) if stored else pin).accept(after, b"after") is after


def test_154_models_stay() -> None:
    """The revocation of a model has no end."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    broker.revoke_model(digest)
    pass_end(broker, revoked_worker(broker).instance)
    broker.tick(1000 * keybroker_deployment().deployment.lease_s)
    model = Revoked(kind=RevokedKind.MODEL, id=digest)
    assert broker.directory.revoked == (model,)
    before = replace(broker.directory, version=97)
    previous = PinnedDirectory.from_directory(before, b"before").digest
    taken_back = replace(
        before, version=98, previous=previous, log_number=99, revoked=(), issued_ms=2**52
    )
    pin = DirectoryPin()
    pin.accept(before, b"before")
    with pytest.raises(EvidenceError) as caught:
        pin.accept(taken_back, b"after")
    assert caught.value.code == "directory_revocation"
