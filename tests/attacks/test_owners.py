"""Attacks by other owners of models: rows 98 to 106 of docs/threat-model.md. A real key broker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.requirements import Requirements
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import EvidenceError, PolicyError
from sealflow.owner import Role, describe_policy
from sealflow.owner.trust.pin import DirectoryPin, PinnedDirectory
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.trust.trust_text import NOT_PROVED
from sealflow.trusted.keybroker.key_store import ROTATION_PAUSE_MS
from sealflow.trusted.keybroker.order_records import MAX_EXCLUDED
from sealflow.trusted.keybroker.owner_requests import MAX_AHEAD_MS
from tests.support.trusted.keybroker import (
    NOW_MS,
    OPERATOR,
    OTHER_OWNER,
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
    make_identity,
    publication_without_order,
)

if TYPE_CHECKING:
    from pathlib import Path

OWNER = keybroker_deployment().owner
POLICY = keybroker_deployment().deployment.policy(Role.KEY_BROKER)


def session(pin: Path | None = None, **owners: str) -> ServiceSession:
    """A client, with a pin and the owners that its policy names."""
    named = {name: frozenset({owner}) for name, owner in owners.items()}
    return ServiceSession(replace(POLICY, owners=named), pin=pin, clock_ms=lambda: NOW_MS)


def adopt(client: ServiceSession, broker: KeyBrokerInstance) -> None:
    """Verify what a key broker publishes."""
    client.accept(client.verify_directory(broker.document))


def test_98_name_of_another_owner() -> None:
    """A name belongs to whoever published it first, also after a restart and a revocation."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    assert error_code(broker.publish("m", owner=OTHER_OWNER, version="2")) == "name_taken"
    broker.revoke_model(digest)
    assert broker.directory.models == ()
    assert error_code(broker.publish("m", owner=OTHER_OWNER, version="2")) == "name_taken"
    broker = broker.successor()
    assert error_code(broker.publish("m", owner=OTHER_OWNER, version="2")) == "name_taken"
    assert "error" not in broker.publish("m", version="2")
    assert [model.owner for model in broker.directory.models] == [OWNER.signer]


def test_98_name_that_the_settings_give_to_another() -> None:
    """Settings that list names let no owner publish under a name that is not listed for it."""
    names = {OWNER.signer: frozenset({"lung", "mri-*"})}
    broker = KeyBrokerInstance(names=names).lead()
    assert error_code(broker.publish("lung", owner=OTHER_OWNER)) == "not_allowed"
    assert error_code(broker.publish("other")) == "not_allowed"
    assert error_code(broker.publish("lungs")) == "not_allowed"
    assert "error" not in broker.publish("lung")
    assert "error" not in broker.publish("mri-2")


def test_98_one_owner_leaves_room_for_the_others() -> None:
    """An owner that publishes all that it may takes no other owner's share."""
    broker = KeyBrokerInstance().lead()
    for number in range(128):
        assert "error" not in broker.publish(f"m{number}")
    assert error_code(broker.publish("more")) == "full"
    assert "error" not in broker.publish("n", owner=OTHER_OWNER)


def test_99_name_that_comes_to_another_owner(tmp_path: Path) -> None:
    """A client remembers the owner of each name, also over a restart and a new history."""
    first, pin = KeyBrokerInstance().lead(), tmp_path / "client.pin"
    first.publish("m")
    first.publish("n")
    adopt(session(pin), first)
    second = KeyBrokerInstance().lead()
    second.publish("m", owner=OTHER_OWNER)
    second.publish("n")
    # A new history is refused by itself; here the settings, and so the policy, are other ones.
    pinned = PinnedDirectory.from_bytes(pin.read_bytes())
    pin.write_bytes(replace(pinned, manifest_digest="00" * 32).to_bytes())
    client = session(pin)
    adopt(client, second)
    assert client.seal_request(client.model("n"), [b"\1"], timeout_s=1).header.deadline_ms > NOW_MS
    with pytest.raises(EvidenceError) as caught:
        client.seal_request(client.model("m"), [b"\1"], timeout_s=1)
    assert caught.value.code == "owner_changed"
    DirectoryPin(pin).forget_owner("m")
    adopt(client, second)
    assert client.seal_request(client.model("m"), [b"\1"], timeout_s=1).header.deadline_ms > NOW_MS


