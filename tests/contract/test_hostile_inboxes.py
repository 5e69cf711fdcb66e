"""Inboxes that hostile senders name hurt nobody else, over every server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.queue.streams import KEYS, STREAM, inbox_of, raw_client, submit_envelope

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer


@pytest.mark.parametrize("inbox", [KEYS.directory, KEYS.requests, "elsewhere", ""])
def test_a_hostile_inbox_hurts_nobody_else(
    server: QueueServer, streams: RedisStreams, inbox: str
) -> None:
    """A reply goes to inboxes of the deployment only; the other answers are stored."""
    streams.ensure_group(STREAM)
    raw = raw_client(server)
    raw.set(KEYS.directory, b"directory")
    submit_envelope(server, b"bad", inbox=inbox)
    submit_envelope(server, b"good")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    streams.answer(STREAM, [(each, b"reply") for each in deliveries])
    assert inbox_of(server) == [{b"e": b"reply", b"c": b"c0"}]
    assert raw.get(KEYS.directory) == b"directory"
    assert raw.xlen(STREAM) == 0
    assert not raw.exists("elsewhere")


def test_an_inbox_that_is_no_stream(server: QueueServer, streams: RedisStreams) -> None:
    """Its reply is lost, and nothing else."""
    streams.ensure_group(STREAM)
    raw_client(server).set(KEYS.inbox("taken"), b"a string")
    submit_envelope(server, b"bad", inbox=KEYS.inbox("taken"))
    submit_envelope(server, b"good")
    deliveries = streams.claim(STREAM, "a", 10, 0)
    streams.answer(STREAM, [(each, b"reply") for each in deliveries])
    assert len(inbox_of(server)) == 1
