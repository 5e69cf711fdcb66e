"""CLI: the report of a benchmark: latencies, throughput, processor time, memory and a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.errors import ConfigError
from sealflow.host.process_status import cpu_s, rss_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sealflow.wire.status import ClusterStatus

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySample:
    """The times at which a request was sent and its reply was opened, in seconds from the start.

    In an open loop, `sent_s` is the time at which the request was due, so that the delay of a late
    sender counts as latency.
    """

    sent_s: float
    done_s: float

    @property
    def latency_ms(self) -> float:
        """The time from sending the request to opening its reply, in milliseconds."""
        return 1000 * (self.done_s - self.sent_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """The measurements of a run.

    `served`: number of right replies. `seconds`: from the first request to the last reply.
    `push_seconds`: from the first request to the last request sent. `latency_ms`: by percentile,
    such as "p99". `cpu_s_per_1000`: CPU seconds per 1000 requests by process. `unit`: plural noun
    for requests.
    """

    served: int
    seconds: float
    push_seconds: float
    latency_ms: Mapping[str, float]
    cpu_s_per_1000: Mapping[str, float]
    unit: str

    @property
    def throughput(self) -> float:
        """Right replies per second, from the first request to the last reply."""
        return self.served / self.seconds

    @property
    def headline(self) -> str:
        """A line with the number of right replies, the seconds and the throughput."""
        return (
            f"Served {self.served} {self.unit} in {self.seconds:.2f} sec, "
            f"e2e throughput is {self.throughput:.2f} {self.unit}/sec"
        )

    def to_json(self) -> dict[str, object]:
        """Return all measurements as JSON, rounded."""
        return {
            "served": self.served,
            "seconds": round(self.seconds, 4),
            "push_seconds": round(self.push_seconds, 4),
            f"{self.unit}_per_second": round(self.throughput, 3),
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
            "cpu_seconds_per_1000": {
                name: round(value, 4) for name, value in self.cpu_s_per_1000.items()
            },
        }


def latencies(samples: Sequence[LatencySample]) -> dict[str, float]:
    """Return percentiles of the latency in milliseconds, by nearest rank: "p50", "p95", "p99"."""
    ordered = sorted(sample.latency_ms for sample in samples)
    return {
        f"p{percent}": ordered[math.ceil(percent / 100 * len(ordered)) - 1]
        for percent in PERCENTILES
    }


def plot(samples: Sequence[LatencySample], report: BenchReport, path: Path) -> None:
    """Write an image file with a histogram of the latency and the throughput over time.

    Raises: ConfigError when the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist([sample.latency_ms for sample in samples], bins=40, color="#2b6cb0")
    for name, value in report.latency_ms.items():
        left.axvline(value, color="#c05621", linewidth=1)
        left.annotate(
            f"{name} {value:.0f}", (value, 1), xycoords=("data", "axes fraction"),
            rotation=90, ha="right", va="top", fontsize=8,
        )  # fmt: skip
    left.set(xlabel="latency, ms", ylabel="requests", title="Latency")
    step = max(report.seconds / 40, 1e-3)
    counts = [0] * (int(report.seconds / step) + 1)
    for sample in samples:
        counts[min(int(sample.done_s / step), len(counts) - 1)] += 1
    right.step([n * step for n in range(len(counts))], [n / step for n in counts], where="post")
    right.axhline(report.throughput, color="#c05621", linewidth=1)
    right.set(
        xlabel="seconds", ylabel=f"{report.unit}/sec", ylim=(0, None),
        title=f"Throughput, mean {report.throughput:.1f}",
    )  # fmt: skip
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        msg = f"cannot write the plot to {path}: {error}"
        raise ConfigError(msg) from error


@dataclass(frozen=True, slots=True)
class Processes:
    """Process ids by component name. Measurements of a name are sums over its processes."""

    pids: Mapping[str, tuple[int, ...]]

    @classmethod
    def from_status(cls, status: ClusterStatus, more: Mapping[str, int]) -> Processes:
        """Return the processes in a gateway's status, and those of `more` that are not in it."""
        found: dict[str, list[int]] = {}
        for component in status.components:
            found.setdefault(component.component, []).append(int(component.pid or 0))
            for worker in component.workers or ():
                found.setdefault("workers", []).append(int(worker.pid or 0))
            if component.keybroker is not None:
                found.setdefault("key broker", []).append(int(component.keybroker.pid or 0))
        for name, pid in more.items():
            found.setdefault(name, [pid])
        return cls({name: tuple(pids) for name, pids in found.items()})

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used so far, by name; 0 for processes on other machines."""
        return {name: sum(map(cpu_s, pids)) for name, pids in self.pids.items()}

    def rss_bytes(self) -> dict[str, int]:
        """Return the resident memory in bytes, by name; 0 for processes on other machines."""
        return {name: sum(map(rss_bytes, pids)) for name, pids in self.pids.items()}