def test_99_policy_names_the_owner() -> None:
    """A policy that names owners takes their models, of any digest, and no other owner's."""
    broker = KeyBrokerInstance().lead()
    broker.publish("m")
    client = session(m=OTHER_OWNER.signer)
    adopt(client, broker)
    with pytest.raises(PolicyError) as caught:
        client.seal_request(client.model("m"), [b"\1"], timeout_s=1)
    assert [each.code for each in caught.value.mismatches] == ["model_owner"]
    client = session(m=OWNER.signer)
    adopt(client, broker)
    assert client.seal_request(client.model("m"), [b"\1"], timeout_s=1).header.deadline_ms > NOW_MS


def test_100_who_revokes_what() -> None:
    """An owner's order ends nothing of other owners, of workers or of keys."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    broker.publish("n", owner=OTHER_OWNER)
    worker, other = make_identity(Role.WORKER), make_identity(Role.WORKER)
    for each in (worker, other):
        broker.grant(each)
    kid, before = broker.directory.keys[0].kid, broker.directory
    for kind, name in (
        (RevokedKind.KEY, kid),
        (RevokedKind.WORKER, worker.instance),
        (RevokedKind.MODEL, digest),
    ):
        assert error_code(broker.revoke(kind, name, key=OTHER_OWNER)) == "not_allowed"
    assert broker.directory == before
    assert "error" not in broker.revoke(RevokedKind.GRANT, worker.instance, key=OTHER_OWNER)
    broker = broker.successor()
    assert [model.ref.name for model in broker.grant(worker).models] == ["m"]
    assert broker.grant(worker, OTHER_OWNER.signer).models == ()
    served = broker.grant(other, OTHER_OWNER.signer).models
    assert [model.ref.name for model in served] == ["n"]
    assert [key.kid for key in broker.directory.keys] == [key.kid for key in before.keys]
    assert broker.directory.revoked == ()


def test_100_ids_of_nothing() -> None:
    """What is not there cannot be revoked, so nobody fills the list with made-up ids."""
    broker = KeyBrokerInstance().lead()
    worker = make_identity(Role.WORKER)
    for kind, name, key in (
        (RevokedKind.WORKER, "ab" * 16, OPERATOR),
        (RevokedKind.MODEL, "ab" * 32, OPERATOR),
        (RevokedKind.MODEL, "ab" * 32, OWNER),
        (RevokedKind.KEY, "sim-" + "ab" * 32, OPERATOR),
        (RevokedKind.GRANT, worker.instance, OWNER),
    ):
        assert error_code(broker.revoke(kind, name, key=key)) == "not_found"
    broker.grant(worker)
    broker = broker.successor()
    broker.tick(1000 * keybroker_deployment().deployment.lease_s - 1)
    assert "error" not in broker.revoke(RevokedKind.GRANT, worker.instance)
    broker.tick(1)
    assert error_code(broker.revoke(RevokedKind.WORKER, worker.instance)) == "not_found"
    assert broker.directory.revoked == ()


def test_100_one_owners_revocations_leave_room() -> None:
    """An owner that revokes all that it may takes nobody else's room."""
    broker = KeyBrokerInstance().lead()
    broker.publish("n", owner=OTHER_OWNER)
    workers = [make_identity(Role.WORKER) for _ in range(MAX_EXCLUDED + 1)]
    for each in workers:
        broker.grant(each)
    *first, last = (each.instance for each in workers)
    assert "error" not in broker.revoke(RevokedKind.GRANT, *first)
    assert error_code(broker.revoke(RevokedKind.GRANT, last)) == "full"
    assert "error" not in broker.revoke(RevokedKind.GRANT, last, key=OTHER_OWNER)
    assert "error" not in broker.revoke(RevokedKind.WORKER, last)
    assert broker.directory.revoked_ids(RevokedKind.WORKER) == {last}


def test_101_revocations_destroy_no_key_in_its_grace() -> None:
    """A rack of workers that is revoked one by one costs a few epochs, and no queued request."""
    broker = KeyBrokerInstance().lead()
    workers = [make_identity(Role.WORKER) for _ in range(40)]
    for each in workers:
        broker.grant(each)
    held = {key.kid for key in broker.directory.keys}
    for each in workers:
        broker.tick(500)
        assert "error" not in broker.revoke(RevokedKind.WORKER, each.instance)
    newest = {key.kid for key in broker.directory.keys}
    assert held <= newest
    assert len(newest - held) <= 2 * 3
    broker.tick(ROTATION_PAUSE_MS)
    assert not newest >= {key.kid for key in broker.directory.keys}


