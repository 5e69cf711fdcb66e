"""A cluster with one kind of engine, and what its tests ask of it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from sealflow.host.engine.flink.rest import FlinkRest
from sealflow.local.flink_cluster import client_tls
from sealflow.owner import InferResult
from tests.support.cluster.local_cluster import TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ENGINES = {
    "local": ("--workers", "2"),
    "flink": ("--engine", "flink", "--taskmanagers", "2", "--flink-ui-port", "0"),
}
SUPERVISORS = {"local": "sealflow.host.engine", "flink": "pyflink.fn_execution.beam.beam_boot"}
ROW = np.array([[0.5, -1, 2, 0]], np.float32)


class EngineCluster:
    """A cluster with one kind of engine."""

    def __init__(self, kind: str) -> None:
        """Start it with two workers."""
        self.kind = kind
        self.cluster = LocalCluster(TINY, options=ENGINES[kind])
        with self.cluster.client() as client:
            self.truth = client.infer("tiny", tensors={"x": ROW}).outputs["probabilities"]

    def supervisors(self) -> list[int]:
        """The Python processes that keep a worker."""
        found = self.cluster.pids(SUPERVISORS[self.kind])
        return [pid for pid in found if "bash" not in psutil.Process(pid).name()]

    def await_whole(self) -> None:
        """Wait until exactly the workers that run are reported as ready, and they are two."""

        def whole(status: dict[str, Any]) -> bool:
            ready = {each["pid"] for each in _workers(status) if each["ready"] and each["models"]}
            return len(ready) == 2 and ready == set(self.cluster.worker_pids())

        self.cluster.await_status(whole, 200)

    def serve(self, count: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Push requests, do something when a few are answered, pull; each is right and comes once.

        `meanwhile` is called after the first tenth.
        """
        outcomes: dict[str, Any] = {}
        called = False
        with self.cluster.queue() as queue:
            queue.enqueue_many("tiny", {str(n): {"x": ROW} for n in range(count)}, timeout_s=300)
            while len(outcomes) < count:
                found = queue.dequeue(timeout_s=300)
                assert found, f"only {len(outcomes)} of {count} came"
                assert not outcomes.keys() & found.keys()
                outcomes |= found
                if not called and len(outcomes) >= count // 10:
                    called = True
                    meanwhile()
        for outcome in outcomes.values():
            assert isinstance(outcome, InferResult)
            np.testing.assert_allclose(outcome.outputs["probabilities"], self.truth, rtol=1e-5)

    def flink(self, *arguments: str) -> str:
        """Run a `sealflow flink` command on this cluster; gives what it prints."""
        if arguments[0] != "submit":
            arguments = (*arguments, "--home", str(self.cluster.home))
        done = subprocess.run(
            sealflow("flink", *arguments), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self) -> str:
        """Submit the job of this cluster again; gives its id."""
        return self.flink("submit", str(self.cluster.home / "run" / "job.toml"))

    def rest(self) -> FlinkRest:
        """The JobManager."""
        facts = self.cluster.facts["flink"]
        return FlinkRest(facts["url"], client_tls(Path(facts["tls"])))

    def running_job(self) -> str:
        """The id of the job that runs now."""
        (job,) = [job for job in self.rest().jobs() if job["state"] == "RUNNING"]
        return str(job["jid"])

    def await_true(self, happened: Callable[[], bool], within_s: float = 90.0) -> None:
        """Wait until something is so."""
        until = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < until
            time.sleep(0.1)

    def workers(self) -> list[dict[str, Any]]:
        """What the engines say of their workers."""
        return list(_workers(self.cluster.status()))


def _workers(status: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for component in status["components"]:
        yield from component.get("workers", ())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def await_ended(pids: Iterable[int], within_s: float = 60.0) -> None:
    """Wait until none of these processes runs any more."""
    until = time.monotonic() + within_s
    while left := [pid for pid in pids if _alive(pid)]:
        assert time.monotonic() < until, [psutil.Process(pid).cmdline() for pid in left]
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return str(psutil.Process(pid).status()) != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
