"""A gateway on a queue, for all tests of one file; the test plays engine and key broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway import GatewayProcess, ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.queue.server import QueueServer


@pytest.fixture(scope="module")
def gateway(queue: QueueServer) -> Iterator[GatewayProcess]:
    """A gateway whose bounds are small."""
    with GatewayProcess(
        queue,
        packages_dir=str(queue.folder / "packages"),
        max_body_bytes=2**20,
        max_package_bytes=2**20,
        queue_capacity=3,
        control_capacity=2,
        control_wait_s=0.5,
        max_wait_s=20,
        body_timeout_s=1,
        header_timeout_s=1,
    ) as running:
        yield running


@pytest.fixture
def engine(queue: QueueServer) -> Iterator[ScriptedEngine]:
    """What takes requests off the queue; what it leaves there is deleted."""
    scripted = ScriptedEngine(queue)
    yield scripted
    scripted.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for clients that wait."""
    with ThreadPoolExecutor(8) as threads:
        yield threads
