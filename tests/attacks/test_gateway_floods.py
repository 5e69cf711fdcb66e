"""Attacks on the gateway's memory and on its capacity: rows 121 to 125 of docs/threat-model.md."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import valkey

from sealflow.errors import MalformedError, RefusalCode
from sealflow.wire.envelope import MEDIA_TYPE, PREFIX_LENGTH, Kind, parse_request_start
from tests.support.cluster.gateway import (
    KEYS,
    GatewayProcess,
    ScriptedEngine,
    open_answer,
    read_refusal,
    seal_call,
)
from tests.support.network.flood import Flood
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket
MIB = 2**20
POST = f"POST /v1/envelopes HTTP/1.1\r\nhost: x\r\ncontent-type: {MEDIA_TYPE}\r\n".encode()
MOST_GROWTH = 160 * MIB
"""Room for the held bytes, a copy of some, and fragments; in all below the chart's 256 MiB."""


@pytest.fixture(scope="module")
def queue() -> Iterator[QueueServer]:
    """A broker for the gateways of this file."""
    running = QueueServer()
    yield running
    running.remove()


@pytest.fixture
def engine(queue: QueueServer) -> Iterator[ScriptedEngine]:
    """What takes requests off the queue and answers them."""
    scripted = ScriptedEngine(queue)
    yield scripted
    scripted.close()


@pytest.fixture
def gateway(queue: QueueServer) -> Iterator[GatewayProcess]:
    """A gateway with the bounds that it has by default."""
    with GatewayProcess(queue) as running:
        yield running


