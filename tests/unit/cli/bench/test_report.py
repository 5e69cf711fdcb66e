"""The benchmark's figures: throughput, latencies, the plot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealflow.cli.bench.report import BenchReport, LatencySample, latencies, plot
from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def samples(*latencies_ms: float) -> list[LatencySample]:
    """Make one sample for each latency, sent 10 ms apart."""
    return [
        LatencySample(sent_s=at / 100, done_s=at / 100 + value / 1000)
        for at, value in enumerate(latencies_ms)
    ]


def figures(**changes: object) -> BenchReport:
    """Make the figures of a run of 1000 images in 12.5 s."""
    values: dict[str, object] = {
        "served": 1000,
        "seconds": 12.5,
        "push_seconds": 3.25,
        "latency_ms": {"p50": 40.12345, "p95": 80.0, "p99": 99.0},
        "cpu_s_per_1000": {"worker": 21.000049, "gateway": 0.5},
        "unit": "images",
    }
    return BenchReport(**{**values, **changes})  # type: ignore[arg-type]


def test_latency() -> None:
    """A latency runs from when the request was due to when its reply was opened."""
    assert LatencySample(sent_s=1.5, done_s=1.75).latency_ms == pytest.approx(250)


def test_percentiles() -> None:
    """Percentiles are by nearest rank: each is a latency that some request had."""
    found = latencies(samples(*range(100, 0, -1)))
    assert found == pytest.approx({"p50": 50, "p95": 95, "p99": 99})


def test_percentiles_of_few() -> None:
    """With few samples, the high percentiles are the slowest of them."""
    assert latencies(samples(10, 20, 30)) == pytest.approx({"p50": 20, "p95": 30, "p99": 30})


def test_percentiles_of_one() -> None:
    """One sample is every percentile."""
    assert latencies(samples(7)) == pytest.approx({"p50": 7, "p95": 7, "p99": 7})


def test_throughput() -> None:
    """Throughput counts answered requests over the whole run."""
    assert figures().throughput == pytest.approx(80)


def test_headline() -> None:
    """The last line reads as the ancestor's did."""
    assert figures().headline == (
        "Served 1000 images in 12.50 sec, e2e throughput is 80.00 images/sec"
    )


def test_json() -> None:
    """Machines get all figures, named by what was sent, rounded to what can be measured."""
    assert json.loads(json.dumps(figures().to_json())) == {
        "served": 1000,
        "seconds": 12.5,
        "push_seconds": 3.25,
        "images_per_second": 80.0,
        "latency_ms": {"p50": 40.123, "p95": 80.0, "p99": 99.0},
        "cpu_seconds_per_1000": {"worker": 21.0, "gateway": 0.5},
    }


@pytest.mark.parametrize("seconds", [12.5, 1e-6])
def test_plot(tmp_path: Path, seconds: float) -> None:
    """The plot is a picture, also of a run that took no time."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.png"
    plot(samples(*range(1, 60)), figures(seconds=seconds), path)
    assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize("name", ["no/such/folder.png", "bench.nothing"])
def test_plot_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    """A plot that cannot be written is the caller's mistake, and says which file."""
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=name):
        plot(samples(1, 2), figures(), tmp_path / name)
