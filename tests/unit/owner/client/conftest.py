"""Either client of a gateway, which trusts the scripted service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway_clients import AsyncioClient, GatewayClient, ThreadedClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.gateway import GatewayProcess
    from tests.support.cluster.scripted_service import (
        ScriptedService,
    )


@pytest.fixture(params=[ThreadedClient, AsyncioClient], ids=["threads", "loop"])
def asker(
    request: pytest.FixtureRequest, gateway: GatewayProcess, service: ScriptedService
) -> Iterator[GatewayClient]:
    """Either client, which trusts the service."""
    made: GatewayClient = request.param(gateway.url, service.published.policy)
    yield made
    made.close()
