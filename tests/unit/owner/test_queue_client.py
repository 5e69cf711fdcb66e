"""The client of the queue: ids, bounds, retries, a broker that is away or means harm."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import valkey

from sealflow.errors import (
    DeadlineError,
    EvidenceError,
    InvalidInputError,
    ModelError,
    QueueFullError,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner import InferResult, InputQueue, OutputQueue, QueueClient
from sealflow.wire.envelope import decode
from sealflow.wire.refusal import RefusalCode
from tests.sim.published import Published
from tests.sim.queue_server import Server
from tests.sim.service import (
    PlayedService,
    failing,
    forged,
    negated,
    now_ms,
    refusing,
    silent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.host.broker.delivery import Delivery

ROW = np.array([[1, -2, 3, 4]], np.float32)


@pytest.fixture
def client(queue: Server, service: PlayedService) -> Iterator[QueueClient]:
    """A client that trusts the service."""
    with QueueClient(queue.url, policy=service.published.policy) as made:
        yield made


def ask(client: QueueClient, *names: str, timeout_s: float = 20.0) -> None:
    """Queue a request by each id; it carries the id's number."""
    items = {name: {"x": ROW * (1 + len(name))} for name in names}
    client.enqueue_many("m", items, timeout_s=timeout_s)


def outcomes(client: QueueClient) -> dict[str, InferResult | SealflowError]:
    """Take all outcomes."""
    found: dict[str, InferResult | SealflowError] = {}
    until = time.monotonic() + 30
    while client:
        assert time.monotonic() < until
        found |= client.dequeue(timeout_s=5)
    return found | client.dequeue()


def check(name: str, outcome: Any) -> None:
    """The outcome is the right one for an id."""
    assert isinstance(outcome, InferResult), outcome
    np.testing.assert_array_equal(outcome.outputs["y"], -ROW * (1 + len(name)))


def test_each_id_gets_its_own(client: QueueClient) -> None:
    """Requests by id come back by id, one at a time or all at once; then the ids are free."""
    ask(client, "a", "bb", "ccc", "dddd")
    check("ccc", client.query("ccc", timeout_s=20))
    found = outcomes(client)
    assert found.keys() == {"a", "bb", "dddd"}
    for name, outcome in found.items():
        check(name, outcome)
    ask(client, "a")
    check("a", client.query("a", timeout_s=20))
    assert len(client) == 0


def test_cluster_servings_way(client: QueueClient) -> None:
    """One way in for a model, one way out."""
    way_in, way_out = InputQueue(client, "m:1"), OutputQueue(client)
    way_in.enqueue("one", x=ROW)
    way_in.enqueue("two", x=ROW * 2)
    first = way_out.query("one", timeout_s=20)
    assert first is not None
    np.testing.assert_array_equal(first.outputs["y"], -ROW)
    assert way_out.dequeue(timeout_s=20).keys() == {"two"}
    assert way_out.dequeue() == {}


def test_ids_in_use(client: QueueClient) -> None:
    """An id that waits, or whose result was not taken, cannot be used again; others are unknown."""
    ask(client, "a")
    with pytest.raises(InvalidInputError, match="id 'a' is in use: take its result"):
        ask(client, "a")
    with pytest.raises(InvalidInputError, match="no request 'b' is waiting here"):
        client.query("b")
    while client.query("a", timeout_s=1) is None:
        pass
    with pytest.raises(InvalidInputError, match="no request 'a'"):
        client.query("a")


def test_not_there_yet(client: QueueClient, service: PlayedService) -> None:
    """A query that comes too early gives nothing, and takes nothing away."""
    go = threading.Event()

    def late(service: PlayedService, delivery: Delivery) -> bytes | None:
        go.wait(20)
        return negated(service, delivery)

    service.script = [late]
    ask(client, "a")
    assert client.query("a") is None
    assert client.query("a", timeout_s=0.1) is None
    assert client.dequeue(timeout_s=0.1) == {}
    go.set()
    check("a", client.query("a", timeout_s=20))


def test_errors_of_one_request(client: QueueClient, service: PlayedService) -> None:
    """What a worker says of one request ends that one alone; `query` raises it."""
    service.script = [failing("invalid_input", "no good"), negated, failing("crash", "it fell")]
    ask(client, "a", "bb", "ccc")
    with pytest.raises(InvalidInputError, match="no good"):
        client.query("a", timeout_s=20)
    found = outcomes(client)
    check("bb", found["bb"])
    assert isinstance(found["ccc"], ModelError)


