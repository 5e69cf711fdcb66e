"""Throughput and cost of a request by number of workers, queue length and message size.

`python -m bench.scaling`. Writes results/scaling.json and scaling.png; docs/guide/scaling.md
explains them. A model that only waits (see `waiting/`) stands for workers on further machines.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import psutil
from matplotlib.figure import Figure

from bench.cluster import RESULTS, TINY, cluster, write_results
from sealflow.host.broker.embedded_server import server_command, server_url, wait_ready
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import BrokerAddress
from sealflow.owner.queue.transport import StreamTransport
from sealflow.streams.keys import Keyspace

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS: Final = (1, 2, 4, 8, 16)
DEPTHS: Final = (10, 100, 1_000, 10_000, 100_000)
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS: Final = 3
_KEYS: Final = Keyspace(deployment="bench")
_PER_WORKER: Final = 60
_BATCH: Final = 32
_BATCHES: Final = 60
_MAX_BYTES: Final = 3 * 2**30


def by_workers() -> list[dict[str, float]]:
    """Measure throughput and CPU time of a cluster whose model only waits, by number of workers."""
    found = []
    for workers in WORKERS:
        count = _PER_WORKER * workers
        options = ("--workers", str(workers), "--max-batch", "1")
        with (
            waiting_python() as enclaves,
            cluster(TINY, options=(*options, "--enclaves", str(enclaves))) as running,
        ):
            running.bench("--tensor", "-m", "tiny", "-n", str(2 * workers))
            figures = running.bench("--tensor", "-m", "tiny", "-n", str(count))
        cpu = figures["cpu_seconds_per_1000"]
        (rate,) = (figures[name] for name in figures if name.endswith("_per_second"))
        found.append(
            {
                "workers": workers,
                "requests_per_s": rate,
                "cpu_s_per_1000": round(sum(cpu.values()), 3),
                **{f"cpu_s_per_1000, {name}": value for name, value in cpu.items()},
            }
        )
    return found


@contextmanager
def waiting_python() -> Iterator[Path]:
    """Make a folder whose `bin/python` has `waiting/` on its PYTHONPATH; remove it at the end."""
    with TemporaryDirectory(prefix="sf-") as folder:
        python = Path(folder) / "bin" / "python"
        python.parent.mkdir()
        waiting = Path(__file__).parent / "waiting"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{waiting}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o700)
        yield Path(folder)


@contextmanager
def broker() -> Iterator[tuple[psutil.Process, RedisStreams, StreamTransport]]:
    """Start a broker and connect both of its sides, engine and client, in this process."""
    with TemporaryDirectory(prefix="sf-") as folder:
        path = Path(folder)
        argv = server_command(path, max_memory_bytes=_MAX_BYTES)
        with psutil.Popen(argv, stdout=-3) as server:
            url = server_url(path)
            wait_ready(url, 20)
            streams = RedisStreams(url)
            owner = StreamTransport(BrokerAddress(url=url), "bench")
            streams.ensure_group(_KEYS.requests)
            yield psutil.Process(server.pid), streams, owner
            owner.close()
            streams.close()
            server.kill()


def passes(
    server: psutil.Process, streams: RedisStreams, owner: StreamTransport, body: bytes, count: int
) -> dict[str, float]:
    """Send, claim, answer and fetch handfuls of requests; return CPU ms for each request."""
    mine = psutil.Process()
    before = [sum(each.cpu_times()[:2]) for each in (server, mine)]
    started = time.monotonic()
    for _ in range(count):
        owner.submit([(f"{n:032x}", body) for n in range(_BATCH)], capacity=10**9)
        taken = streams.claim(_KEYS.requests, "engine", _BATCH, 1000)
        streams.answer(_KEYS.requests, [(each, b"a" * 1000) for each in taken])
        owner.receive(0)
    seconds = time.monotonic() - started
    after = [sum(each.cpu_times()[:2]) for each in (server, mine)]
    total = count * _BATCH
    return {
        "broker_cpu_ms": round((after[0] - before[0]) * 1000 / total, 4),
        "both_sides_cpu_ms": round((after[1] - before[1]) * 1000 / total, 4),
        "requests_per_s": round(total / seconds, 1),
    }


def _median(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def by_depth() -> list[dict[str, float]]:
    """Measure the cost of a request by the number of requests that wait in the queue."""
    found = []
    with broker() as (server, streams, owner):
        waiting = 0
        for depth in DEPTHS:
            while waiting < depth:
                more = min(1000, depth - waiting)
                owner.submit([("0" * 32, b"w" * 1000)] * more, capacity=10**9)
                waiting += more
            rows = [passes(server, streams, owner, b"b" * 1000, _BATCHES) for _ in range(ROUNDS)]
            found.append({"waiting": depth, **_median(rows)})
    return found


def by_size() -> list[dict[str, float]]:
    """Measure the cost of a request by the size of its envelope."""
    found = []
    with broker() as (server, streams, owner):
        for size in SIZES:
            count = max(4, min(_BATCHES, 20_000_000 // (size * _BATCH)))
            body = os.urandom(size)
            rows = [passes(server, streams, owner, body, count) for _ in range(ROUNDS)]
            found.append({"bytes": size, **_median(rows)})
    return found


def plot(results: dict[str, list[dict[str, float]]]) -> None:
    """Write results/scaling.png with the three series."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    workers = [row["workers"] for row in results["workers"]]
    served = [row["requests_per_s"] for row in results["workers"]]
    left.loglog(workers, served, "o-", color="#2b6cb0", label="measured")
    left.loglog(
        workers, [20 * each for each in workers], "--", color="#a0aec0", label="20 a worker"
    )
    left.set(xlabel="workers", ylabel="requests/s", title="A model that waits 50 ms")
    left.legend()
    for axis, name, label in (
        (middle, "waiting", "requests that wait"),
        (right, "bytes", "bytes of a request"),
    ):
        rows = results["depth" if name == "waiting" else "size"]
        for key, colour in (("broker_cpu_ms", "#c05621"), ("both_sides_cpu_ms", "#2b6cb0")):
            axis.plot(
                [row[name] for row in rows], [row[key] for row in rows], "o-", color=colour,
                label=key.removesuffix("_cpu_ms").replace("_", " "),
            )  # fmt: skip
        axis.set(xscale="log", xlabel=label, ylabel="CPU, ms a request")
        if name == "bytes":
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, None)
        axis.legend()
    figure.savefig(RESULTS / "scaling.png", dpi=110)


def main() -> None:
    """Measure, write the results and the plot, and print them."""
    results: dict[str, list[dict[str, float]]] = {
        "depth": by_depth(), "size": by_size(), "workers": by_workers()
    }  # fmt: skip
    figures: dict[str, Any] = dict(results)
    write_results("scaling", figures)
    plot(results)
    for name, rows in results.items():
        for row in rows:
            print(name, row)


if __name__ == "__main__":
    main()
