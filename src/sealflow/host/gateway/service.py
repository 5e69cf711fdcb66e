"""Host: create, start and close the parts of a gateway process."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import UnavailableError
from sealflow.host.broker.gateway_records import GatewayRecords
from sealflow.host.broker.submitter import Submitter
from sealflow.host.gateway.app import ENVELOPES, GatewayApp, Route
from sealflow.host.gateway.limits.held_bytes import HeldBytes
from sealflow.host.gateway.limits.peers import Peers
from sealflow.host.gateway.metrics import GatewayMetrics
from sealflow.host.gateway.passports import (
    COSIGNATURES_READ_S,
    READ_S,
    CosignatureSources,
    PassportSources,
)
from sealflow.host.gateway.replies import PendingReplies
from sealflow.host.gateway.routes.envelopes import EnvelopeRoutes
from sealflow.host.gateway.routes.health import HealthRoutes
from sealflow.host.gateway.routes.keybroker import DirectoryCache, KeyBrokerRoutes
from sealflow.host.gateway.routes.packages import PackageRoutes, PackageStore
from sealflow.host.process_status import cpu_s, rss_bytes
from sealflow.wire.status import ComponentStatus

if TYPE_CHECKING:
    from sealflow.host.gateway.config import GatewayConfig

_log = structlog.get_logger()

STATUS_S: Final = 2.5
STATUS_TTL_MS: Final = 10_000


class GatewayService:
    """The parts of a gateway process. Use it in one event loop only."""

    def __init__(self, config: GatewayConfig, *, url: str) -> None:
        """Create all parts; `url` is the address that the status names.

        Raises: ConfigError.
        """
        self.url = url
        self._config = config
        self._instance = f"gateway-{secrets.token_hex(8)}"
        self.held = HeldBytes(config.max_held_bytes, config.peer_share)
        self._submitter = Submitter(
            config.broker,
            config.deployment,
            self._instance,
            min_replicas=config.min_replicas,
            room=self.held.holding("").room,
        )
        self._records = GatewayRecords(
            config.broker, config.deployment, min_replicas=config.min_replicas
        )
        self.peers = Peers(
            trusted=config.trusted_proxies,
            share=config.peer_share,
            max_connections=config.max_connections,
            max_waiting=config.queue_capacity,
            requests_s=config.peer_requests_s,
        )
        self._pending = PendingReplies()
        metrics = GatewayMetrics()
        metrics.waiting.set_function(lambda: len(self._pending))
        metrics.held.set_function(lambda: self.held.total)
        self._directory = directory = DirectoryCache(self._records)
        cross_origin = config.cross_origin
        self._envelopes = EnvelopeRoutes(
            config,
            self._submitter,
            self._records,
            self._pending,
            cross_origin,
            directory,
        )
        self._passports = PassportSources(config.passports, config.passports_ca_file)
        self._witnesses = CosignatureSources(config.witnesses, config.witnesses_ca_file)
        self._health = HealthRoutes(config, self._records, directory, metrics)
        keybroker = KeyBrokerRoutes(
            config, self._submitter, self._records, directory, self._pending
        )
        folder = config.packages_dir
        store = None if folder is None else PackageStore(Path(folder))
        packages = PackageRoutes(config, store, directory)
        self.gateway = GatewayApp(
            (
                Route("POST", ENVELOPES, self._envelopes.post, cross_origin=True),
                Route("GET", f"{ENVELOPES}/{{request_id}}", self._envelopes.get, cross_origin=True),
                Route("GET", "/v1/directory", keybroker.directory, cross_origin=True),
                Route("POST", "/v1/control", keybroker.control),
                Route("GET", "/v1/log/{number}", keybroker.log, cross_origin=True),
                Route("PUT", "/v1/packages/{digest}", packages.put),
                Route("GET", "/v1/packages", packages.list),
                Route("GET", "/v1/status", self._health.status),
                Route("GET", "/v2/health/live", self._health.live),
                Route("GET", "/v2/health/ready", self._health.ready),
                Route("GET", "/metrics", self._health.metrics),
            ),
            metrics,
            directory.simulation_headers,
            cross_origin,
            log_requests=config.log_requests,
            least_rate=config.least_rate,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect to the queue, and start to publish the status and to read passports."""
        await self._submitter.start()
        self._tasks.append(asyncio.create_task(self._report_all()))
        if self._passports:
            self._tasks.append(asyncio.create_task(self._read_passports()))
        if self._witnesses:
            self._tasks.append(asyncio.create_task(self._read_cosignatures()))

    def drain(self) -> None:
        """Report not ready, and fail the requests that still wait after `drain_s`.

        Their response is 503.
        """
        if not self._health.draining:
            self._health.draining = True
            late = UnavailableError("the gateway is shutting down")
            loop = asyncio.get_running_loop()
            loop.call_later(self._config.drain_s, self._pending.fail_all, late)

    async def close(self) -> None:
        """Withdraw the status and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._envelopes.close()
        await self._health.close()
        try:
            await self._records.withdraw_status("gateway", self._instance)
        except UnavailableError:
            _log.info("the broker is unavailable")
        await self._submitter.close()
        await self._records.close()

    async def _read_passports(self) -> None:
        while True:
            self._directory.passports = await asyncio.to_thread(self._passports.read)
            await asyncio.sleep(READ_S)

    async def _read_cosignatures(self) -> None:
        while True:
            self._directory.cosignatures = await asyncio.to_thread(self._witnesses.read)
            await asyncio.sleep(COSIGNATURES_READ_S)

    async def _report_all(self) -> None:
        pid = os.getpid()
        while True:
            status = ComponentStatus(
                component="gateway",
                instance=self._instance,
                url=self.url,
                pid=pid,
                cpu_s=round(cpu_s(pid), 2),
                rss_bytes=rss_bytes(pid),
                waiting=len(self._pending),
                simulated=self._directory.says_simulated,
            )
            try:
                await self._directory.read()
                await self._records.publish_status(
                    "gateway", self._instance, json.dumps(status.to_json()).encode(), STATUS_TTL_MS
                )
            except UnavailableError as error:
                _log.warning("the broker is unavailable", error=str(error))
            await asyncio.sleep(STATUS_S)
