"""A client of the queue that trusts the scripted service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.owner import QueueClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.scripted_service import (
        ScriptedService,
    )
    from tests.support.queue.server import QueueServer


@pytest.fixture
def client(queue: QueueServer, service: ScriptedService) -> Iterator[QueueClient]:
    """A client that trusts the service."""
    with QueueClient(queue.url, policy=service.published.policy) as made:
        yield made
