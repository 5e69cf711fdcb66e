"""A service that the test plays, behind a real queue and a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.gateway import RunningGateway
from tests.sim.queue_server import Server
from tests.sim.service import PlayedService, negated

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def queue() -> Iterator[Server]:
    """A running queue."""
    running = Server()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def gateway(queue: Server, played: PlayedService) -> Iterator[RunningGateway]:
    """A gateway on it, which sees the directory from its start."""
    with RunningGateway(queue) as running:
        yield running


@pytest.fixture(scope="module")
def played(queue: Server) -> Iterator[PlayedService]:
    """A service with the model m."""
    running = PlayedService(queue)
    yield running
    running.close()


@pytest.fixture
def service(played: PlayedService) -> PlayedService:
    """The same, which answers y = -x and has seen no request yet."""
    played.script = [negated]
    played.seen.clear()
    return played
