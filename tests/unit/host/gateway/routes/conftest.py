"""A gateway that has seen no directory yet, and the broker as other processes write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import valkey

from tests.support.cluster.gateway import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.queue.server import QueueServer


@pytest.fixture
def raw(queue: QueueServer) -> Iterator[Any]:
    """The broker as the other processes of the cluster write to it; empty in the end."""
    with valkey.Valkey.from_url(queue.url) as client:
        yield client
        client.flushall()


@pytest.fixture
def fresh(queue: QueueServer, raw: Any) -> Iterator[GatewayProcess]:
    """A gateway that has seen no directory yet."""
    with GatewayProcess(queue) as running:
        yield running
