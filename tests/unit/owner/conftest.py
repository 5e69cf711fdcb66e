"""A real gateway between a client and the service that the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.gateway import RunningGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sim.queue_server import Server
    from tests.sim.service import PlayedService


@pytest.fixture(scope="module")
def gateway(queue: Server, played: PlayedService) -> Iterator[RunningGateway]:
    """A gateway on it, which sees the directory from its start."""
    with RunningGateway(queue) as running:
        yield running
