"""A service of tomorrow behind today's gateway, and yesterday's release beside today's cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.owner.trust.policy_file import write_policy
from tests.compat.tomorrow_service import TomorrowService
from tests.support.cluster.gateway import GatewayProcess
from tests.support.queue.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def queue() -> Iterator[QueueServer]:
    """A running queue."""
    running = QueueServer()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def running(queue: QueueServer) -> Iterator[TomorrowService]:
    """A service of tomorrow."""
    service = TomorrowService(queue)
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(queue: QueueServer, running: TomorrowService) -> Iterator[GatewayProcess]:
    """Today's gateway, which carries its documents as bytes."""
    with GatewayProcess(queue, packages_dir=str(queue.folder / "packages")) as process:
        yield process


@pytest.fixture
def service(running: TomorrowService) -> TomorrowService:
    """The service, with documents that today's client can read."""
    running.publish()
    return running


@pytest.fixture
def policy(tmp_path: Path, running: TomorrowService) -> Path:
    """The policy file of its clients."""
    path = tmp_path / "client.toml"
    write_policy(path, running.policy)
    return path
