"""A cluster to measure: `sealflow up` in a temporary folder, its processes and their CPU time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PHOTOS = EXAMPLES / "photos"
CLASSIFIER = EXAMPLES / "efficientnet-lite0"
TINY = EXAMPLES / "tiny"
RESULTS = Path(__file__).parent / "results"
_SEALFLOW = str(Path(sys.executable).with_name("sealflow"))


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A running cluster. `facts`: the JSON object that `sealflow up` prints when it is ready."""

    home: Path
    facts: Mapping[str, Any]

    def bench(self, *arguments: str) -> dict[str, Any]:
        """Run `sealflow bench`, and return its results."""
        return run_json(_SEALFLOW, "bench", "--home", str(self.home), "--json", *arguments)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the cluster's processes by name; `up` is the command that supervises them."""
        status = run_json(_SEALFLOW, "status", "--home", str(self.home), "--json")
        found = {"up": [psutil.Process(self.facts["pid"])]}
        for name, pid in self.facts["pids"].items():
            found[name] = [psutil.Process(pid)]
        for component in status["components"]:
            for worker in component.get("workers") or ():
                found.setdefault("workers", []).append(psutil.Process(worker["pid"]))
            if isinstance(component.get("keybroker"), dict):
                found["key broker"] = [psutil.Process(component["keybroker"]["pid"])]
        return found


@contextmanager
def cluster(*models: Path, options: tuple[str, ...] = ()) -> Iterator[RunningCluster]:
    """Start a cluster, wait until its models are loaded, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="sealflow-bench-") as folder:
        home = Path(folder) / "home"
        argv = [_SEALFLOW, "up", "--home", str(home), "--port", "0", "--json", *options]
        for model in models:
            argv += ["--model", str(model)]
        with subprocess.Popen(  # noqa: S603 - our own command
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as up:
            if up.stdout is None:
                raise TypeError("the process has no pipe for its output")
            try:
                yield RunningCluster(home, json.loads(up.stdout.readline()))
            finally:
                up.terminate()


def cpu_s(processes: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    """Return the CPU seconds that processes have used so far, user and system, by name."""
    return {
        name: sum(sum(each.cpu_times()[:2]) for each in group) for name, group in processes.items()
    }


def run_json(*argv: str) -> dict[str, Any]:
    """Run a command and return the JSON object in its last line of output."""
    done = subprocess.run(  # noqa: S603 - our own commands
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def machine() -> dict[str, object]:
    """Return the machine, its load and the date of a measurement."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "kernel": os.uname().release,
        "load_average": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def write_results(name: str, results: Mapping[str, object]) -> None:
    """Write results to `results/<name>.json`, with the machine that they are from."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **results}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
