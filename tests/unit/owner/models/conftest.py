"""An owner's client of a gateway, and a key broker that the test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.owner import Client
from sealflow.owner.models import publish, revoke
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.scripted_keybroker import ScriptedKeyBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.scripted_service import ScriptedService
    from tests.support.queue.server import QueueServer


@pytest.fixture(scope="module")
def gateway(queue: QueueServer, scripted: ScriptedService) -> Iterator[GatewayProcess]:
    """A gateway that stores packages."""
    with GatewayProcess(queue, packages_dir=str(queue.folder / "packages")) as running:
        yield running


@pytest.fixture
def keybroker(queue: QueueServer, service: ScriptedService) -> Iterator[ScriptedKeyBroker]:
    """The key broker."""
    running = ScriptedKeyBroker(queue)
    yield running
    running.close()


@pytest.fixture
def client(gateway: GatewayProcess, service: ScriptedService) -> Iterator[Client]:
    """An owner's client."""
    with Client(gateway.url, policy=service.published.policy) as made:
        yield made


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (publish, revoke):
        monkeypatch.setattr(module, "PUBLICATION_TIMEOUT_S", 0.3)
