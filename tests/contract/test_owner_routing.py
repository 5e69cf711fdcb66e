"""Requests reach processes of their owner, and failing models are quarantined for all engines."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealflow.clock import now_ms
from sealflow.errors import RefusalCode
from sealflow.host.broker.redis_streams import Delivery
from sealflow.host.engine import routing
from sealflow.host.engine.quarantine import MAX_FAILURES, Quarantine
from sealflow.host.engine.routing import RequestRouter
from tests.support.cluster.gateway import DIGEST, KEYS, seal_call

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams

OWNER, OTHER = "0a" * 32, "0b" * 32


def delivery(envelope: bytes | None = None, attempt: int = 1) -> Delivery:
    """A claimed request for the model `DIGEST`."""
    return Delivery(
        entry_id=b"1-0",
        envelope=seal_call().envelope if envelope is None else envelope,
        correlation=b"c",
        reply_to="r",
        attempt=attempt,
    )


@pytest.fixture
def router(streams: RedisStreams) -> RequestRouter:
    """A router that knows the owners of two models."""
    found = RequestRouter(Quarantine(streams, KEYS.quarantine))
    found.update({DIGEST: OWNER, "ee" * 32: OTHER})
    return found


def test_one_owner(streams: RedisStreams) -> None:
    """Every process takes every request, whatever it is for."""
    router = RequestRouter(Quarantine(streams, KEYS.quarantine))
    router.update({DIGEST: OWNER})
    found = [delivery(), delivery(b"none")]
    assert not router.divided
    assert router.sort(None, found) == (found, [])


def test_two_owners(router: RequestRouter) -> None:
    """A request waits for a process of its owner; one that is for no model is taken by any."""
    mine, none = delivery(), delivery(b"none")
    assert router.divided
    assert router.sort(OWNER, [mine, none]) == ([mine, none], [])
    assert router.sort(OTHER, [mine, none]) == ([none], [])
    assert router.owners_in_demand() == [OWNER]
    assert router.take(OTHER, 9, 0) == []
    assert router.take(OWNER, 9, 0) == [mine]
    assert router.put([none]) == []
    assert router.take(OTHER, 9, 0) == [none]


def test_a_process_that_waits(router: RequestRouter) -> None:
    """It says how many it takes, and gets what comes."""
    taken: list[Delivery] = []
    waiting = threading.Thread(target=lambda: taken.extend(router.take(OWNER, 7, 60)))
    waiting.start()
    assert router.wait_until_wanted(60) == 7
    one = delivery()
    router.put([one])
    waiting.join(60)
    assert taken == [one]
    assert router.wait_until_wanted(0) == 0


def test_retries_are_alone(router: RequestRouter) -> None:
    """What ended a process is given out by itself."""
    first, again = delivery(), delivery(attempt=2)
    router.put([first, again, again, first])
    assert [len(router.take(OWNER, 9, 0)) for _ in range(4)] == [1, 1, 1, 1]


def test_too_much_for_one_owner(router: RequestRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is refused, so that no owner's requests keep another's from being claimed."""
    monkeypatch.setattr(routing, "MAX_WAITING", 2)
    one = delivery()
    assert router.put([one] * 3) == [(one, RefusalCode.OVERLOADED)]
    assert len(router.remove_all()) == 2
    monkeypatch.setattr(routing, "MAX_WAITING_BYTES", len(one.envelope) * 2 - 1)
    assert router.sort(OTHER, [one] * 2) == ([], [(one, RefusalCode.OVERLOADED)])


def test_what_waits_too_long(router: RequestRouter) -> None:
    """It is refused when its deadline is over."""
    one = delivery()
    router.put([one])
    assert router.remove_expired(now_ms()) == []
    assert router.remove_expired(now_ms() + 10**9) == [(one, RefusalCode.EXPIRED)]
    assert router.waiting == []


def test_owners_that_change(router: RequestRouter) -> None:
    """What waits goes to the new owner's processes."""
    one = delivery()
    router.put([one])
    router.update({DIGEST: OTHER})
    assert router.take(OWNER, 1, 0) == []
    assert router.take(OTHER, 1, 0) == [one]


def test_quarantine(streams: RedisStreams, router: RequestRouter) -> None:
    """A model is held from the third failure on, at every engine, until somebody releases it."""
    here, there = (Quarantine(streams, KEYS.quarantine) for _ in range(2))
    here.record_loaded("dd" * 32)
    here.record_loaded(DIGEST)
    for failures in range(1, MAX_FAILURES + 1):
        here.record_failure(DIGEST, "it ended the process")
        assert here.holds(DIGEST) is (failures == MAX_FAILURES)
    assert here.worked == ("dd" * 32,)
    there.refresh()
    assert there.holds(DIGEST)
    [shown] = there.to_status()
    assert (shown.digest, shown.failures, shown.reason) == (DIGEST, 3, "it ended the process")
    one = delivery()
    refused = RequestRouter(there).sort(None, [one])
    assert refused == ([], [(one, RefusalCode.UNAVAILABLE)])
    assert RequestRouter(there).put([one]) == [(one, RefusalCode.UNAVAILABLE)]
    before_ms = shown.until_ms or 0
    there.record_failure(DIGEST, "again")
    assert (there.to_status()[0].until_ms or 0) > before_ms
    assert streams.delete_hash_field(KEYS.quarantine, DIGEST)
    for each in (here, there):
        each.refresh()
        assert not each
        assert not each.holds(DIGEST)
    assert router.sort(OWNER, [one]) == ([one], [])


def test_damaged_records(streams: RedisStreams) -> None:
    """What somebody wrote into the broker ends no engine."""
    for number, value in enumerate((b"", b"{", b"[]", b'{"failures":3}', b'{"digest":7}')):
        streams.set_hash_field(KEYS.quarantine, str(number), value)
    found = Quarantine(streams, KEYS.quarantine)
    found.refresh()
    assert not found
