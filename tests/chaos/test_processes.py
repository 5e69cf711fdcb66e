"""Every process is killed, and paused, under load: all requests are answered, once and right."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from sealflow.owner import AsyncClient
from tests.chaos.load import Load, Running, by_gateway, by_queue, is_whole
from tests.chaos.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.cluster.local_cluster import LocalCluster

PAUSE_S = 5.0
SETTLE_S = 120.0
MORE_S = 3.0

EVERYWHERE = {
    "worker": "sealflow.trusted.worker",
    "gateway": "sealflow.host.gateway",
    "broker": "broker.sock",
    "key broker": "sealflow.trusted.keybroker",
    "control": "sealflow.host.keybroker_host",
}
OF_ENGINE = {
    "local": {"engine": "sealflow.host.engine"},
    "flink": {
        "Python of a subtask": "beam_boot",
        "TaskManager": "TaskManagerRunner",
        "JobManager": "ClusterEntry",
    },
}
PAIRS = [(engine, victim) for engine, own in OF_ENGINE.items() for victim in (*EVERYWHERE, *own)]

each_victim = pytest.mark.parametrize(
    ("engine", "victim"), PAIRS, indirect=["engine"], scope="module"
)


def _victim(cluster: LocalCluster, engine: str, victim: str) -> int:
    # One that was killed by the test before may still be on its way back.
    until = time.monotonic() + SETTLE_S
    while not (found := cluster.pids((EVERYWHERE | OF_ENGINE[engine])[victim])):
        assert time.monotonic() < until, f"no {victim} runs"
        time.sleep(0.1)
    return found[0]


def _driven(cluster: LocalCluster, victim: str) -> Running:
    """Load by the gateway where the gateway is the victim, else straight onto the queue."""
    if victim == "gateway":
        return Running(
            by_gateway(lambda: AsyncClient(cluster.url, policy=cluster.policy, connections=2000))
        )
    return Running(by_queue(cluster.queue))


def _check(cluster: LocalCluster, running: Running, row: Callable[[Load, int, float], Row]) -> None:
    """Let the load go on a while, end it, and demand every answer; then a whole cluster."""
    fault_at_s, in_flight = time.monotonic(), running.load.in_flight
    time.sleep(MORE_S)
    load = running.finish()
    row(load, in_flight, fault_at_s)
    load.demand_all()
    cluster.await_status(is_whole, SETTLE_S)


@pytest.fixture
def row(rows: list[Row], engine: str, victim: str, request: pytest.FixtureRequest) -> object:
    """Adds this test's row to the table."""
    verb = request.node.originalname.removeprefix("test_")

    def add(load: Load, in_flight: int, fault_at_s: float) -> Row:
        found = Row.of(load, engine, f"{victim} {verb}", in_flight=in_flight, fault_at_s=fault_at_s)
        rows.append(found)
        return found

    return add


@each_victim
def test_killed(
    cluster: LocalCluster, engine: str, victim: str, row: Callable[[Load, int, float], Row]
) -> None:
    """A process that dies at once is replaced, and what it held is answered by others."""
    pid = _victim(cluster, engine, victim)
    children = psutil.Process(pid).children(recursive=True)
    running = _driven(cluster, victim)
    os.kill(pid, signal.SIGKILL)
    _check(cluster, running, row)
    left = [child for child in children if child.is_running()]
    assert left == [], "processes outlived their parent"


@each_victim
def test_paused(
    cluster: LocalCluster, engine: str, victim: str, row: Callable[[Load, int, float], Row]
) -> None:
    """A process that stands still for a while goes on as if nothing had been."""
    pid = _victim(cluster, engine, victim)
    running = _driven(cluster, victim)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(PAUSE_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    _check(cluster, running, row)
