"""Run the benchmarks images, tensors, sealing and footprint; write a plot and a table of targets.

Run it from the project's folder while the machine is otherwise idle: `make bench`, or
`python -m bench.compare`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from matplotlib.figure import Figure

from bench import footprint, images, sealing, tensors
from bench.cluster import RESULTS, write_results

_COLOURS = {"loop": "#a0aec0", "loops": "#718096", "queue": "#2b6cb0", "gateway": "#c05621"}
_TITLES = {
    "loop": "one process,\nall threads",
    "loops": "one process\na core",
    "queue": "cluster,\nqueue",
    "gateway": "cluster,\ngateway",
}


def _read(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return value


def targets() -> list[tuple[str, str, str, bool]]:
    """Return each target, the measured value, and whether that is enough."""
    ratios, tensor_runs = _read("images")["ratios"], _read("tensors")
    cost = _read("sealing")["operations"]
    idle = _read("footprint")

    def image(name: str) -> float:
        return float(ratios[name]["median"])

    def tensor(way: str) -> float:
        return statistics.median(images.cpu_per_1000(run) for run in tensor_runs[way])

    def ms(name: str) -> float:
        return float(cost[name]["median_us"]) / 1000

    exchange = "request of 100 KB and reply of 1 KB"
    memory_ratio = idle["worker_after_images_to_bare_rss"]
    rows: list[tuple[str, float, str, float, str]] = [
        ("photos: CPU to that of in-process loops", image("CPU, queue to loops"), "≤", 1.10, "×"),
        ("photos: images/s to one process's", image("images/s, queue to loop"), "≥", 1.10, "×"),
        ("photos: cluster's CPU for 1000", image("CPU-s per 1000, queue"), "≤", 16.5, "s"),
        ("4 floats: cluster's CPU for 1000, gateway", tensor("gateway"), "≤", 0.60, "s"),
        ("4 floats: the same, loaded by the SDK", tensor("client"), "≤", 0.60, "s"),
        ("4 floats: cluster's CPU for 1000, queue client", tensor("queue"), "≤", 0.35, "s"),
        ("whole cluster, idle", idle["idle_percent_of_a_core"]["all"], "<", 2.0, "% of a core"),
        ("worker's memory to the bare runtime's", memory_ratio, "<", 1.3, "×"),
        ("import of the SDK, CPU time", idle["sdk_import_ms"]["cpu_median"], "<", 150.0, "ms"),
        ("sealing 100 KB, client", ms(f"client: {exchange}"), "<", 0.2, "ms"),
        ("sealing 100 KB, worker", ms(f"worker: {exchange}"), "<", 0.2, "ms"),
        ("opening a session, X-Wing, worker", ms("worker: open session, XWING"), "<", 0.3, "ms"),
        ("verifying an SGX quote", ms("verify sgx-v3-swhardening.quote"), "<", 5.0, "ms"),
        ("verifying a TDX quote", ms("verify tdx-v4-uptodate.quote"), "<", 5.0, "ms"),
    ]  # fmt: skip
    return [
        (
            what,
            f"{sign} {wanted:g} {unit}",
            f"{got:.3g} {unit}",
            got >= wanted if sign == "≥" else got <= wanted,
        )
        for what, got, sign, wanted, unit in rows
    ]


def table() -> str:
    """Return the targets as a Markdown table."""
    lines = ["| what | target | measured | met |", "|---|---:|---:|---|"]
    lines += [
        f"| {what} | {wanted} | {got} | {'yes' if met else '**no**'} |"
        for what, wanted, got, met in targets()
    ]
    return "\n".join(lines) + "\n"


def plot() -> None:
    """Write results/compare.png: photos per second and CPU time of every round."""
    rounds = _read("images")["rounds"]
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, name in enumerate(_COLOURS):
        speed = [one[name]["images_per_second"] for one in rounds]
        cost = [images.cpu_per_1000(one[name]) for one in rounds]
        for axes, values in ((left, speed), (right, cost)):
            axes.bar(place, statistics.median(values), color=_COLOURS[name], width=0.7)
            axes.plot([place] * len(values), values, "o", color="black", markersize=3)
    for axes, title in ((left, "photos per second"), (right, "CPU-seconds per 1000 photos")):
        axes.set_xticks(range(len(_COLOURS)), [_TITLES[name] for name in _COLOURS])
        axes.set_title(title)
        axes.set_ylim(0, None)
    figure.savefig(RESULTS / "compare.png", dpi=120)


def main() -> None:
    """Run all benchmarks, or the one named by `--only`; write table and plot of all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["images", "tensors", "sealing", "footprint", "table"])
    options = parser.parse_args()
    rounds, only = options.rounds, options.only
    if only in (None, "images"):
        write_results("images", images.measure(1000, rounds))
    if only in (None, "tensors"):
        write_results("tensors", tensors.measure(rounds, 5000))
    if only in (None, "sealing"):
        write_results("sealing", {"operations": sealing.measure(40)})
    if only in (None, "footprint"):
        write_results("footprint", footprint.measure(60.0))
    plot()
    (RESULTS / "table.md").write_text(table())
    print(table(), end="")


if __name__ == "__main__":
    main()
