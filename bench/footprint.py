"""The costs of an idle cluster: CPU, memory of a worker, import of the SDK."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.cluster import CLASSIFIER, cluster, cpu_s, run_json, write_results

if TYPE_CHECKING:
    import psutil

_BARE = """
import json, sys, cv2, numpy, onnxruntime, psutil
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
cv2.setNumThreads(1)
with open(sys.argv[1], "rb") as file:
    session = onnxruntime.InferenceSession(file.read(), options)
for rows in range(4, 0, -1):
    session.run(None, {"images": numpy.zeros((rows, 3, 224, 224), numpy.float32)})
memory = psutil.Process().memory_full_info()
print(json.dumps({"rss": memory.rss, "uss": memory.uss}))
"""
"""A program with the same runtime, model, image library and batch sizes, and nothing else."""

_IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import sealflow.owner
sealflow.owner.Client
print('{"wall_ms": %f, "cpu_ms": %f}' % (
    1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
"""
_SETTLE_S = 15.0
_SERVED = 200
_IMPORTS = 15


def idle_percent(processes: dict[str, list[psutil.Process]], for_s: float) -> dict[str, float]:
    """Return the CPU use of processes without requests, in per cent of one core, by name."""
    time.sleep(_SETTLE_S)
    before = cpu_s(processes)
    time.sleep(for_s)
    after = cpu_s(processes)
    return {name: round(100 * (after[name] - before[name]) / for_s, 3) for name in after}


def memory_bytes(processes: list[psutil.Process]) -> dict[str, int]:
    """Return the largest resident (RSS) and unique (USS) memory of these processes, in bytes."""
    found = [process.memory_full_info() for process in processes]
    return {"rss": max(each.rss for each in found), "uss": max(each.uss for each in found)}


def measure(idle_s: float) -> dict[str, Any]:
    """Measure idle CPU time for `idle_s` seconds, memory, and import times."""
    with cluster(CLASSIFIER) as running:
        processes = running.processes()
        fresh = memory_bytes(processes["workers"])
        idle = idle_percent(processes, idle_s)
        running.bench("-n", str(_SERVED), "-i", str(CLASSIFIER.parent / "photos"))
        used = memory_bytes(processes["workers"])
        others = {
            name: sum(each.memory_full_info().uss for each in group)
            for name, group in processes.items()
            if name != "workers"
        }
    bare = run_json(sys.executable, "-c", _BARE, str(CLASSIFIER / "model.onnx"))
    imports = [run_json(sys.executable, "-c", _IMPORT) for _ in range(_IMPORTS)]
    return {
        "idle_percent_of_a_core": {**idle, "all": round(sum(idle.values()), 3)},
        "memory_bytes": {
            "bare runtime": bare,
            "worker, loaded": fresh,
            f"worker, after {_SERVED} images": used,
            "others, uss": others,
        },
        "worker_to_bare_rss": round(fresh["rss"] / bare["rss"], 3),
        "worker_to_bare_uss": round(fresh["uss"] / bare["uss"], 3),
        "worker_after_images_to_bare_rss": round(used["rss"] / bare["rss"], 3),
        "sdk_import_ms": {
            "wall_median": round(statistics.median(each["wall_ms"] for each in imports), 1),
            "wall_best": round(min(each["wall_ms"] for each in imports), 1),
            "cpu_median": round(statistics.median(each["cpu_ms"] for each in imports), 1),
        },
    }


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle-s", type=float, default=60.0)
    figures = measure(parser.parse_args().idle_s)
    write_results("footprint", figures)
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
