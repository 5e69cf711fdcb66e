"""A real broker of a host that means harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.host.broker.embedded_server import wheel_server
from sealflow.host.broker.redis_streams import RedisStreams
from tests.support.enclaves.hosted_enclaves import HostedEnclaves
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def long() -> None:
    """For tests that take seconds, which `make mutate` leaves out."""


@pytest.fixture
def site() -> Iterator[HostedEnclaves]:
    """A key broker process; workers are started by the tests."""
    with HostedEnclaves(settings={"replay_capacity": 50}) as running:
        yield running


@pytest.fixture
def server() -> Iterator[QueueServer]:
    """A Valkey server."""
    running = QueueServer(wheel_server())
    yield running
    running.remove()


@pytest.fixture
def streams(server: QueueServer) -> Iterator[RedisStreams]:
    """The queue on it."""
    found = RedisStreams(server.url)
    yield found
    found.close()


@pytest.fixture
def raw(server: QueueServer) -> Iterator[Any]:
    """The broker as its operator has it."""
    with valkey.Valkey.from_url(server.url) as client:
        yield client
