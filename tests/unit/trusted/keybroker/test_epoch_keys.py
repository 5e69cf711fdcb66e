"""Epochs on a driven clock: announced ahead, retired, destroyed after their grace."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.attest.evidence import Role
from sealflow.attest.suites import SuiteName
from sealflow.documents.directory import MAX_KEYS
from sealflow.documents.revocation import RevokedKind
from sealflow.trusted.keybroker.epoch_keys import EpochKeys
from tests.support.trusted.keybroker import (
    NOW_MS,
    KeyBrokerInstance,
    keybroker_deployment,
    make_identity,
)

DEPLOYMENT = keybroker_deployment().deployment
X_WING, X25519 = SuiteName.X_WING, SuiteName.X25519
EPOCH_MS, GRACE_MS = 1000 * DEPLOYMENT.epoch_s, 1000 * DEPLOYMENT.grace_s


def test_one_key_is_in_force_and_one_announced() -> None:
    """The next key is known a whole epoch before it counts."""
    epochs = EpochKeys(DEPLOYMENT)
    assert epochs.advance(NOW_MS)
    now, following = epochs
    assert now.not_before_ms == NOW_MS - 1000 * DEPLOYMENT.clock_skew_s
    assert now.retire_ms == following.not_before_ms == NOW_MS + EPOCH_MS
    assert now.destroy_ms == now.retire_ms + GRACE_MS
    assert not epochs.advance(now.retire_ms - 1)
    assert epochs.advance(now.retire_ms)
    assert [each.kid for each in epochs][:2] == [now.kid, following.kid]
    assert epochs.advance(now.destroy_ms)
    assert now.kid not in [each.kid for each in epochs]


@pytest.mark.parametrize("suites", [(X_WING,), (X25519,), (X25519, X_WING)])
@given(st.lists(st.integers(0, 5 * EPOCH_MS), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_one_epoch_is_in_force(
    suites: tuple[SuiteName, ...], steps: list[int], data: st.DataObject
) -> None:
    """After leaps, turns and destruction each suite has a key in force, one announced, a bound."""
    epochs, now_ms = EpochKeys(replace(DEPLOYMENT, suites=suites)), NOW_MS
    epochs.advance(now_ms)
    for step in steps:
        now_ms += step
        epochs.advance(now_ms)
        match data.draw(st.sampled_from(("nothing", "turn", "destroy"))):
            case "turn":
                epochs.rotate(now_ms)
            case "destroy":
                gone = data.draw(st.sampled_from(list(epochs)))
                assert epochs.destroy([gone.kid], now_ms) == (now_ms < gone.retire_ms)
                assert gone not in epochs
        held = list(epochs)
        for found in (
            [each for each in held if each.not_before_ms <= now_ms < each.retire_ms],
            [each for each in held if each.not_before_ms > now_ms],
        ):
            assert [each.private_key.suite.suite_name for each in found] == list(suites)
            assert len({(each.not_before_ms, each.retire_ms) for each in found}) == 1
        assert len(held) <= MAX_KEYS
        assert all(now_ms < each.destroy_ms for each in epochs)


def test_many_epochs_stay_within_a_directory() -> None:
    """The longest grace time with two suites takes fewer keys than a directory may have."""
    longest = replace(
        DEPLOYMENT, grace_s=24 * DEPLOYMENT.epoch_s, suites=(X_WING, X25519), directory_s=900
    )
    epochs = EpochKeys(longest)
    most = 0
    for step in range(60):
        epochs.advance(NOW_MS + step * EPOCH_MS)
        most = max(most, len(list(epochs)))
        oldest = next(iter(epochs))
        assert step < 26 or oldest.destroy_ms <= NOW_MS + (step + 1) * EPOCH_MS
    assert 2 * 26 <= most < MAX_KEYS
    for _ in range(40):
        epochs.rotate(NOW_MS + 60 * EPOCH_MS)
    assert len(list(epochs)) == MAX_KEYS


def test_a_revoked_key_ends_its_epoch() -> None:
    """A key that is in force or announced takes its epoch along: all suites go on together."""
    for place in range(4):
        epochs = EpochKeys(replace(DEPLOYMENT, suites=(X_WING, X25519)))
        epochs.advance(NOW_MS)
        before = list(epochs)
        assert epochs.destroy([before[place].kid], NOW_MS)
        assert not {each.kid for each in before} & {
            each.kid for each in epochs if each.retire_ms > NOW_MS
        }
        retired = [each.kid for each in epochs if each.retire_ms <= NOW_MS]
        assert retired == [each.kid for each in before if each is not before[place]]
    assert not epochs.destroy([before[place].kid], NOW_MS)


def test_a_revoked_worker_gets_nothing_and_knows_no_later_key() -> None:
    """All keys that it was granted are retired at once, and still open what was queued."""
    broker, worker = KeyBrokerInstance().lead(), make_identity(Role.WORKER)
    known = {key.private_key.public_key.key_id for key in broker.grant(worker).keys}
    assert "error" not in broker.revoke(RevokedKind.WORKER, worker.instance)
    active = [key for key in broker.directory.keys if key.not_before_ms <= NOW_MS < key.retire_ms]
    assert len(active) == 1
    assert not known & {key.kid for key in active}
    assert known <= {key.kid for key in broker.directory.keys}
    assert broker.enroll(worker)["error"]["code"] == "evidence"
    broker.grant(make_identity(Role.WORKER))


def test_a_revoked_key_is_gone() -> None:
    """From the directory, from later grants, and from the state."""
    broker = KeyBrokerInstance().lead()
    kid = broker.directory.keys[0].kid
    broker.revoke(RevokedKind.KEY, kid)
    after = broker.successor()
    for each in (broker, after):
        assert kid not in {key.kid for key in each.directory.keys}
        granted = each.grant(make_identity(Role.WORKER))
        assert kid not in {key.private_key.public_key.key_id for key in granted.keys}
