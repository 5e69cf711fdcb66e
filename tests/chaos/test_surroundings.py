"""What a cluster stands on gives way: the queue's bound, its memory, its disk, the clock."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import valkey

from sealflow.errors import EvidenceError
from sealflow.owner import AsyncClient
from tests.chaos.load import Running, by_gateway, by_queue, is_whole
from tests.chaos.table import Row
from tests.support.cluster.local_cluster import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULT_S = 5.0
MORE_S = 3.0
SKEW_S = 100


@contextmanager
def _measured(rows: list[Row], cluster: LocalCluster, running: Running, fault: str) -> Any:
    """Break something inside; then demand an answer to every request, and a whole cluster."""
    fault_at_s, in_flight = time.monotonic(), running.load.in_flight
    yield
    time.sleep(MORE_S)
    load = running.finish()
    rows.append(Row.of(load, "local", fault, in_flight=in_flight, fault_at_s=fault_at_s))
    load.demand_all()
    cluster.await_status(is_whole)


def test_the_queue_is_full(model: Path, rows: list[Row]) -> None:
    """With room for 300 of 1,200 requests, senders are told to wait and all are answered."""
    options = ("--workers", "2", "--queue-capacity", "300")
    with LocalCluster(model, options=options) as cluster:
        running = Running(
            by_gateway(lambda: AsyncClient(cluster.url, policy=cluster.policy, connections=2000))
        )
        with _measured(rows, cluster, running, "queue full"):
            assert cluster.status()["queue"]["waiting"] <= 300


def test_the_memory_of_the_broker_is_full(model: Path, rows: list[Row]) -> None:
    """A broker without memory takes and answers nothing; with memory again it loses nothing."""
    with LocalCluster(model, options=("--workers", "2")) as cluster:
        running = Running(by_queue(cluster.queue))
        broker: Any = valkey.Valkey.from_url(cluster.facts["broker_url"])
        before = broker.config_get("maxmemory")["maxmemory"]
        with _measured(rows, cluster, running, "broker's memory full"):
            broker.config_set("maxmemory", 2**20)
            time.sleep(FAULT_S)
            broker.config_set("maxmemory", before)
        broker.close()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A home whose broker has a disk of 64 MB to itself."""
    home = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    disk = home / "broker"
    disk.mkdir(mode=0o700)
    mount = ("mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(disk))
    subprocess.run(mount, check=True)
    yield home
    umount = ("umount", "--lazy", str(disk))
    subprocess.run(umount, check=True)


def test_the_disk_of_the_broker_is_full(model: Path, rows: list[Row], small_disk: Path) -> None:
    """A broker that cannot write its log takes nothing; with room again it loses nothing."""
    with LocalCluster(model, options=("--workers", "2"), home=small_disk) as cluster:
        running = Running(by_queue(cluster.queue))
        filler = small_disk / "broker" / "filler"
        with _measured(rows, cluster, running, "broker's disk full"):
            with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
                while True:
                    file.write(bytes(2**16))
                    file.flush()
            time.sleep(FAULT_S)
            filler.unlink()


def test_the_clock_jumps(
    model: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's clock leaps ahead and back under load, and nothing is lost.

    An hour ahead, clients refuse the directory and say that a clock is wrong.
    """
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "clock"))
    monkeypatch.setenv("SKEWED_CLOCK", str(clock))
    with LocalCluster(model, options=("--workers", "2")) as cluster:
        running = Running(by_queue(cluster.queue))
        with _measured(rows, cluster, running, f"clock {SKEW_S} s ahead and back"):
            clock.write_text(str(SKEW_S))
            time.sleep(FAULT_S)
            clock.write_text("0")
        clock.write_text("3600")
        until = time.monotonic() + 60
        with cluster.client() as client, pytest.raises(EvidenceError, match="clock"):
            while time.monotonic() < until:
                client.verify()
                time.sleep(0.5)
