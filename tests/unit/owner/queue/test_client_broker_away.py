"""The client of the queue while its broker is away."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import QueueFullError, RefusalCode, UnavailableError
from sealflow.owner import QueueClient
from tests.support.cluster.scripted_service import ScriptedService, negated_after, refusing
from tests.support.queue.requests import ask, check, outcomes
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mortal() -> Iterator[tuple[QueueServer, ScriptedService]]:
    """A queue that the test may kill, and the service on it."""
    own = QueueServer()
    service = ScriptedService(own)
    yield own, service
    service.close()
    own.remove()


def test_broker_away(mortal: tuple[QueueServer, ScriptedService]) -> None:
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


def test_broker_away_and_back(mortal: tuple[QueueServer, ScriptedService]) -> None:
    """What waits while the broker is away is answered when it is back; nothing comes twice."""
    own, service = mortal
    go = threading.Event()
    service.script = [negated_after(go)]
    with QueueClient(own.url, policy=service.published.policy) as client:
        ask(client, "a", "bb", timeout_s=60)
        while not service.seen:
            time.sleep(0.01)
        own.wait_written()
        own.kill()
        assert client.dequeue(timeout_s=0.3) == {}
        own.start()
        go.set()
        found = outcomes(client)
        assert found.keys() == {"a", "bb"}
        for name, outcome in found.items():
            check(name, outcome)


def test_broker_away_before_a_second_try(mortal: tuple[QueueServer, ScriptedService]) -> None:
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
