"""Engines on a real queue whose workers the test plays, and somebody who sends requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealflow.owner.queue.transport import StreamTransport
from sealflow.streams.address import BrokerAddress
from tests.support.cluster.scripted_worker import KEYS, Engine
from tests.support.queue.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., "Engine"]


@pytest.fixture(scope="module")
def queue() -> Iterator[Server]:
    """A running queue."""
    running = Server()
    yield running
    running.remove()


@pytest.fixture
def start(tmp_path: Path, queue: Server) -> Iterator[Start]:
    """Start engines that end with the test."""
    engines: list[Engine] = []

    def run(player: str, **settings: Any) -> Engine:
        engines.append(Engine(tmp_path / str(len(engines)), queue, player, **settings))
        return engines[-1]

    yield run
    for engine in engines:
        engine.process.kill()
        engine.process.wait()
    queue.delete(KEYS.requests)
    queue.delete(KEYS.control)


@pytest.fixture
def owner(queue: Server) -> Iterator[StreamTransport]:
    """Somebody who sends requests."""
    transport = StreamTransport(BrokerAddress(url=queue.url), "test")
    yield transport
    transport.close()
