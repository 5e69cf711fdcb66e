"""A request whose worker lacks the model goes on to others, a bounded number of times."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.errors import RefusalCode
from sealflow.host.broker.stream_consumer import StreamConsumer
from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.delivery_tracker import MAX_REQUEUES, DeliveryTracker, published_models
from sealflow.host.engine.quarantine import Quarantine
from sealflow.host.engine.routing import RequestRouter
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from sealflow.wire.envelope import Envelope, RefusalHeader, encode_refusal
from tests.support.cluster.gateway import DIGEST, KEYS, seal_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.broker.redis_streams import RedisStreams
    from tests.support.queue.server import QueueServer

REFUSED = encode_refusal(RefusalCode.UNKNOWN_MODEL, None)
PUBLISHED = frozenset({DIGEST})


@pytest.fixture
def owner(server: QueueServer) -> Iterator[StreamTransport]:
    """Who sends requests."""
    transport = StreamTransport(BrokerAddress(url=server.url), KEYS.deployment)
    yield transport
    transport.close()


@pytest.fixture
def raw(server: QueueServer) -> Iterator[Any]:
    """The server, as anybody reaches it."""
    with valkey.Valkey.from_url(server.url) as client:
        yield client


def consumer(server: QueueServer, streams: RedisStreams, name: str) -> DeliveryTracker:
    """One consumer of the queue, who knows what is published."""
    streams.ensure_group(KEYS.requests)
    config = EngineConfig(
        deployment="test", packages_dir="p", deployment_file="d", broker_url=server.url
    )
    router = RequestRouter(Quarantine(streams, KEYS.quarantine))
    claiming = StreamConsumer(broker=streams, stream=KEYS.requests, name=name)
    step = DeliveryTracker(claiming, config, router)
    step.published = PUBLISHED
    return step


def turn(step: DeliveryTracker, reply: bytes) -> int:
    """Take what there is and have a worker answer all of it alike; gives how many."""
    items = step.next_batch(1)
    step.accept_replies([(slot, reply) for slot, _ in items])
    await_idle(step)
    return len(items)


def await_idle(step: DeliveryTracker) -> None:
    """Wait until nothing is owed."""
    until = time.monotonic() + 20
    while step.in_work:
        assert time.monotonic() < until
        time.sleep(0.005)


def code(reply: bytes) -> RefusalCode:
    """Why a request was refused."""
    header = Envelope.from_bytes(reply, max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    return header.code


def test_another_worker_has_it(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any
) -> None:
    """It gets the request as it was sent, and the sender its answer, once."""
    without, having = (consumer(server, streams, name) for name in ("without", "having"))
    asked = seal_call()
    owner.submit([("id", asked.envelope)], capacity=9)
    assert turn(without, REFUSED) == 1
    assert raw.xlen(KEYS.requests) == 1
    assert owner.receive(0) == []
    ((_, envelope),) = items = having.next_batch(1)
    assert envelope == asked.envelope
    having.accept_replies([(slot, b"answer") for slot, _ in items])
    assert owner.receive(0) == [(b"id", b"answer")]
    assert raw.xlen(KEYS.requests) == without.in_work == having.in_work == 0
    assert raw.xpending(KEYS.requests, "sealflow")["pending"] == 0


def test_nobody_has_it(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any
) -> None:
    """After so many passes the sender is told, and nothing is left."""
    steps = [consumer(server, streams, str(number)) for number in range(2)]
    owner.submit([("id", seal_call().envelope)], capacity=9)
    ((entry, fields),) = raw.xrange(KEYS.requests)
    # As after most of its passes, which take their time.
    raw.xadd(KEYS.requests, fields | {b"h": str(MAX_REQUEUES - 3)})
    raw.xdel(KEYS.requests, entry)
    turns = 0
    while turn(steps[turns % 2], REFUSED):
        turns += 1
    assert turns == 3 + 1
    ((name, reply),) = owner.receive(0)
    assert (name, code(reply)) == (b"id", RefusalCode.UNKNOWN_MODEL)
    assert raw.xlen(KEYS.requests) == 0


@pytest.mark.parametrize("case", ["not published", "no envelope", "another refusal", "its worker"])
def test_what_stays(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, case: str
) -> None:
    """Models that are nowhere, other refusals, and what a worker ended with are answered."""
    step = consumer(server, streams, "one")
    owner.submit([("id", b"none" if case == "no envelope" else seal_call().envelope)], capacity=9)
    reply = REFUSED
    match case:
        case "not published":
            step.published = frozenset({"ee" * 32})
        case "another refusal":
            reply = encode_refusal(RefusalCode.UNKNOWN_KEY, None)
        case "its worker":
            assert len(step.next_batch(1)) == 1
            step.worker_ended()
    assert turn(step, reply) == 1
    assert owner.receive(0) == [(b"id", reply)]


@pytest.mark.parametrize(
    "count", [str(MAX_REQUEUES).encode(), b"9999999999999999999", b"-1", b"x", b"", "²".encode()]
)
def test_senders_that_count_themselves(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any, count: bytes
) -> None:
    """Who writes a number of passes, or nonsense, only has fewer of them."""
    step = consumer(server, streams, "one")
    owner.submit([("id", seal_call().envelope)], capacity=9)
    ((entry, fields),) = raw.xrange(KEYS.requests)
    raw.xdel(KEYS.requests, entry)
    raw.xadd(KEYS.requests, {**fields, b"h": count})
    assert turn(step, REFUSED) == 1
    assert [code(reply) for _, reply in owner.receive(0)] == [RefusalCode.UNKNOWN_MODEL]


def test_a_full_broker(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any
) -> None:
    """What there is no room for is passed on when there is; until then it is owed."""
    step = consumer(server, streams, "one")
    owner.submit([("id", seal_call().envelope)], capacity=9)
    items = step.next_batch(1)
    raw.config_set("maxmemory", 1)
    step.accept_replies([(slot, REFUSED) for slot, _ in items])
    assert step.in_work == 1
    raw.config_set("maxmemory", 0)
    await_idle(step)
    assert turn(step, b"answer") == 1
    assert owner.receive(0) == [(b"id", b"answer")]


def test_a_flood_for_others(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any
) -> None:
    """A consumer keeps no more of it than a worker may hold, owes all that it keeps, loses none."""
    step = consumer(server, streams, "one")
    ids = [str(number) for number in range(80)]
    owner.submit([(each, seal_call().envelope) for each in ids], capacity=99)
    for _ in range(20):
        assert step.in_work <= 32
        if step.wait_for_room(0.01):
            step.accept_replies([(slot, REFUSED) for slot, _ in step.next_batch(1)])
    while raw.xlen(KEYS.requests):
        step.accept_replies([(slot, b"answer") for slot, _ in step.next_batch(1)])
    found: list[tuple[bytes, bytes]] = []
    while more := owner.receive(0):
        found += more
    assert sorted(name.decode() for name, _ in found) == sorted(ids)
    await_idle(step)


def test_a_worker_that_ends_meanwhile(
    server: QueueServer, streams: RedisStreams, owner: StreamTransport, raw: Any
) -> None:
    """What waits to be passed on was answered by that worker, so it is no suspect."""
    step = consumer(server, streams, "one")
    owner.submit([("id", seal_call().envelope)], capacity=9)
    items = step.next_batch(1)
    raw.config_set("maxmemory", 1)
    step.accept_replies([(slot, REFUSED) for slot, _ in items])
    step.worker_ended()
    raw.config_set("maxmemory", 0)
    await_idle(step)
    assert turn(step, REFUSED) == 1
    assert turn(step, b"answer") == 1
    assert owner.receive(0) == [(b"id", b"answer")]


def document(payload: object) -> bytes:
    """A published document with a payload."""
    text = b64encode(json.dumps(payload).encode()).decode()
    return json.dumps({"directory": {"payload": text, "signature": ""}, "evidence": {}}).encode()


def test_what_is_published() -> None:
    """The digests of all models; nothing of a document that is none."""
    owner = "0f" * 32
    models = [{"digest": "aa", "owner": owner}, {"digest": "bb", "owner": owner}]
    assert published_models(document({"models": models})) == {"aa": owner, "bb": owner}
    models[0]["owner"] = "no key"
    wrong: tuple[object, ...] = (
        {},
        [],
        {"models": 7},
        {"models": [7]},
        {"models": [{}]},
        {"models": models},
        None,
    )
    for payload in wrong:
        assert published_models(document(payload)) == {}
    for text in (b"", b"{", b"[]", b"7", b'{"directory": {"payload": "!"}}', b"[" * 100_000):
        assert published_models(text) == {}
