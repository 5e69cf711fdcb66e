"""What a client reads of a gateway is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import (
    UnavailableError,
)
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import Client
from sealflow.owner.http import gateway_api
from tests.support.cluster.scripted_service import KEYS, ScriptedService

if TYPE_CHECKING:
    from tests.support.cluster.gateway import GatewayProcess
    from tests.support.queue.server import QueueServer


def test_log_without_end(
    gateway: GatewayProcess,
    service: ScriptedService,
    queue: QueueServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that serves records forever is not read forever."""
    monkeypatch.setattr(gateway_api, "MAX_LOG_RECORDS", 50)
    streams = RedisStreams(queue.url)
    script = "for n = 0, 59 do redis.call('XADD', KEYS[1], n .. '-1', 'e', 'x') end return 1"
    streams.run_script(script, [KEYS.log], [])
    with Client(gateway.url, policy=service.published.policy) as client:
        with pytest.raises(UnavailableError, match="has no end"):
            client.fetch_log()
        monkeypatch.setattr(gateway_api, "MAX_LOG_RECORDS", 60)
        assert len(client.fetch_log()) == 60
    streams.delete(KEYS.log)
    streams.close()
