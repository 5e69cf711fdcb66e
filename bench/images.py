"""Photos: the cluster against loops that decode and infer in one process, in interleaved rounds.

`loop`: one process with a thread for each core, as in a program without a server.
`loops`: one process for each core with one thread each, with the worker's runtime and batch size;
the most that this machine can do. `queue` and `gateway`: the cluster; all photos are sent, and each
answer is checked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from typing import TYPE_CHECKING, Any

from bench.cluster import CLASSIFIER, PHOTOS, ROOT, cluster, run_json, write_results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.cluster import RunningCluster

MODEL_BATCH = 4

Round = dict[str, dict[str, Any]]
"""The results of one round, by contestant."""


def _direct(count: int, processes: int, threads: int, batch: int) -> dict[str, Any]:
    chosen = {"-n": count, "--processes": processes, "--threads": threads, "--batch": batch}
    argv = [str(each) for pair in chosen.items() for each in pair]
    return run_json(sys.executable, str(ROOT / "bench/direct.py"), "--json", *argv)


def contestants(running: RunningCluster, count: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the contestants, in the order of a round."""
    cores = len(os.sched_getaffinity(0))
    load = ("-n", str(count), "-i", str(PHOTOS))
    return {
        "loop": lambda: _direct(count, 1, cores, 16),
        "queue": lambda: running.bench(*load),
        "loops": lambda: _direct(count, cores, 1, MODEL_BATCH),
        "gateway": lambda: running.bench(*load, "-c", "64"),
    }


def cpu_per_1000(run: Mapping[str, Any]) -> float:
    """Return CPU seconds per 1000 photos: of the loop's processes, or of the whole cluster."""
    found = run.get("cpu_seconds_per_1000", 0.0)
    return float(sum(found.values()) if isinstance(found, dict) else found)


def ratios(rounds: list[Round]) -> dict[str, dict[str, float]]:
    """Return the median, least and greatest value of each comparison over all rounds."""

    def speed(one: Round, name: str) -> float:
        return float(one[name]["images_per_second"])

    def cpu(one: Round, name: str) -> float:
        return cpu_per_1000(one[name])

    compared: dict[str, Callable[[Round], float]] = {
        "CPU, queue to loops": lambda one: cpu(one, "queue") / cpu(one, "loops"),
        "CPU, queue to loop": lambda one: cpu(one, "queue") / cpu(one, "loop"),
        "CPU, gateway to loops": lambda one: cpu(one, "gateway") / cpu(one, "loops"),
        "images/s, queue to loop": lambda one: speed(one, "queue") / speed(one, "loop"),
        "images/s, gateway to loop": lambda one: speed(one, "gateway") / speed(one, "loop"),
        "images/s, queue to loops": lambda one: speed(one, "queue") / speed(one, "loops"),
        "CPU-s per 1000, queue": lambda one: cpu(one, "queue"),
        "CPU-s per 1000, gateway": lambda one: cpu(one, "gateway"),
        "CPU-s per 1000, loop": lambda one: cpu(one, "loop"),
        "CPU-s per 1000, loops": lambda one: cpu(one, "loops"),
    }
    found = {}
    for name, compare in compared.items():
        values = [compare(one) for one in rounds]
        found[name] = {
            "median": round(statistics.median(values), 3),
            "least": round(min(values), 3),
            "most": round(max(values), 3),
        }
    return found


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Run all contestants once a round, after a warm-up of 100 photos each."""
    runs = []
    with cluster(CLASSIFIER) as running:
        for each in contestants(running, 100).values():
            each()
        for number in range(rounds):
            runs.append({name: run() for name, run in contestants(running, count).items()})
            shown = {name: round(run["images_per_second"], 1) for name, run in runs[-1].items()}
            print(f"round {number + 1}: images/s {shown}", file=sys.stderr)
    return {"ratios": ratios(runs), "rounds": runs}


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures = measure(options.n, options.rounds)
    write_results("images", figures)
    for name, value in figures["ratios"].items():
        print(f"{name:28} {value['median']:8.3f}   ({value['least']:.3f} to {value['most']:.3f})")


if __name__ == "__main__":
    main()