def test_full_queue(queue: Server, service: PlayedService) -> None:
    """Whoever finds the queue full until the time is over is told; what was queued is answered."""
    go = threading.Event()

    def late(service: PlayedService, delivery: Delivery) -> bytes | None:
        go.wait(20)
        return negated(service, delivery)

    service.script = [late]
    with QueueClient(queue.url, policy=service.published.policy, capacity=2) as client:
        with pytest.raises(QueueFullError, match="take results, or add workers"):
            ask(client, "a", "bb", "ccc", timeout_s=0.3)
        assert len(client) == 2
        go.set()
        assert outcomes(client).keys() == {"a", "bb"}
        ask(client, "ccc")
        check("ccc", client.query("ccc", timeout_s=20))


def test_room_comes_by_itself(queue: Server, service: PlayedService) -> None:
    """Many more requests than the queue holds go through it, while answers are taken."""
    with QueueClient(queue.url, policy=service.published.policy, capacity=3) as client:
        names = ["x" * length for length in range(1, 41)]
        ask(client, *names)
        found = outcomes(client)
        assert found.keys() == set(names)
        for name, outcome in found.items():
            check(name, outcome)


@pytest.mark.parametrize("code", [RefusalCode.REPLAYED, RefusalCode.OVERLOADED])
def test_refusals_that_pass(client: QueueClient, service: PlayedService, code: RefusalCode) -> None:
    """A refused request is sealed anew, and its sender sees its answer alone."""
    service.script = [refusing(code), refusing(code), negated]
    ask(client, "a")
    check("a", client.query("a", timeout_s=20))
    assert len({each.correlation for each in service.seen}) == 3
    assert len({each.envelope for each in service.seen}) == 3


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        (RefusalCode.NOT_OPENED, RefusedError, 1),
        (RefusalCode.UNDELIVERABLE, RefusedError, 1),
        (RefusalCode.EXPIRED, DeadlineError, 1),
        (RefusalCode.REPLAYED, RefusedError, 5),
    ],
)
def test_refusals_that_stay(
    client: QueueClient,
    service: PlayedService,
    code: RefusalCode,
    error: type[SealflowError],
    tries: int,
) -> None:
    """A refusal that stays is the outcome, after a bounded number of tries."""
    service.script = [refusing(code)]
    ask(client, "a")
    with pytest.raises(error):
        client.query("a", timeout_s=20)
    assert len(service.seen) == tries


def test_a_new_key(client: QueueClient, service: PlayedService) -> None:
    """Once the workers' key is gone, the request is sealed anew to the one in force."""
    ask(client, "a")
    client.query("a", timeout_s=20)
    old = decode(service.seen[0].envelope, max_body_bytes=2**20).request_header.key_id
    service.turn_key()
    service.script = [refusing(RefusalCode.UNKNOWN_KEY), negated]
    ask(client, "bb")
    check("bb", client.query("bb", timeout_s=20))
    new = decode(service.seen[-1].envelope, max_body_bytes=2**20).request_header.key_id
    assert new != old


def test_a_refusal_does_not_weaken(client: QueueClient, service: PlayedService) -> None:
    """A stranger's directory is the outcome of the refused request, and costs no other one."""
    stranger = Published.create(now_ms())

    def turn(service: PlayedService, delivery: Delivery) -> bytes | None:
        service.publish_text(stranger.document(stranger.with_model()))
        return refusing(RefusalCode.UNKNOWN_KEY)(service, delivery)

    good = service.directory
    service.script = [turn, negated]
    ask(client, "a", "bb")
    found = outcomes(client)
    service.publish(good)
    assert isinstance(found["a"], SealflowError)
    assert not isinstance(found["a"], UnavailableError | ModelError | RefusedError)
    check("bb", found["bb"])
    assert len(service.seen) == 2


def test_what_cannot_be_sent_again(client: QueueClient, service: PlayedService) -> None:
    """A request that was refused and cannot be sealed anew has an outcome: that error."""
    good = service.directory

    def withdraw(service: PlayedService, delivery: Delivery) -> bytes | None:
        service.directory = replace(good, models=())
        service.renew()
        return refusing(RefusalCode.UNKNOWN_MODEL)(service, delivery)

    service.script = [withdraw]
    ask(client, "a")
    found = outcomes(client)
    service.directory = replace(service.directory, models=good.models)
    service.renew()
    assert isinstance(found["a"], InvalidInputError)
    assert "no model 'm' in the verified directory; it has none" in str(found["a"])
    assert len(client) == 0


