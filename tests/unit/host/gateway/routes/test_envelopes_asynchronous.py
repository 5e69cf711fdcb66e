"""Asynchronous requests: submitted once, fetched as often as you like from any gateway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusalCode
from sealflow.wire.envelope import encode_refusal
from tests.support.cluster.gateway import (
    GatewayProcess,
    ScriptedEngine,
    open_answer,
    read_refusal,
    seal_call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    import httpx

    from tests.support.queue.server import QueueServer

ASYNC = {"prefer": "respond-async"}
TTL_S = 1.5


@pytest.fixture(scope="module")
def second(queue: QueueServer) -> Iterator[GatewayProcess]:
    """Another gateway of the same deployment, which keeps replies for a short time."""
    with GatewayProcess(queue, inbox_ttl_s=TTL_S, max_wait_s=0.4) as running:
        yield running


def fetch(gateway: GatewayProcess, request_id: str, query: str = "") -> httpx.Response:
    """Ask for a reply."""
    return gateway.http.get(f"/v1/envelopes/{request_id}{query}")


def test_submit_and_fetch(
    gateway: GatewayProcess, second: GatewayProcess, engine: ScriptedEngine
) -> None:
    """202 says where the reply will be; it is pending, then there, at every gateway, repeatedly."""
    asked = seal_call()
    accepted = gateway.post(asked.envelope, **ASYNC)
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert int(accepted.headers["retry-after"]) >= 1
    location = f"/v1/envelopes/{asked.request_id}"
    assert accepted.headers["location"] == location
    wanted = {"request_id": asked.request_id, "state": "pending", "location": location}
    assert accepted.json() == wanted
    pending = fetch(gateway, asked.request_id)
    assert (pending.status_code, pending.json()) == (202, wanted)
    engine.serve()
    first = fetch(gateway, asked.request_id, "?wait=10")
    again = fetch(second, asked.request_id)
    assert open_answer(asked, first) == b"the answer"
    assert again.content == first.content


def test_waiting_for_it(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """Several clients can wait for one reply, and for others, over whichever connection."""
    one, other = seal_call(), seal_call()
    for each in (one, other):
        assert gateway.post(each.envelope, **ASYNC).status_code == 202
    waiting = [pool.submit(fetch, gateway, one.request_id, "?wait=20") for _ in range(3)]
    late = pool.submit(fetch, gateway, other.request_id, "?wait=20")
    engine.serve()
    replies = {answer.result().content for answer in waiting}
    assert len(replies) == 1
    engine.serve()
    assert open_answer(other, late.result()) == b"the answer"


def test_waits_are_bounded(
    gateway: GatewayProcess, second: GatewayProcess, engine: ScriptedEngine
) -> None:
    """Nobody waits longer than this gateway allows: the answer is then that it is pending."""
    asked = seal_call()
    gateway.post(asked.envelope, **ASYNC)
    assert fetch(second, asked.request_id, "?wait=3600").status_code == 202
    assert fetch(second, asked.request_id, "?wait=x").status_code == 400


def test_sent_twice(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """An envelope that a client sends again, not knowing whether it came, is queued once."""
    asked = seal_call()
    statuses = [gateway.post(asked.envelope, **ASYNC).status_code for _ in range(2)]
    assert statuses == [202, 202]
    assert engine.waiting() == 1


def test_full_queue(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """The bound holds for asynchronous requests too; what was not queued is not known."""
    for _ in range(3):
        assert gateway.post(seal_call().envelope, **ASYNC).status_code == 202
    last = seal_call()
    full = gateway.post(last.envelope, **ASYNC)
    assert (full.status_code, read_refusal(full)) == (429, RefusalCode.OVERLOADED)
    assert fetch(gateway, last.request_id).status_code == 404


def test_past_its_time(second: GatewayProcess, engine: ScriptedEngine) -> None:
    """A reply that nobody fetched in time is gone, and the answer says what to do."""
    asked = seal_call()
    second.post(asked.envelope, **ASYNC)
    assert fetch(second, asked.request_id).status_code == 202
    until = time.monotonic() + 20
    while (answer := fetch(second, asked.request_id)).status_code == 202:
        assert time.monotonic() < until
    assert answer.status_code == 404
    assert "send a new request" in answer.json()["error"]


def test_expired_before_it_is_sent(gateway: GatewayProcess, engine: ScriptedEngine) -> None:
    """A request whose deadline has passed is not queued for later, either."""
    response = gateway.post(seal_call(timeout_s=-1).envelope, **ASYNC)
    assert (response.status_code, read_refusal(response)) == (504, RefusalCode.EXPIRED)
    assert engine.waiting() == 0


@pytest.mark.parametrize("genuine_first", [True, False])
def test_refusal_beside_the_reply(
    gateway: GatewayProcess, engine: ScriptedEngine, *, genuine_first: bool
) -> None:
    """A redelivered request has two answers: the sealed one is given, whichever came first."""
    asked = seal_call()
    gateway.post(asked.envelope, **ASYNC)
    delivery = engine.take()
    sealed = engine.sealed(delivery.envelope)
    refused = encode_refusal(RefusalCode.REPLAYED, asked.request_id)
    for reply in (sealed, refused) if genuine_first else (refused, sealed):
        engine.answer(delivery, reply)
    assert open_answer(asked, fetch(gateway, asked.request_id)) == b"the answer"


@pytest.mark.parametrize("name", ["zz", "", "AB" * 16, "ab" * 17, "%2e%2e", "ab" * 15 + "%0a%0d"])
def test_names_of_no_request(gateway: GatewayProcess, name: str) -> None:
    """What is no request id is refused without asking the queue."""
    answer = fetch(gateway, name)
    assert answer.status_code == 400
    assert "envelope's header" in answer.json()["error"]


def test_unknown_request(gateway: GatewayProcess) -> None:
    """An id that nobody submitted is 404, at once also for whoever would wait."""
    assert fetch(gateway, "ab" * 16, "?wait=20").status_code == 404


def test_synchronous_requests_have_no_inbox(
    gateway: GatewayProcess, engine: ScriptedEngine, pool: ThreadPoolExecutor
) -> None:
    """The reply of a request that somebody waited for cannot be fetched by others."""
    asked = seal_call()
    answer = pool.submit(gateway.post, asked.envelope)
    engine.serve()
    assert answer.result().status_code == 200
    assert fetch(gateway, asked.request_id).status_code == 404
