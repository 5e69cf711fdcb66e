"""Host: is it alive, can it serve, and what does every process of the cluster say of itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.host.gateway.http import Response, json_response, retry_after
from sealflow.wire.status import ClusterStatus, ComponentStatus, QueueStatus

if TYPE_CHECKING:
    from sealflow.host.broker.gateway_records import GatewayRecords
    from sealflow.host.broker.redis_streams import QueueDepth
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.http import Request
    from sealflow.host.gateway.metrics import GatewayMetrics
    from sealflow.host.gateway.routes.keybroker import DirectoryCache

_FRESH_S: Final = 1.0
_PATIENCE_S: Final = 4.0
"""Less than the 5 s that probes wait."""
_DRAINING: Final = "the gateway is shutting down"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    directory: bool
    components: list[ComponentStatus]
    depth: QueueDepth


class HealthRoutes:
    """`GET /v2/health/live`, `/v2/health/ready`, `/v1/status` and `/metrics`."""

    def __init__(
        self,
        config: GatewayConfig,
        records: GatewayRecords,
        directory: DirectoryCache,
        metrics: GatewayMetrics,
    ) -> None:
        """Ask `records` what the other processes say."""
        self._config = config
        self._records = records
        self._directory = directory
        self._metrics = metrics
        self._looking: asyncio.Task[_Seen] | None = None
        self._since = 0.0
        self.draining = False

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        del request
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether a request sent now would be served."""
        del request
        try:
            reasons = [_DRAINING] if self.draining else self._missing(await self._look())
        except UnavailableError as error:
            reasons = [str(error)]
        if not reasons:
            return json_response({"ready": True})
        body = {"ready": False, "error": "; ".join(reasons)}
        return json_response(body, status=503, headers=(retry_after(1.0),))

    async def status(self, request: Request) -> Response:
        """Gather what the processes of the cluster publish, the queue, and readiness."""
        del request
        try:
            seen = await self._look()
        except UnavailableError as error:
            body = {"ready": False, "error": str(error)}
            return json_response(body, status=503, headers=(retry_after(1.0),))
        reasons = self._missing(seen)
        status = ClusterStatus(
            deployment=self._config.deployment,
            ready=not reasons,
            simulated=self._directory.says_simulated,
            reasons=tuple(reasons),
            queue=QueueStatus(
                waiting=seen.depth.waiting,
                in_work=seen.depth.in_work,
                capacity=self._config.queue_capacity,
            ),
            components=tuple(seen.components),
        )
        return json_response(status.to_json())

    async def metrics(self, request: Request) -> Response:
        """Return the figures of this process for Prometheus."""
        del request
        body, media_type = self._metrics.exposition()
        return Response(body=body, media_type=media_type.encode())

    async def close(self) -> None:
        """Ask no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _missing(self, seen: _Seen) -> list[str]:
        if self.draining:
            return [_DRAINING]
        reasons = []
        if not seen.directory:
            reasons.append("no directory is published: see that the control process runs")
        if not any(map(_has_ready_worker, seen.components)):
            reasons.append("no worker is ready: see the engine's status and log")
        return reasons

    async def _look(self) -> _Seen:
        """Return what the broker says, at most a second old; callers in that second share it.

        A broker may be slow, and is waited for; one that hangs is found out before a probe gives
        up, and by the next probe at once.

        Raises: UnavailableError.
        """
        now = asyncio.get_running_loop().time()
        looking = self._looking
        if looking is None or (looking.done() and now - self._since >= _FRESH_S):
            self._looking = looking = asyncio.create_task(self._ask())
            self._since = now
        await asyncio.wait({looking}, timeout=max(self._since + _PATIENCE_S - now, 0))
        if not looking.done():
            raise UnavailableError(f"the broker does not answer within {_PATIENCE_S:g} s")
        return looking.result()

    async def _ask(self) -> _Seen:
        directory, statuses, depth = await asyncio.gather(
            self._directory.read(), self._records.statuses(), self._records.depth()
        )
        parsed = [_parse(text) for text in statuses]
        components = sorted(
            (each for each in parsed if each is not None),
            key=lambda each: (each.component, each.instance or ""),
        )
        return _Seen(directory=directory is not None, components=components, depth=depth)


def _parse(text: bytes) -> ComponentStatus | None:
    try:
        return ComponentStatus.from_json(json.loads(text))
    except (ValueError, RecursionError, MalformedError):
        return None


def _has_ready_worker(status: ComponentStatus) -> bool:
    return status.component == "engine" and any(each.ready for each in status.workers or ())