def test_silence(client: QueueClient, service: PlayedService) -> None:
    """A request that nobody answers ends with its time, and says what to do."""
    service.script = [silent]
    ask(client, "a", timeout_s=0.3)
    with pytest.raises(DeadlineError, match="raise timeout_s, or see sealflow status"):
        client.query("a", timeout_s=20)
    assert len(client) == 0


def test_forged_answers_are_dropped(client: QueueClient, service: PlayedService) -> None:
    """Nonsense, a changed reply, and replies to others' requests do not hide the genuine one."""

    def hostile(service: PlayedService, delivery: Delivery) -> bytes | None:
        for bad in (b"", b"nonsense", forged(service, delivery), delivery.envelope):
            service.put_in(delivery, bad)
        return negated(service, delivery)

    service.script = [hostile]
    ask(client, "a", "bb")
    found = outcomes(client)
    for name in ("a", "bb"):
        check(name, found[name])


def test_inbox_is_left_empty(queue: Server, service: PlayedService) -> None:
    """A client that is closed leaves no inbox behind, also with answers that nobody took."""
    with QueueClient(queue.url, policy=service.published.policy) as client:
        ask(client, "a", "bb")
        check("a", client.query("a", timeout_s=20))
        while client:
            client.dequeue(timeout_s=1)
    with valkey.Valkey.from_url(queue.url) as raw:
        assert list(raw.scan_iter("*:inbox:*")) == []


def test_nothing_published(queue: Server, service: PlayedService) -> None:
    """Without a directory there is nothing to trust, so nothing is sent."""
    text = service.text
    queue.delete("{sealflow:test}:directory")
    with (
        QueueClient(queue.url, policy=service.published.policy) as client,
        pytest.raises(UnavailableError, match="see that the key broker runs"),
    ):
        ask(client, "a")
    service.publish_text(text)
    assert service.seen == []


def test_somebody_elses_policy(queue: Server, service: PlayedService) -> None:
    """A service that the policy does not accept gets nothing."""
    other = Published.create(now_ms())
    with (
        QueueClient(queue.url, policy=other.policy) as client,
        pytest.raises(EvidenceError),
    ):
        ask(client, "a")
    assert service.seen == []


@pytest.fixture
def mortal() -> Iterator[tuple[Server, PlayedService]]:
    """A queue that the test may kill, and the service on it."""
    own = Server()
    service = PlayedService(own)
    yield own, service
    service.close()
    own.remove()


def test_broker_away(mortal: tuple[Server, PlayedService]) -> None:
    """Without its broker a client says which one, not that the queue is full."""
    own, service = mortal
    with QueueClient(own.url, policy=service.published.policy) as client:
        client.verify()
        own.kill()
        with pytest.raises(
            UnavailableError, match=r"broker unix://.*; check that it runs"
        ) as caught:
            ask(client, "a", timeout_s=0.3)
        assert not isinstance(caught.value, QueueFullError)
        assert len(client) == 0


def test_broker_away_and_back(mortal: tuple[Server, PlayedService]) -> None:
    """What waits while the broker is away is answered when it is back; nothing comes twice."""
    own, service = mortal
    go = threading.Event()

    def late(service: PlayedService, delivery: Delivery) -> bytes | None:
        go.wait(30)
        return negated(service, delivery)

    service.script = [late]
    with QueueClient(own.url, policy=service.published.policy) as client:
        ask(client, "a", "bb", timeout_s=60)
        while not service.seen:
            time.sleep(0.01)
        time.sleep(1.1)  # The append-only file is written every second.
        own.kill()
        assert client.dequeue(timeout_s=0.3) == {}
        own.start()
        go.set()
        found = outcomes(client)
        assert found.keys() == {"a", "bb"}
        for name, outcome in found.items():
            check(name, outcome)


def test_broker_away_before_a_second_try(mortal: tuple[Server, PlayedService]) -> None:
    """A refused request that finds no broker to go to again ends with that, in its time."""
    own, service = mortal
    service.script = [refusing(RefusalCode.REPLAYED)]
    with QueueClient(own.url, policy=service.published.policy) as client:
        ask(client, "a", timeout_s=2)
        while not client._pending._postponed:
            client.dequeue(timeout_s=0.01)
        own.kill()
        with pytest.raises(UnavailableError, match=r"check that it runs|no reply in time"):
            client.query("a", timeout_s=30)
        assert len(client) == 0
