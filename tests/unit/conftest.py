"""A real queue, and a service behind it that the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.scripted_service import ScriptedService, negated
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def queue() -> Iterator[QueueServer]:
    """A running queue."""
    running = QueueServer()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def scripted(queue: QueueServer) -> Iterator[ScriptedService]:
    """A service with the model m."""
    running = ScriptedService(queue)
    yield running
    running.close()


@pytest.fixture
def service(scripted: ScriptedService) -> ScriptedService:
    """The same, which answers y = -x and has seen no request yet."""
    scripted.script = [negated]
    scripted.seen.clear()
    return scripted
