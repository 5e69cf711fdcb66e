"""Engines on a real queue whose workers the test plays, and somebody who sends requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from tests.support.cluster.scripted_worker import KEYS, EngineProcess
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster.scripted_worker import StartEngine


@pytest.fixture(scope="module")
def queue() -> Iterator[QueueServer]:
    """A running queue."""
    running = QueueServer()
    yield running
    running.remove()


@pytest.fixture
def start(tmp_path: Path, queue: QueueServer) -> Iterator[StartEngine]:
    """Start engines that end with the test."""
    engines: list[EngineProcess] = []

    def run(player: str, **settings: Any) -> EngineProcess:
        engines.append(EngineProcess(tmp_path / str(len(engines)), queue, player, **settings))
        return engines[-1]

    yield run
    for engine in engines:
        engine.process.kill()
        engine.process.wait()
    queue.delete(KEYS.requests)
    queue.delete(KEYS.control)


@pytest.fixture
def owner(queue: QueueServer) -> Iterator[StreamTransport]:
    """Somebody who sends requests."""
    transport = StreamTransport(BrokerAddress(url=queue.url), "test")
    yield transport
    transport.close()
