"""Host: the routes for liveness, readiness, the cluster's status and metrics."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
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
_QUERY_LIMIT_S: Final = 4.0
"""This is less than the 5 s after which Kubernetes probes of the chart time out."""
_DRAINING: Final = "the gateway is shutting down"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    directory: bool
    components: list[ComponentStatus]
    depth: QueueDepth


class HealthRoutes:
    """The routes `GET /v2/health/live`, `/v2/health/ready`, `/v1/status` and `/metrics`."""

    def __init__(
        self,
        config: GatewayConfig,
        records: GatewayRecords,
        directory: DirectoryCache,
        metrics: GatewayMetrics,
    ) -> None:
        """Set where to read from; `records` contain the statuses of all processes."""
        self._config = config
        self._records = records
        self._directory = directory
        self._metrics = metrics
        self._query: asyncio.Task[_Snapshot] | None = None
        self._query_start = 0.0
        self.draining = False

    async def live(self, request: Request) -> Response:
        """Return 200: the process is alive."""
        del request
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Return 200 if a request sent now can be served, else 503 with the reasons."""
        del request
        try:
            reasons = (
                [_DRAINING] if self.draining else self._unready_reasons(await self._snapshot())
            )
        except UnavailableError as error:
            reasons = [str(error)]
        if not reasons:
            return json_response({"ready": True})
        body = {"ready": False, "error": "; ".join(reasons)}
        return json_response(body, status=503, headers=(retry_after(1.0),))

    async def status(self, request: Request) -> Response:
        """Return readiness, queue depth and the statuses that all processes publish."""
        del request
        try:
            snapshot = await self._snapshot()
        except UnavailableError as error:
            body = {"ready": False, "error": str(error)}
            return json_response(body, status=503, headers=(retry_after(1.0),))
        reasons = self._unready_reasons(snapshot)
        status = ClusterStatus(
            deployment=self._config.deployment,
            ready=not reasons,
            simulated=self._directory.says_simulated,
            reasons=tuple(reasons),
            queue=QueueStatus(
                waiting=snapshot.depth.waiting,
                in_work=snapshot.depth.in_work,
                capacity=self._config.queue_capacity,
            ),
            components=tuple(snapshot.components),
        )
        return json_response(status.to_json())

    async def metrics(self, request: Request) -> Response:
        """Return the metrics of this process, and the number of models that are quarantined.

        The format is the Prometheus text format.
        """
        del request
        with suppress(UnavailableError):
            components = (await self._snapshot()).components
            found = {model.digest for each in components for model in each.quarantine or ()}
            self._metrics.quarantined.set(len(found))
        body, media_type = self._metrics.exposition()
        return Response(body=body, media_type=media_type.encode())

    async def close(self) -> None:
        """Cancel the query in progress."""
        if self._query is not None:
            self._query.cancel()
            await asyncio.gather(self._query, return_exceptions=True)

    def _unready_reasons(self, snapshot: _Snapshot) -> list[str]:
        if self.draining:
            return [_DRAINING]
        reasons = []
        if not snapshot.directory:
            reasons.append("no directory is published: check that the key broker host is running")
        if not any(map(_has_ready_worker, snapshot.components)):
            reasons.append("no worker is ready: see the engine's status and log")
        return reasons

    async def _snapshot(self) -> _Snapshot:
        """Return directory, statuses and queue depth, at most 1 s old; callers share one query.

        A caller waits at most until 4 s after the start of the query. So it fails before a probe
        times out; later callers fail at once while the query still hangs.

        Raises: UnavailableError.
        """
        now = asyncio.get_running_loop().time()
        query = self._query
        if query is None or (query.done() and now - self._query_start >= _FRESH_S):
            self._query = query = asyncio.create_task(self._fetch())
            self._query_start = now
        await asyncio.wait({query}, timeout=max(self._query_start + _QUERY_LIMIT_S - now, 0))
        if not query.done():
            raise UnavailableError(f"the broker does not answer within {_QUERY_LIMIT_S:g} s")
        return query.result()

    async def _fetch(self) -> _Snapshot:
        directory, statuses, depth = await asyncio.gather(
            self._directory.read(), self._records.statuses(), self._records.depth()
        )
        parsed = [_parse(text) for text in statuses]
        components = sorted(
            (each for each in parsed if each is not None),
            key=lambda each: (each.component, each.instance or ""),
        )
        return _Snapshot(directory=directory is not None, components=components, depth=depth)


def _parse(text: bytes) -> ComponentStatus | None:
    try:
        return ComponentStatus.from_json(json.loads(text))
    except (ValueError, RecursionError, MalformedError):
        return None


def _has_ready_worker(status: ComponentStatus) -> bool:
    return status.component == "engine" and any(each.ready for each in status.workers or ())
