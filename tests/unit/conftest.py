"""A real queue, and a service behind it that the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.scripted_service import PlayedService, negated
from tests.support.queue.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def queue() -> Iterator[Server]:
    """A running queue."""
    running = Server()
    yield running
    running.remove()


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
