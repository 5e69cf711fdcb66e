"""Attacks by other owners of models: rows 98 to 106 of docs/threat-model.md. A real key broker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import EvidenceError, PolicyError
from sealflow.owner import Role
from sealflow.owner.trust.pin import DirectoryPin, PinnedDirectory
from sealflow.owner.trust.session import ServiceSession
from tests.support.trusted.keybroker import (
    NOW_MS,
    OTHER_OWNER,
    KeyBrokerInstance,
    error_code,
    keybroker_deployment,
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
