"""Attacks by a broker that means harm: rows 61 to 66 and 68 of docs/threat-model.md.

The server is a real one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import OpenError, RefusalCode, UnavailableError
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from sealflow.streams.keys import GROUP, Keyspace
from sealflow.wire.envelope import Envelope, encode_refusal
from tests.support.sealing.sealed_sessions import parse_envelope, start_session
from tests.support.trusted.worker import Worker, negation_model, seal_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")


@pytest.fixture
def client(server: QueueServer) -> Iterator[StreamTransport]:
    """An owner on the queue."""
    transport = StreamTransport(BrokerAddress(url=server.url), KEYS.deployment)
    yield transport
    transport.close()


def claimed(streams: RedisStreams) -> list[bytes]:
    """The envelopes that an engine is given."""
    return [each.envelope for each in streams.claim(KEYS.requests, "e", 100, 0)]


def test_61_delivered_again(streams: RedisStreams, client: StreamTransport) -> None:
    """An entry that two engines get is answered twice; its sender opens one answer and no more."""
    streams.ensure_group(KEYS.requests)
    both = start_session()
    call = both.call()
    assert client.submit([(call.request_id, call.envelope)], capacity=9) == [True]
    [first] = streams.claim(KEYS.requests, "one", 1, 0)
    [second] = streams.claim_stale(KEYS.requests, "two", 0, 1)
    assert (first.entry_id, second.attempt) == (second.entry_id, 2)
    for delivery in (first, second):
        streams.answer(KEYS.requests, [(delivery, both.answer(delivery.envelope))])
    replies = [parse_envelope(envelope) for _, envelope in client.receive(0)]
    assert len(replies) == 2
    call.open_reply(replies[0])
    with pytest.raises(OpenError):
        call.open_reply(replies[1])


def test_62_stream_recreated(streams: RedisStreams, client: StreamTransport, raw: Any) -> None:
    """A stream that was deleted, and one whose ids start again, is served on."""
    streams.ensure_group(KEYS.requests)
    client.submit([("1", b"first")], capacity=9)
    raw.delete(KEYS.requests)
    assert claimed(streams) == []
    raw.xadd(KEYS.requests, {"e": b"again", "c": b"1", "r": b"r"}, id="0-5")
    assert claimed(streams) == [b"again"]


def test_63_injected_replies(client: StreamTransport, raw: Any) -> None:
    """Replies that the broker makes up or takes from elsewhere do not open, and end nothing."""
    both, stranger = start_session(), start_session()
    call = both.call()
    [inbox] = [f"{KEYS.inbox('x')[:-1]}{client._inbox.rpartition(':')[2]}"]
    genuine = both.answer(call.envelope)
    flipped = bytearray(genuine)
    flipped[-1] ^= 1
    foreign = stranger.answer(stranger.call().envelope)
    for envelope in (bytes(flipped), foreign, genuine):
        raw.xadd(inbox, {"e": envelope, "c": call.request_id})
    *forged, last = [parse_envelope(envelope) for _, envelope in client.receive(0)]
    for reply in forged:
        with pytest.raises(OpenError):
            call.open_reply(reply)
    call.open_reply(last)


def test_64_poison(streams: RedisStreams, client: StreamTransport, raw: Any) -> None:
    """What ends workers is set aside in a bounded stream, and its sender is told."""
    streams.ensure_group(KEYS.requests)
    refusal = encode_refusal(RefusalCode.UNDELIVERABLE, None)
    for number in range(300):
        client.submit([(str(number), b"poison")], capacity=9)
        [delivery] = streams.claim(KEYS.requests, "e", 1, 0)
        streams.dead_letter(KEYS.requests, delivery, refusal)
    assert raw.xlen(KEYS.requests) == 0
    assert raw.xlen(KEYS.dead_letters(KEYS.requests)) <= 200
    header = Envelope.from_bytes(client.receive(0)[0][1], max_body_bytes=0).header
    assert getattr(header, "code", None) is RefusalCode.UNDELIVERABLE


def test_65_group_reset(streams: RedisStreams, client: StreamTransport, raw: Any) -> None:
    """A consumer group set back delivers again; workers answer a second time with `replayed`."""
    streams.ensure_group(KEYS.requests)
    model = negation_model()
    call = seal_call(model)
    client.submit([(call.request_id, call.envelope)], capacity=9)
    first = claimed(streams)
    raw.xgroup_setid(KEYS.requests, GROUP, "0-0")
    second = claimed(streams)
    assert first == second == [call.envelope]
    outside = Worker().serve(model).send(*first, *second).finish()
    assert outside.refusal(1) is RefusalCode.REPLAYED
    raw.xgroup_destroy(KEYS.requests, GROUP)
    assert claimed(streams) == []
    assert claimed(streams) == [call.envelope]


def test_66_stalled(server: QueueServer, client: StreamTransport) -> None:
    """A broker that stops answering is an error in bounded time, and nothing is sent twice."""
    server._process.send_signal(19)  # SIGSTOP
    timer = threading.Timer(60, server._process.send_signal, (18,))
    timer.start()
    started = time.monotonic()
    try:
        with pytest.raises(UnavailableError):
            client.submit([("1", b"x")], capacity=9)
        assert time.monotonic() - started < 55
    finally:
        server._process.send_signal(18)  # SIGCONT
        timer.cancel()


def test_68_log_injection() -> None:
    """A line break, a control sequence or quotes in a peer's text cannot write a log line."""
    evil = 'x"}\n{"event":"forged"} \x1b[31m\u2028'
    program = (
        "import sys, structlog; from sealflow.host.service import configure_logs; "
        "configure_logs(); "
        "structlog.get_logger().info('request', model=sys.argv[1])"
    )
    done = subprocess.run(
        (sys.executable, "-c", program, evil), capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    [line] = done.stderr.rstrip("\n").split("\n")
    assert json.loads(line)["model"] == evil
    assert "\x1b" not in line
