"""A real gateway between a client and a service that the test plays; peers that speak HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway import RunningGateway
from tests.support.network.http_peers import Peer, in_a_loop, in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.cluster.scripted_service import PlayedService
    from tests.support.network.http_peers import Exchange, Script
    from tests.support.queue.server import Server


@pytest.fixture(scope="module")
def gateway(queue: Server, played: PlayedService) -> Iterator[RunningGateway]:
    """A gateway on it, which sees the directory from its start."""
    with RunningGateway(queue) as running:
        yield running


@pytest.fixture(params=[in_threads, in_a_loop], ids=["threads", "loop"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Either transport."""
    chosen: Exchange = request.param
    return chosen


@pytest.fixture
def serve() -> Iterator[Callable[..., Peer]]:
    """Start servers that end with the test."""
    servers: list[Peer] = []

    def start(*scripts: Script) -> Peer:
        servers.append(Peer(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
