"""State at rest: another process goes on where one ended, or says why it cannot."""

from __future__ import annotations

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import FrameKind
from tests.support.trusted.keybroker import KeyBrokerInstance, keybroker_deployment, make_identity

OTHER_MACHINE = b"\x07" * 32


def _refused(instance: KeyBrokerInstance, state: bytes) -> None:
    with pytest.raises(FatalError) as caught:
        instance.lead(state)
    assert caught.value.code is Fatal.STATE


def test_a_restarted_key_broker_continues() -> None:
    """Keys, models, revocations, history and versions go on; only its own keys are new."""
    first = KeyBrokerInstance().lead()
    digest = first.publish("m")["digest"]
    worker = make_identity(Role.WORKER)
    first.grant(worker)
    first.revoke(RevokedKind.WORKER, worker.instance)
    before, granted = first.directory, first.grant(make_identity(Role.WORKER))
    second = first.successor()
    after = second.directory
    assert (after.log_id, after.version) == (before.log_id, before.version + 1)
    assert after.keys == before.keys
    assert after.models == before.models
    assert after.revoked == before.revoked
    again = second.grant(make_identity(Role.WORKER))
    assert [key.private_key.seed for key in again.keys] == [
        key.private_key.seed for key in granted.keys
    ]
    assert [model.content_key for model in again.models] == [
        model.content_key for model in granted.models
    ]
    assert second.publish("m")["digest"] == digest
    log = second.log()
    assert next(log.entries_of_kind(EntryKind.OPENED)).number == 0
    assert len(list(log.entries_of_kind(EntryKind.OPENED))) == 2


def test_time_does_not_go_back_over_a_restart() -> None:
    """A host cannot make old keys young again."""
    first = KeyBrokerInstance().lead()
    first.tick(1000 * keybroker_deployment().deployment.epoch_s)
    second = first.successor()
    assert second.directory.issued_ms == first.now_ms
    assert {key.kid for key in second.directory.keys} == {key.kid for key in first.directory.keys}


def test_the_state_goes_out_before_what_follows_from_it() -> None:
    """Answer and directory come after the state that holds what they say."""
    first = KeyBrokerInstance().lead()
    assert first.frames == [FrameKind.STATE, FrameKind.DIRECTORY, FrameKind.KEY]
    first.publish("m")
    assert first.frames[3:] == [FrameKind.STATE, FrameKind.DIRECTORY]


def test_nothing_secret_is_in_what_the_host_keeps() -> None:
    """Neither seeds nor content keys, nor the state's key."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    granted = first.grant(make_identity(Role.WORKER))
    kept = b"".join((*first.states, *first.keys, *first.records))
    assert first.leading is not None
    secrets = [
        first.leading.state_key.key,
        *(key.private_key.seed for key in granted.keys),
        *(model.content_key for model in granted.models),
    ]
    assert not any(secret in kept or secret.hex().encode() in kept for secret in secrets)


def test_an_older_state_is_refused_where_its_key_is_newer() -> None:
    """The key that this machine sealed last names the least number that it knows."""
    first = KeyBrokerInstance().lead()
    old = first.states[-1]
    first.publish("m")
    second = first.successor()
    _refused(KeyBrokerInstance(keys=second.keys[-1:]), old)
    _refused(KeyBrokerInstance(keys=second.keys[-1:]), first.states[-1])
    KeyBrokerInstance(keys=second.keys[-1:], records=second.records).lead(second.states[-1])


def test_every_change_of_the_state_is_refused() -> None:
    """It opens whole, under its own key, or not at all."""
    first = KeyBrokerInstance().lead()
    state = first.states[-1]
    for at in range(0, len(state), 97):
        changed = bytearray(state)
        changed[at] ^= 1
        _refused(KeyBrokerInstance(keys=first.keys), bytes(changed))
        _refused(KeyBrokerInstance(keys=first.keys), state[:at] or b"x")
    _refused(KeyBrokerInstance(), state)
    _refused(KeyBrokerInstance(keys=KeyBrokerInstance().lead().keys), state)


def test_another_machine_cannot_open_it() -> None:
    """What one machine sealed is noise on another, until that one joins."""
    first = KeyBrokerInstance().lead()
    other = KeyBrokerInstance(platform_key=OTHER_MACHINE, keys=first.keys)
    assert not other.standby.has_state_key
    _refused(other, first.states[-1])


def _join(
    first: KeyBrokerInstance, other: KeyBrokerInstance, **changes: object
) -> dict[str, object]:
    challenge = first.ask("challenge")
    shown = other.ask_standby("show", nonce=challenge["nonce"])
    answer = first.ask("join", challenge=challenge["challenge"], evidence=shown["evidence"])
    return other.ask_standby("adopt", **{**answer, **changes})


def test_another_machine_joins_and_takes_over() -> None:
    """By evidence each way it gets the state's key, and goes on when the first is gone."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    other = KeyBrokerInstance(platform_key=OTHER_MACHINE)
    assert _join(first, other) == {}
    assert other.standby.has_state_key
    first.publish("n")
    other.records = list(first.records)
    other.lead(first.states[-1])
    assert other.directory.log_id == first.directory.log_id
    assert other.directory.version == first.directory.version + 1
    assert len(other.directory.models) == 2
    joined = [entry.body["instance"] for entry in other.log().entries_of_kind(EntryKind.JOINED)]
    assert joined == [other.identity.instance]
    again = KeyBrokerInstance(platform_key=OTHER_MACHINE, keys=other.keys, records=other.records)
    again.lead(other.states[-1])


def test_who_joins_refuses_a_state_from_before() -> None:
    """It was told how far the log had come."""
    first = KeyBrokerInstance().lead()
    old = first.states[-1]
    first.publish("m")
    other = KeyBrokerInstance(platform_key=OTHER_MACHINE)
    _join(first, other)
    _refused(other, old)


def test_a_worker_cannot_join() -> None:
    """The state's key goes to key brokers only, and the refusal is logged."""
    first = KeyBrokerInstance().lead()
    challenge = first.ask("challenge")
    evidence = make_identity(Role.WORKER).evidence(challenge["nonce"])
    answer = first.ask("join", challenge=challenge["challenge"], evidence=evidence.to_json())
    assert answer["error"]["code"] == "policy"
    (verdict,) = first.log().entries_of_kind(EntryKind.VERDICT)
    assert verdict.body["approved"] is False
    assert "role" in str(verdict.body["codes"])


def test_a_key_from_anybody_else_is_not_adopted() -> None:
    """Only from an approved key broker, for the nonce that was asked with, once."""
    first, other = KeyBrokerInstance().lead(), KeyBrokerInstance(platform_key=OTHER_MACHINE)
    worker = make_identity(Role.WORKER)
    answer = _join(first, other, evidence=worker.evidence().to_json())
    assert answer["error"]["code"] == "not_opened"  # type: ignore[index]
    third = KeyBrokerInstance().lead()
    answer = _join(first, other, evidence=third.identity.evidence().to_json())
    assert answer["error"]["code"] == "not_opened"  # type: ignore[index]
    stale = other.ask_standby("adopt", grant="", signature="", evidence={})
    assert stale["error"]["code"] == "unknown_challenge"
    assert not other.standby.has_state_key
    assert other.ask_standby("enroll")["error"]["code"] == "unknown_op"
