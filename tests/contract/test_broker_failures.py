"""A broker that is killed, or has no memory left, over every server: nothing is lost."""

from __future__ import annotations

import pytest

from sealflow.errors import QueueFullError, UnavailableError
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from tests.support.queue.server import QueueServer
from tests.support.queue.streams import INBOX, STREAM, inbox_of, raw_client, submit_envelope


def test_a_killed_server_keeps_what_it_held(server: QueueServer, streams: RedisStreams) -> None:
    """Requests, what is in work and replies survive; meanwhile everything says unavailable."""
    streams.ensure_group(STREAM)
    submit_envelope(server, b"one", b"two", b"three")
    held = streams.claim(STREAM, "a", 2, 0)
    streams.answer(STREAM, [(held[0], b"reply")])
    server.wait_written()
    server.kill()
    with pytest.raises(UnavailableError):
        streams.claim(STREAM, "a", 1, 0)
    with pytest.raises(UnavailableError):
        streams.answer(STREAM, [(held[1], b"reply")])
    server.start()
    assert [each.envelope for each in streams.claim(STREAM, "a", 9, 0)] == [b"three"]
    streams.answer(STREAM, [(held[1], b"reply")])
    assert len(inbox_of(server)) == 2
    assert streams.depth(STREAM).in_work == 1


def test_a_full_memory_is_a_full_queue(binary: str) -> None:
    """The server refuses rather than evicts, and that is said as what it is."""
    server = QueueServer(binary, max_memory_bytes=8 * 2**20)
    try:
        transport = StreamTransport(BrokerAddress(url=server.url), "test")
        entries = [(f"{n:032x}", bytes(2**20)) for n in range(12)]
        accepted = transport.submit(entries, capacity=1000)
        assert not all(accepted)
        assert any(accepted)
        streams = RedisStreams(server.url)
        with pytest.raises(QueueFullError):
            streams.set("big", bytes(2**22))
        streams.close()
        transport.close()
    finally:
        server.remove()


def test_no_room_for_an_answer(server: QueueServer, streams: RedisStreams) -> None:
    """A broker without memory for an answer still owes its request, and stores it later."""
    raw = raw_client(server)
    streams.ensure_group(STREAM)
    raw.xadd(STREAM, {"e": b"request", "c": b"id", "r": INBOX})
    [delivery] = streams.claim(STREAM, "engine", 9, 0)
    before = raw.config_get("maxmemory")["maxmemory"]
    raw.config_set("maxmemory", 2**10)
    with pytest.raises(QueueFullError, match="memory"):
        streams.answer(STREAM, [(delivery, b"answer")])
    assert streams.depth(STREAM).in_work == 1
    assert raw.xlen(INBOX) == 0
    raw.config_set("maxmemory", before)
    streams.answer(STREAM, [(delivery, b"answer")])
    assert streams.depth(STREAM).in_work == 0
    assert [fields[b"e"] for _, fields in raw.xrange(INBOX)] == [b"answer"]
    raw.close()
