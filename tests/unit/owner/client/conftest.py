"""Either client of a gateway, which trusts the played service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway_clients import Asker, InALoop, InThreads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.gateway import RunningGateway
    from tests.support.cluster.scripted_service import (
        PlayedService,
    )


@pytest.fixture(params=[InThreads, InALoop], ids=["threads", "loop"])
def asker(
    request: pytest.FixtureRequest, gateway: RunningGateway, service: PlayedService
) -> Iterator[Asker]:
    """Either client, which trusts the service."""
    made: Asker = request.param(gateway.url, service.published.policy)
    yield made
    made.close()
