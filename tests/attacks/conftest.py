"""A real broker of a host that means harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.host.broker.embedded import wheel_server
from sealflow.host.broker.redis_streams import RedisStreams
from tests.sim.queue_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    """A Valkey server."""
    running = Server(wheel_server())
    yield running
    running.remove()


@pytest.fixture
def streams(server: Server) -> Iterator[RedisStreams]:
    """The queue on it."""
    found = RedisStreams(server.url)
    yield found
    found.close()
