"""Host: the gateway's metrics for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class GatewayMetrics:
    """The gateway's metrics: counts, latencies of envelopes, and what is held."""

    def __init__(self) -> None:
        """Create all metrics at zero, in a registry of their own."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "sealflow_gateway_requests",
            "HTTP requests by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "sealflow_gateway_request_seconds",
            "From a request's headers to its answer, for envelopes.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.waiting = Gauge(
            "sealflow_gateway_waiting",
            "Requests that wait for a reply now.",
            registry=self._registry,
        )
        self.held = Gauge(
            "sealflow_gateway_held_bytes",
            "Bytes of bodies and answers that are held now.",
            registry=self._registry,
        )
        self.quarantined = Gauge(
            "sealflow_quarantined_models",
            "Models that the engines quarantined, as they ended or hung their process.",
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        # Looking up a counter by its labels costs more than incrementing it.
        self._counts: dict[tuple[str, str, int], Counter] = {}

    def count(self, method: str, route: str, status: int) -> None:
        """Count an answered request."""
        key = (method, route, status)
        counter = self._counts.get(key)
        if counter is None:
            counter = self._counts[key] = self._requests.labels(method, route, str(status))
        counter.inc()

    def observe(self, seconds: float) -> None:
        """Record the time from an envelope's headers to its response."""
        self._seconds.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in the Prometheus text format, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
