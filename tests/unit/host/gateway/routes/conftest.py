"""A gateway that has seen no directory yet, and the broker as other processes write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import valkey

from tests.support.cluster.gateway import RunningGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.queue.server import Server


@pytest.fixture
def raw(queue: Server) -> Iterator[Any]:
    """The broker as the other processes of the cluster write to it; empty in the end."""
    with valkey.Valkey.from_url(queue.url) as client:
        yield client
        client.flushall()


@pytest.fixture
def fresh(queue: Server, raw: Any) -> Iterator[RunningGateway]:
    """A gateway that has seen no directory yet."""
    with RunningGateway(queue) as running:
        yield running
