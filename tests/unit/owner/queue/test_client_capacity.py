"""The client of the queue and a queue that is full."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import QueueFullError
from sealflow.owner import QueueClient
from tests.support.cluster.scripted_service import ScriptedService, negated_after
from tests.support.queue.requests import ask, check, outcomes

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer


def test_full_queue(queue: QueueServer, service: ScriptedService) -> None:
    """Whoever finds the queue full until the time is over is told; what was queued is answered."""
    go = threading.Event()
    service.script = [negated_after(go)]
    with QueueClient(queue.url, policy=service.published.policy, capacity=2) as client:
        with pytest.raises(QueueFullError, match="take results, or add workers"):
            ask(client, "a", "bb", "ccc", timeout_s=0.3)
        assert len(client) == 2
        go.set()
        assert outcomes(client).keys() == {"a", "bb"}
        ask(client, "ccc")
        check("ccc", client.query("ccc", timeout_s=20))


def test_room_comes_by_itself(queue: QueueServer, service: ScriptedService) -> None:
    """Many more requests than the queue holds go through it, while answers are taken."""
    with QueueClient(queue.url, policy=service.published.policy, capacity=3) as client:
        names = ["x" * length for length in range(1, 41)]
        ask(client, *names)
        found = outcomes(client)
        assert found.keys() == set(names)
        for name, outcome in found.items():
            check(name, outcome)
