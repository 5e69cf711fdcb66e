"""The client of the queue: each id gets its own outcome, and waits for it as long as is said."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import valkey

from sealflow.errors import DeadlineError, InvalidInputError, ModelError
from sealflow.owner import InputQueue, OutputQueue, QueueClient
from tests.support.cluster.gateway_clients import ROW
from tests.support.cluster.scripted_service import (
    ScriptedService,
    failing,
    negated,
    negated_after,
    silent,
)
from tests.support.queue.requests import ask, check, outcomes

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer


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


def test_not_there_yet(client: QueueClient, service: ScriptedService) -> None:
    """A query that comes too early gives nothing, and takes nothing away."""
    go = threading.Event()
    service.script = [negated_after(go)]
    ask(client, "a")
    assert client.query("a") is None
    assert client.query("a", timeout_s=0.1) is None
    assert client.dequeue(timeout_s=0.1) == {}
    go.set()
    check("a", client.query("a", timeout_s=20))


def test_errors_of_one_request(client: QueueClient, service: ScriptedService) -> None:
    """What a worker says of one request ends that one alone; `query` raises it."""
    service.script = [failing("invalid_input", "no good"), negated, failing("crash", "it fell")]
    ask(client, "a", "bb", "ccc")
    with pytest.raises(InvalidInputError, match="no good"):
        client.query("a", timeout_s=20)
    found = outcomes(client)
    check("bb", found["bb"])
    assert isinstance(found["ccc"], ModelError)


def test_silence(client: QueueClient, service: ScriptedService) -> None:
    """A request that nobody answers ends with its time, and says what to do."""
    service.script = [silent]
    ask(client, "a", timeout_s=0.3)
    with pytest.raises(DeadlineError, match="raise timeout_s, or see sealflow status"):
        client.query("a", timeout_s=20)
    assert len(client) == 0


def test_inbox_is_left_empty(queue: QueueServer, service: ScriptedService) -> None:
    """A client that is closed leaves no inbox behind, also with answers that nobody took."""
    with QueueClient(queue.url, policy=service.published.policy) as client:
        ask(client, "a", "bb")
        check("a", client.query("a", timeout_s=20))
        while client:
            client.dequeue(timeout_s=1)
    with valkey.Valkey.from_url(queue.url) as raw:
        assert list(raw.scan_iter("*:inbox:*")) == []
