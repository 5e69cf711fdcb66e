"""A real broker of a host that means harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.host.broker.embedded_server import wheel_server
from sealflow.host.broker.redis_streams import RedisStreams
from tests.support.enclaves.hosted_enclaves import TwoEnclaves
from tests.support.queue.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[TwoEnclaves]:
    """A key broker process; workers are started by the tests."""
    with TwoEnclaves(settings={"replay_capacity": 50}) as running:
        yield running


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


@pytest.fixture
def raw(server: Server) -> Iterator[Any]:
    """The broker as its operator has it."""
    with valkey.Valkey.from_url(server.url) as client:
        yield client
