"""Attacks on operations: rows 70 and 75 of docs/threat-model.md."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusedError, UnavailableError
from sealflow.owner.conversation import envelope_of
from sealflow.owner.steps import Answer
from sealflow.trusted.worker.replay import SeenIds
from sealflow.wire.ids import new_request_id
from sealflow.wire.refusal import RefusalCode
from tests.sim.two_enclaves import NOW_MS

if TYPE_CHECKING:
    from tests.sim.two_enclaves import TwoEnclaves

CAPACITY = 50
"""Ids that the workers of `site` remember for each key."""


def test_70_rewriting_proxy() -> None:
    """What a proxy writes in place of a reply is never taken for one."""
    for status in (200, 302, 500):
        with pytest.raises(UnavailableError):
            envelope_of(Answer(status=status, headers={"content-type": "text/html"}, body=b"<p>"))


def test_75_full_replay_memory(site: TwoEnclaves) -> None:
    """A worker process whose memory of ids is full refuses, forgets nothing, and recovers in time.

    Ids of far deadlines stay until their key goes.
    """
    worker = site.worker()
    near = [site.call(timeout_s=20) for _ in range(CAPACITY - 1)]
    far, more = site.call(timeout_s=10**9), site.call(timeout_s=10**9)
    assert worker.refusals(*(call.envelope for call in (*near, far))) == [None] * CAPACITY
    assert worker.refusals(more.envelope) == [RefusalCode.OVERLOADED]
    again = worker.refusals(*(call.envelope for call in (*near, far)))
    assert again == [RefusalCode.REPLAYED] * CAPACITY
    site.pass_time(21_000)
    worker.tick()
    assert worker.refusals(*(call.envelope for call in near)) == [RefusalCode.EXPIRED] * len(near)
    assert worker.refusals(more.envelope, far.envelope) == [None, RefusalCode.REPLAYED]


@pytest.mark.parametrize("apart_ms", [0, 1, 1000, 10**9])
def test_75_bounded(apart_ms: int) -> None:
    """An id takes at most 130 bytes, however its sender chose the deadline."""
    count = 100_000
    end_ms = NOW_MS + 1000 * 4500
    ids = [new_request_id() for _ in range(count)]
    tracemalloc.start()
    try:
        seen = SeenIds(count, end_ms)
        for number, request_id in enumerate(ids):
            seen.check(request_id, NOW_MS)
            seen.remember(request_id, NOW_MS + number * apart_ms)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == count
    assert held_bytes < 130 * count
    with pytest.raises(RefusedError, match="overloaded"):
        seen.check(new_request_id(), NOW_MS)
