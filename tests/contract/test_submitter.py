"""The gateway's way to the queue, over every server."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import QueueFullError, UnavailableError
from sealflow.host.broker.submitter import Submitter
from sealflow.streams.keys import Keyspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer

STREAM = Keyspace(deployment="test").requests


@pytest.fixture
async def submitter(server: QueueServer) -> AsyncIterator[Submitter]:
    """A submitter with its inbox."""
    found = Submitter(server.url, "test", "gateway-1")
    await found.start()
    yield found
    await found.close()


async def _answer_all(streams: RedisStreams, count: int) -> None:
    done = 0
    while done < count:
        deliveries = await asyncio.to_thread(streams.claim, STREAM, "engine", 64, 1000)
        answers = [(each, b"re:" + each.envelope) for each in deliveries]
        if answers:
            await asyncio.to_thread(streams.answer, STREAM, answers)
        done += len(answers)


def _await_queued(streams: RedisStreams) -> None:
    until = time.monotonic() + 20
    while streams.depth(STREAM).waiting == 0:
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_each_future_gets_its_own_answer(submitter: Submitter, streams: RedisStreams) -> None:
    """Many submits at once come back matched by correlation, and leave nothing behind."""
    futures = {
        n: submitter.submit(STREAM, b"%d" % n, b"id-%d" % n, capacity=1000) for n in range(300)
    }
    await _answer_all(streams, 300)
    for number, future in futures.items():
        assert await future == b"re:%d" % number
    await asyncio.sleep(0)
    assert len(submitter) == 0


async def test_a_full_queue_fails_the_future(submitter: Submitter) -> None:
    """What does not fit fails at once; what fits waits."""
    futures = [submitter.submit(STREAM, b"e", b"%d" % n, capacity=3) for n in range(5)]
    for future in futures[3:]:
        with pytest.raises(QueueFullError):
            await future
    assert not any(future.done() for future in futures[:3])
    for future in futures[:3]:
        future.cancel()
    await asyncio.sleep(0)
    assert len(submitter) == 0


async def test_envelopes_are_not_held(submitter: Submitter, streams: RedisStreams) -> None:
    """What was sent, or will not be, is released while its answer is waited for."""
    released: list[int] = []
    futures = [
        submitter.submit(
            STREAM, bytes(2**23), b"%d" % n, capacity=3, sent=partial(released.append, n)
        )
        for n in range(5)
    ]
    for future in futures[3:]:
        with pytest.raises(QueueFullError):
            await future
    assert submitter.was_full(STREAM, 3)
    assert not submitter.was_full(STREAM, 4)
    assert not submitter.was_full("another", 1)
    await _answer_all(streams, 3)
    assert len(await futures[0]) == 2**23 + 3
    assert released == [0, 1, 2, 3, 4]


async def test_one_correlation_twice(submitter: Submitter, streams: RedisStreams) -> None:
    """A replayed envelope has its own answer, in order."""
    futures = [submitter.submit(STREAM, b"%d" % n, b"same", capacity=9) for n in range(2)]
    await _answer_all(streams, 2)
    assert [await future for future in futures] == [b"re:0", b"re:1"]


async def test_the_broker_away_and_back(
    submitter: Submitter, server: QueueServer, streams: RedisStreams
) -> None:
    """New submits fail while it is away; who waits already gets the answer afterwards."""
    waiting = submitter.submit(STREAM, b"before", b"before", capacity=9)
    await asyncio.to_thread(_await_queued, streams)
    server.wait_written()
    server.kill()
    with pytest.raises(UnavailableError):
        await submitter.submit(STREAM, b"during", b"during", capacity=9)
    assert not waiting.done()
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(streams.ensure_group, STREAM)
    after = submitter.submit(STREAM, b"after", b"after", capacity=9)
    await _answer_all(streams, 2)
    assert await waiting == b"re:before"
    assert await after == b"re:after"