def test_101_busy_before_a_key_is_cut() -> None:
    """An operator that revokes more often than keys end is told to wait."""
    broker = KeyBrokerInstance().lead()
    held, code = {key.kid for key in broker.directory.keys}, ""
    for _ in range(64):
        kid = max(broker.directory.keys, key=lambda each: each.retire_ms).kid
        answer = broker.revoke(RevokedKind.KEY, kid)
        broker.tick(1)
        held -= {kid}
        code = error_code(answer) if "error" in answer else ""
        if code:
            break
    assert code == "busy"
    assert held <= {key.kid for key in broker.directory.keys}
    broker.tick(1000 * keybroker_deployment().deployment.grace_s)
    kid = max(broker.directory.keys, key=lambda each: each.retire_ms).kid
    assert "error" not in broker.revoke(RevokedKind.KEY, kid)


def test_102_old_orders() -> None:
    """An order counts in one history, once, and only if it is newer than the signer's last."""
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    other = broker.publish("n")["digest"]
    for log_id in ("ab" * 32, KeyBrokerInstance().lead().directory.log_id):
        assert error_code(broker.revoke(RevokedKind.MODEL, digest, log_id=log_id)) == "replayed"
    ahead = broker.now_ms + MAX_AHEAD_MS + 1
    assert error_code(broker.revoke(RevokedKind.MODEL, digest, counter=ahead)) == "malformed"
    newest = NOW_MS + 1000
    assert "error" not in broker.revoke(RevokedKind.MODEL, digest, counter=newest)
    for broker_now in (broker, broker.successor()):
        for counter in (0, newest - 1, newest):
            answer = broker_now.revoke(RevokedKind.MODEL, other, counter=counter)
            assert error_code(answer) == "replayed"


def test_102_old_publications() -> None:
    """An owner's order to publish counts once, in one history."""
    broker = KeyBrokerInstance().lead()
    broker.publish("m")
    assert "error" not in broker.publish("m", version="2")
    before = broker.directory.models
    for issued_ms in (0, NOW_MS):
        assert error_code(broker.publish("m", issued_ms=issued_ms)) == "replayed"
    assert error_code(broker.publish("m", log_id="ab" * 32)) == "replayed"
    assert error_code(broker.publish("m", deployment="other")) == "malformed"
    assert broker.directory.models == before


def test_103_publication_by_another() -> None:
    """Who knows a content key changes nothing that the owner ordered: demands, default, file."""
    broker, strict = KeyBrokerInstance().lead(), keybroker_deployment().deployment.worker
    demands = replace(strict, min_svn=1)
    broker.publish("m", workers=demands)
    assert error_code(broker.publish("m", workers=demands, digest="ab" * 32)) == "malformed"
    assert error_code(broker.publish("m", signer=OTHER_OWNER.signer)) == "malformed"
    before = broker.directory.models
    for version in ("1", "2"):
        sealed = publication_without_order(broker, "m", version=version)
        assert error_code(broker.ask("publish", sealed=sealed)) == "replayed"
    assert broker.directory.models == before
    # A name that no order was about is open to clients of an earlier release.
    assert "error" not in broker.ask("publish", sealed=publication_without_order(broker, "n"))
    assert "error" not in broker.publish("n", workers=demands)
    again = broker.ask("publish", sealed=publication_without_order(broker, "n"))
    assert error_code(again) == "replayed"


def test_103_default_is_the_owners() -> None:
    """The default of a name changes by an order that says so, and by nothing else."""
    broker = KeyBrokerInstance().lead()
    for version, default in (("1", True), ("2", False), ("3", True), ("2", False)):
        assert "error" not in broker.publish("m", version=version, default=default)
    assert [model.version for model in broker.directory.models if model.default] == ["3"]
    broker = broker.successor()
    assert [model.version for model in broker.directory.models if model.default] == ["3"]
    assert "error" not in broker.publish("m", version="1", default=True)
    assert [model.version for model in broker.directory.models if model.default] == ["1"]


def test_106_what_demands_bind() -> None:
    """A worker that an owner refuses gets the same keys, and no text says that it does not."""
    broker = KeyBrokerInstance().lead()
    demands = Requirements(measurements=frozenset({"0" * 64}))
    broker.publish("m", workers=demands)
    grant = broker.grant(make_identity(Role.WORKER))
    assert grant.models == ()
    held = {key.private_key.public_key.key_id for key in grant.keys}
    assert held == {key.kid for key in broker.directory.keys}
    said = {line.about: line.text for line in describe_policy(POLICY, demands)}
    assert "not of those that can open your requests" in said["workers"]
    assert any("accepts the worker" in what for what, _ in NOT_PROVED)
