"""Flink against the local engine: CPU time per request, without the idle CPU time of the JVMs.

Both clusters run side by side, and the same load runs against each in turn. Each turn counts the
CPU seconds of every process of its cluster. The CPU time that Flink's JVMs use without requests is
measured first and subtracted for the duration of the turn, as it is a cost of the cluster and not
of a request. Writes bench/results/engines.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster, sealflow

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "engines.json"
ENGINES: dict[str, tuple[str, ...]] = {
    "local": ("--workers", "2"),
    "flink": ("--engine", "flink", "--taskmanagers", "2"),
}
LOADS: dict[str, tuple[str, ...]] = {
    "photos": ("-m", "efficientnet-lite0", "-i", str(PHOTOS)),
    "tensors": ("-m", "tiny", "--tensor"),
}
PARTS = {
    "workers": ("sealflow.trusted.worker",),
    "engine": ("sealflow.host.engine", "beam_boot"),
    "JVMs": ("org.apache.flink",),
}


def cpu_s(cluster: LocalCluster) -> dict[str, float]:
    """Return the CPU seconds that a cluster's processes have used so far, by part."""
    found: dict[str, float] = dict.fromkeys((*PARTS, "rest"), 0.0)
    for process in psutil.Process(cluster.process.pid).children(recursive=True):
        try:
            line, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        part = next(
            (part for part, words in PARTS.items() if any(w in line for w in words)), "rest"
        )
        found[part] += times.user + times.system
    return found


def turn(cluster: LocalCluster, load: str, count: int) -> dict[str, Any]:
    """Serve `count` requests; return seconds and CPU milliseconds a request by part."""
    before, started = cpu_s(cluster), time.monotonic()
    arguments = ("bench", "--home", str(cluster.home), "-n", str(count), "--json", *LOADS[load])
    done = subprocess.run(  # noqa: S603 - our own command
        sealflow(*arguments), capture_output=True, text=True, check=True
    )
    wall, after = time.monotonic() - started, cpu_s(cluster)
    return {
        "per_second": count / json.loads(done.stdout)["seconds"],
        "wall_s": wall,
        "cpu_ms": {part: 1000 * (after[part] - before[part]) / count for part in after},
    }


def idle_cores(cluster: LocalCluster, seconds: float) -> float:
    """Return how many cores the JVMs use without requests."""
    before = cpu_s(cluster)["JVMs"]
    time.sleep(seconds)
    return (cpu_s(cluster)["JVMs"] - before) / seconds


def main() -> None:
    """Measure, write the results and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--tensors", type=int, default=6000)
    parser.add_argument("--idle-s", type=float, default=20)
    options = parser.parse_args()
    counts = {"photos": options.photos, "tensors": options.tensors}
    clusters = {name: LocalCluster(TINY, LITE0, options=flags) for name, flags in ENGINES.items()}
    try:
        for load, count in counts.items():
            for cluster in clusters.values():
                turn(cluster, load, count)
        idle = idle_cores(clusters["flink"], options.idle_s)
        rows: dict[str, list[dict[str, Any]]] = {load: [] for load in counts}
        for pair in range(options.pairs):
            for load, count in counts.items():
                order = list(clusters) if pair % 2 == 0 else list(reversed(clusters))
                rows[load].append({name: turn(clusters[name], load, count) for name in order})
    finally:
        for cluster in clusters.values():
            cluster.stop()
    report: dict[str, Any] = {
        "machine": {"cores": psutil.cpu_count(), "python": platform.python_version()},
        "jvm_idle_cores": round(idle, 4),
        "loads": {load: summary(rows[load], counts[load], idle) for load in counts},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    for load, found in report["loads"].items():
        print(
            f"{load}: CPU a request, Flink over local: median {found['ratio_median']} of "
            f"{found['ratios']}; with idle JVMs {found['ratio_median_with_idle']}"
        )


def summary(pairs: list[dict[str, Any]], count: int, idle: float) -> dict[str, Any]:
    """Return the ratios of CPU time, Flink to local, and the medians of both engines.

    `pairs`: one turn of each engine. `count`: requests of a turn. `idle`: cores that the JVMs use
    without requests.
    """
    ratios, with_idle = [], []
    for pair in pairs:
        flink, local = pair["flink"], pair["local"]
        total = sum(flink["cpu_ms"].values())
        fixed = 1000 * idle * flink["wall_s"] / count
        base = sum(local["cpu_ms"].values())
        ratios.append(round((total - fixed) / base, 3))
        with_idle.append(round(total / base, 3))
    return {
        "requests_a_turn": count,
        "ratios": ratios,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_median_with_idle": round(statistics.median(with_idle), 3),
        **{name: _medians([pair[name] for pair in pairs]) for name in ENGINES},
    }


def _medians(turns: list[dict[str, Any]]) -> dict[str, Any]:
    parts = turns[0]["cpu_ms"]
    return {
        "per_second": round(statistics.median(each["per_second"] for each in turns), 1),
        "cpu_ms_a_request": {
            part: round(statistics.median(each["cpu_ms"][part] for each in turns), 3)
            for part in parts
        },
    }


if __name__ == "__main__":
    main()
