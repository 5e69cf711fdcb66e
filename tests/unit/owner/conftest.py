"""A real gateway between a client and a service that the test plays; peers that speak HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway import GatewayProcess
from tests.support.network.http_peers import ScriptedServer, send_in_loop, send_in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.cluster.scripted_service import ScriptedService
    from tests.support.network.http_peers import Exchange, Script
    from tests.support.queue.server import QueueServer


@pytest.fixture(scope="module")
def gateway(queue: QueueServer, scripted: ScriptedService) -> Iterator[GatewayProcess]:
    """A gateway on it, which sees the directory from its start."""
    with GatewayProcess(queue) as running:
        yield running


@pytest.fixture(params=[send_in_threads, send_in_loop], ids=["threads", "loop"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Either transport."""
    chosen: Exchange = request.param
    return chosen


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start servers that end with the test."""
    servers: list[ScriptedServer] = []

    def start(*scripts: Script) -> ScriptedServer:
        servers.append(ScriptedServer(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