def peak_bytes(gateway: GatewayProcess, *, anew: bool = False) -> int:
    """The most memory that the gateway has had; `anew`: from now on."""
    process = Path(f"/proc/{gateway.process.pid}")
    if anew:
        (process / "clear_refs").write_text("5")
    lines = (process / "status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024


def serve_others(gateway: GatewayProcess, engine: ScriptedEngine, count: int = 5) -> None:
    """Have a well-behaved client ask and be answered, several times, whatever else goes on."""
    for number in range(count):
        call = seal_call(size=10_000)
        content = b"answer %d" % number
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(gateway.post, call.envelope)
            engine.serve(content)
        answer = asked.result()
        assert answer.status_code == 200, answer.text
        assert open_answer(call, answer) == content


def await_held(gateway: GatewayProcess, least: int) -> None:
    """Wait until the gateway holds so many bytes."""
    until = time.monotonic() + 60
    while gateway.figure("sealflow_gateway_held_bytes") < least:
        assert time.monotonic() < until
        time.sleep(0.02)


def read_answer(connection: socket) -> bytes:
    """Read the head and the body of a refusal."""
    answer = connection.recv(2**16)
    while not answer.endswith(b"}"):
        more = connection.recv(2**16)
        assert more, answer
        answer += more
    return answer


def unfinished(size: int) -> bytes:
    """A request whose body lacks its last byte."""
    envelope = seal_call(size=size).envelope
    return POST + b"content-length: %d\r\n\r\n" % len(envelope) + envelope[:-1]


@pytest.mark.parametrize("count", [40, 400])
def test_121_unfinished_bodies(gateway: GatewayProcess, engine: ScriptedEngine, count: int) -> None:
    """Bodies that never end hold no more than the budget, and others are served meanwhile."""
    serve_others(gateway, engine, 1)
    before = peak_bytes(gateway, anew=True)
    data = unfinished(15 * MIB)
    with Flood(gateway.address, count, data, again=True) as flood:
        await_held(gateway, 32 * MIB)
        serve_others(gateway, engine)
        until = time.monotonic() + 60
        while flood.sent_bytes < 40 * len(data) or flood.ended < 10:
            assert time.monotonic() < until, (flood.sent_bytes, flood.ended)
            time.sleep(0.05)
        serve_others(gateway, engine)
        assert peak_bytes(gateway) - before < MOST_GROWTH
    answers = b"".join(flood.answers)
    assert b" 503 " in answers
    assert b"retry-after: " in answers


@pytest.mark.parametrize("size", [1, 1000])
def test_121_chunks(gateway: GatewayProcess, engine: ScriptedEngine, size: int) -> None:
    """A body in chunks, whose length nobody says, is bounded; chunks of a byte are refused."""
    envelope = seal_call(size=4 * MIB).envelope
    pieces = (envelope[at : at + size] for at in range(0, len(envelope) - 1, size))
    head = POST + b"transfer-encoding: chunked\r\n\r\n"
    data = head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    before = peak_bytes(gateway, anew=True)
    with Flood(gateway.address, 60, data, again=True) as flood:
        until = time.monotonic() + 60
        while flood.ended < 20:
            assert time.monotonic() < until
            time.sleep(0.02)
        serve_others(gateway, engine)
        assert peak_bytes(gateway) - before < MOST_GROWTH
    assert any(answer.startswith(b"HTTP/1.1 400 ") for answer in flood.answers) == (size == 1)


def test_121_announced(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """Bodies that are announced and do not come take no room from others."""
    head = POST + b"content-length: 16000000\r\nexpect: 100-continue\r\n\r\n"
    with Flood(gateway.address, 1000, head) as flood:
        until = time.monotonic() + 60
        while len(flood.answers) < 900:
            assert time.monotonic() < until, len(flood.answers)
            time.sleep(0.02)
        assert gateway.figure("sealflow_gateway_held_bytes") == 0
        serve_others(gateway, engine)


def test_122_slow_readers(queue: QueueServer, engine: ScriptedEngine) -> None:
    """Answers that nobody reads hold no more than the budget, and others are served meanwhile."""
    with valkey.Valkey.from_url(queue.url) as client:
        for number in range(500):
            client.xadd(KEYS.log, {"e": bytes(20_000)}, id=f"{number + 1}-1")
    with GatewayProcess(queue) as gateway:
        serve_others(gateway, engine, 1)
        before = peak_bytes(gateway, anew=True)
        ask = b"GET /v1/log/0 HTTP/1.1\r\nhost: x\r\n\r\n" * 4
        with Flood(gateway.address, 200, ask, read=False, again=True) as flood:
            until = time.monotonic() + 60
            while flood.sent_bytes < 200 * len(ask):
                assert time.monotonic() < until
                time.sleep(0.02)
            serve_others(gateway, engine)
        assert peak_bytes(gateway) - before < MOST_GROWTH


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"timeout_s": -5.0}, RefusalCode.EXPIRED),
        ({"size": 17 * MIB}, RefusalCode.TOO_LARGE),
        ({}, RefusalCode.UNKNOWN_MODEL),
    ],
)
def test_123_header_first(queue: QueueServer, changes: dict[str, float], code: RefusalCode) -> None:
    """What the header says is refused before the body has come."""
    payload = b64encode(json.dumps({"models": [{"digest": "ef" * 32}]}).encode()).decode()
    document = {"directory": {"payload": payload, "signature": ""}}
    with valkey.Valkey.from_url(queue.url) as client:
        client.set(KEYS.directory, json.dumps(document))
    with GatewayProcess(queue) as gateway:
        call = seal_call(**{"size": 4 * MIB, **changes})  # type: ignore[arg-type]
        with gateway.raw() as connection:
            sent = min(len(call.envelope), 16 * MIB)
            connection.sendall(POST + b"content-length: %d\r\n\r\n" % sent)
            connection.sendall(call.envelope[:5000])
            answer = read_answer(connection)
        assert b'"code":"%s"' % code.value.encode() in answer
    with valkey.Valkey.from_url(queue.url) as client:
        client.delete(KEYS.directory)


def test_123_no_request(gateway: GatewayProcess) -> None:
    """What begins as something else than a request is refused by its first bytes."""
    for start in (b"SFL2", b"SFL1\2"):
        with gateway.raw() as connection:
            connection.sendall(POST + b"content-length: 4000000\r\n\r\n" + start.ljust(100, b"\0"))
            assert b'"code":"malformed"' in read_answer(connection)


def test_123_other_kinds() -> None:
    """A body of another kind is refused by its first bytes, whatever its header says."""
    start = seal_call().envelope[:1000]
    assert parse_request_start(start, max_body_bytes=2**20) is not None
    for length in (PREFIX_LENGTH, len(start)):
        with pytest.raises(MalformedError, match="not a request"):
            parse_request_start(
                bytes((*start[:4], Kind.REPLY, *start[5:length])), max_body_bytes=2**20
            )


