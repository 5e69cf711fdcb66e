"""Latency while epoch keys rotate: the same open-loop load with keys that stay and that rotate.

`python -m bench.rotation`. Clusters with keys of an hour and with keys of a few seconds take
turns; each round measures p99 of both. Writes results/rotation.json.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any, Final

from bench.cluster import TINY, cluster, write_results

ROUNDS: Final = 5
COUNT: Final = 2000
RATE: Final = 100
_STAYING: Final = {"epoch_s": 3600}
_TURNING: Final = {
    "epoch_s": 5,
    "grace_s": 30,
    "residence_s": 10,
    "lease_s": 10,
    "directory_s": 4,
    "clock_skew_s": 2,
}


def measure(times: dict[str, int]) -> dict[str, Any]:
    """Start a cluster with these times and serve tensors of 4 floats at `RATE` per second."""
    options = [word for name, s in times.items() for word in ("--time", f"{name}={s}")]
    load = ("--tensor", "-m", "tiny", "-c", "64", "--rate", str(RATE), "-n")
    with cluster(TINY, options=tuple(options)) as running:
        running.bench(*load, "200")
        return running.bench(*load, str(COUNT))


def main() -> None:
    """Measure both clusters in turn, print each round and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = []
    for _ in range(parser.parse_args().rounds):
        staying, turning = measure(_STAYING), measure(_TURNING)
        p99 = [figures["latency_ms"]["p99"] for figures in (staying, turning)]
        served = [figures["served"] for figures in (staying, turning)]
        rounds.append({"p99_ms": p99, "served": served, "ratio": round(p99[1] / p99[0], 3)})
        print(rounds[-1])
    ratio = statistics.median(each["ratio"] for each in rounds)
    figures = {"requests_a_run": COUNT, "rate": RATE, "rounds": rounds, "ratio_median": ratio}
    write_results("rotation", figures)


if __name__ == "__main__":
    main()
