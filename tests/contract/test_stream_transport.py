"""A sender's way to the queue, over every server: bounded, and nothing is read twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.errors import UnavailableError
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from tests.support.queue.broken_connection import BreakingProxy
from tests.support.queue.streams import STREAM, raw_client, submit_envelope

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer


def test_admission_is_bounded(server: QueueServer) -> None:
    """A sender is told when the stream holds its capacity; nothing that waits is dropped."""
    transport = StreamTransport(BrokerAddress(url=server.url), "test")
    entries = [(f"{n:032x}", b"e%d" % n) for n in range(8)]
    assert transport.submit(entries, capacity=5) == [True] * 5 + [False] * 3
    assert raw_client(server).xlen(STREAM) == 5
    transport.close()


def test_what_a_full_queue_refuses_does_not_travel(server: QueueServer) -> None:
    """A sender learns that there is no room before it sends the bytes."""
    transport = StreamTransport(BrokerAddress(url=server.url), "test")
    submit_envelope(server, b"first")
    before = raw_client(server).info("stats")["total_net_input_bytes"]
    assert transport.submit([("id", bytes(2**20))], capacity=1) == [False]
    assert raw_client(server).info("stats")["total_net_input_bytes"] - before < 2**16
    transport.close()


def test_an_answer_survives_its_lost_deletion(server: QueueServer) -> None:
    """What a client has read is not lost with the answer to its deletion."""
    proxy = BreakingProxy(server, b"XDEL")
    transport = StreamTransport(BrokerAddress(url=f"valkey://127.0.0.1:{proxy.port}"), "test")
    raw = raw_client(server)
    assert transport.submit([("id", b"request")], capacity=9) == [True]
    [(_, fields)] = raw.xrange(STREAM)
    got: list[bytes] = []
    for text in (b"first", b"second"):
        raw.xadd(fields[b"r"], {"e": text, "c": b"id"})
        for _ in range(3):
            try:
                got += [envelope for _, envelope in transport.receive(0)]
            except UnavailableError:
                continue
    assert got == [b"first", b"second"]
    transport.close()
    proxy.close()
    raw.close()