def test_123_full_queue(queue: QueueServer, engine: ScriptedEngine) -> None:
    """While the queue is full, a large body is refused at its start."""
    with GatewayProcess(queue, queue_capacity=1) as gateway:
        with valkey.Valkey.from_url(queue.url) as client:
            client.xadd(KEYS.requests, {"e": b"x"})
        until = time.monotonic() + 30
        answer = b""
        while b'"code":"overloaded"' not in answer:
            assert time.monotonic() < until, answer
            assert read_refusal(gateway.post(seal_call().envelope)) is RefusalCode.OVERLOADED
            with gateway.raw() as connection:
                envelope = seal_call(size=4 * MIB).envelope
                connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(envelope))
                connection.sendall(envelope[:5000])
                answer = read_answer(connection)


HEADS = {
    "path": b"GET /" + b"a" * 2**15 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "header": b"GET /v1/status HTTP/1.1\r\nhost: x\r\na: " + b"b" * 2**15 + b"\r\n\r\n",
    "headers": b"GET /v1/status HTTP/1.1\r\nhost: x\r\n" + b"a:b\r\n" * 3000 + b"\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_124_heads(gateway: GatewayProcess, head: bytes) -> None:
    """A head over 16 KiB, or of over 100 headers, is refused with 431 and reaches no route."""
    with gateway.raw() as connection:
        connection.sendall(head)
        assert connection.recv(2**16).startswith(b"HTTP/1.1 431 ")


def test_124_pipelining(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """Thousands of requests in one piece end their connection, and hold no memory."""
    before = peak_bytes(gateway, anew=True)
    asked = b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n" * 5000
    with Flood(gateway.address, 500, asked, again=True) as flood:
        until = time.monotonic() + 60
        while flood.ended < 500:
            assert time.monotonic() < until, flood.ended
            time.sleep(0.02)
        serve_others(gateway, engine)
        assert peak_bytes(gateway) - before < 64 * MIB


def test_125_connections(queue: QueueServer, engine: ScriptedEngine) -> None:
    """One peer's connections end each other, oldest first, rather than keep new ones out."""
    with (
        GatewayProcess(queue, max_connections=100) as gateway,
        Flood(gateway.address, 1000, b"GET /v1/st") as flood,
    ):
        until = time.monotonic() + 60
        while flood.ended < 900:
            assert time.monotonic() < until, flood.ended
            time.sleep(0.02)
        serve_others(gateway, engine)


def test_125_share_of_the_queue(queue: QueueServer, engine: ScriptedEngine) -> None:
    """Behind a trusted proxy one peer fills its share of the queue, and another is still served."""
    with (
        GatewayProcess(
            queue, queue_capacity=8, peer_share=0.5, trusted_proxies=["127.0.0.0/8"]
        ) as gateway,
        ThreadPoolExecutor(8) as pool,
    ):
        greedy = {"x-forwarded-for": "198.51.100.1, 203.0.113.5"}
        waiting = [
            pool.submit(gateway.post, seal_call(timeout_s=60).envelope, **greedy) for _ in range(4)
        ]
        until = time.monotonic() + 60
        while engine.waiting() < 4:
            assert time.monotonic() < until
            time.sleep(0.02)
        # What the client wrote before the proxy does not count.
        greedy["x-forwarded-for"] = "192.0.2.77, 203.0.113.5"
        refused = gateway.post(seal_call().envelope, **greedy)
        assert read_refusal(refused) is RefusalCode.OVERLOADED
        assert refused.headers["retry-after"] == "1"
        call = seal_call()
        asked = pool.submit(gateway.post, call.envelope, **{"x-forwarded-for": "203.0.113.6"})
        for _ in range(5):
            engine.serve()
        assert open_answer(call, asked.result()) == b"the answer"
        assert all(each.result().status_code == 200 for each in waiting)


def test_125_rate(queue: QueueServer, engine: ScriptedEngine) -> None:
    """With a rate, a peer that is over it is told how long to wait."""
    with GatewayProcess(queue, peer_requests_s=0.5) as gateway:
        serve_others(gateway, engine, 1)
        refused = gateway.post(seal_call().envelope)
        assert read_refusal(refused) is RefusalCode.OVERLOADED
        assert 1 <= int(refused.headers["retry-after"]) <= 2
