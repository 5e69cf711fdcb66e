"""Host: is it alive, can it serve, and what does every process of the cluster say of itself."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import UnavailableError
from sealflow.host.gateway.response import Response, json_response, retry_after

if TYPE_CHECKING:
    from sealflow.host.broker.records import Records
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.figures import Figures
    from sealflow.host.gateway.request import Request
    from sealflow.host.gateway.routes.keybroker import DirectoryCache

_FRESH_S: Final = 1.0


class HealthRoutes:
    """`GET /v2/health/live`, `/v2/health/ready`, `/v1/status` and `/metrics`."""

    def __init__(
        self, config: GatewayConfig, records: Records, directory: DirectoryCache, figures: Figures
    ) -> None:
        """Ask `records` what the other processes say."""
        self._config = config
        self._records = records
        self._directory = directory
        self._figures = figures
        self._components: list[dict[str, Any]] = []
        self._read_at = -_FRESH_S
        self.draining = False

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        del request
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether a request sent now would be served."""
        del request
        reasons = await self._missing()
        if not reasons:
            return json_response({"ready": True})
        body = {"ready": False, "error": "; ".join(reasons)}
        return json_response(body, status=503, headers=(retry_after(1.0),))

    async def status(self, request: Request) -> Response:
        """Gather what the processes of the cluster publish, the queue, and readiness."""
        del request
        try:
            components = await self._read_components()
            depth = await self._records.depth()
        except UnavailableError as error:
            body = {"ready": False, "error": str(error)}
            return json_response(body, status=503, headers=(retry_after(1.0),))
        reasons = await self._missing()
        return json_response(
            {
                "deployment": self._config.deployment,
                "ready": not reasons,
                "simulated": self._directory.says_simulated,
                "reasons": reasons,
                "queue": {
                    "waiting": depth.waiting,
                    "in_work": depth.in_work,
                    "capacity": self._config.queue_capacity,
                },
                "components": components,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """Give the figures of this process for Prometheus."""
        del request
        body, media_type = self._figures.exposition()
        return Response(body=body, media_type=media_type.encode())

    async def _missing(self) -> list[str]:
        if self.draining:
            return ["the gateway is shutting down"]
        reasons = []
        try:
            if await self._directory.read() is None:
                reasons.append("no directory is published: see that the control process runs")
            components = await self._read_components()
        except UnavailableError as error:
            return [*reasons, str(error)]
        if not any(_ready_workers(each) for each in components):
            reasons.append("no worker is ready: see the engine's status and log")
        return reasons

    async def _read_components(self) -> list[dict[str, Any]]:
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= _FRESH_S:
            parsed = [_parse(text) for text in await self._records.statuses()]
            self._components = sorted(
                (each for each in parsed if each is not None),
                key=lambda each: (str(each.get("component")), str(each.get("instance"))),
            )
            self._read_at = now
        return self._components


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _ready_workers(component: dict[str, Any]) -> int:
    workers = component.get("workers")
    if component.get("component") != "engine" or not isinstance(workers, list):
        return 0
    return sum(1 for each in workers if isinstance(each, dict) and each.get("ready") is True)
