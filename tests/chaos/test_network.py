"""Hosts with addresses of their own, cut off one after the other: nothing is lost between them."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from sealflow.errors import SealflowError
from sealflow.host.broker.embedded_server import wheel_server
from sealflow.local.flink_cluster import FlinkCluster
from sealflow.local.home import ClusterHome
from sealflow.owner import AsyncClient, Client, QueueClient, pack_folder
from tests.chaos.hosts import Network
from tests.chaos.load import Load, Running, by_gateway, by_queue, is_whole
from tests.chaos.table import Row
from tests.support.cluster.flink import installed_flink

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

T = TypeVar("T")

CUT_S = 12.0
MORE_S = 3.0
READY_S = 150.0
ALWAYS = (
    "/bin/sh",
    "-c",
    'trap "kill \\$!; wait; exit" TERM; while :; do "$@" & wait $!; sleep 1; done',
    "always",
)
"""Starts a process of Flink again when it ends by itself, as it may after it was cut off."""
SEPARATE = ("broker", "control", "gateway", "client")
ENGINES = {
    "local": ("engine 1", "engine 2"),
    "flink": ("JobManager", "TaskManager 1", "TaskManager 2"),
}
PAIRS = [
    (engine, victim)
    for engine, own in ENGINES.items()
    for victim in ("broker", "gateway", "client", own[0], own[-1])
]
PORT = 7000


class Spread:
    """A cluster on hosts of its own."""

    def __init__(self, engine: str, model: Path) -> None:
        """Start every process on its host and wait until all serve."""
        self.engine = engine
        self._stack = ExitStack()
        self.home = ClusterHome(
            Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sf-")))
        )
        self.network = self._stack.enter_context(Network(*SEPARATE, *ENGINES[engine]))
        self.owner, _ = self.home.prepare("sealflow")
        self.broker_url = f"valkey://{self.network['broker'].address}:{PORT}"
        self.url = f"http://{self.network['gateway'].address}:{PORT}"
        self._start_broker()
        self._start("keybroker_host", "control", **self._trusted())
        gateway = {"host": self.network["gateway"].address, "port": PORT, "queue_capacity": 5000}
        self._start("gateway", "gateway", packages_dir=str(self.home.packages), **gateway)
        if engine == "local":
            for name in ENGINES["local"]:
                self._start("engine", name, workers=1, **self._engine(name))
        else:
            self._start_flink()
        self.on_client(lambda: self._publish(model))
        self.await_status(is_whole)

    def on_client(self, action: Callable[[], T]) -> T:
        """Do something on the client's host."""

        def entered() -> T:
            self.network["client"].enter()
            return action()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(entered).result()

    def status(self) -> dict[str, Any]:
        """What the gateway says."""
        found: dict[str, Any] = httpx.get(f"{self.url}/v1/status", timeout=20).json()
        return found

    def await_status(self, ready: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the status is as wanted."""

        def look() -> None:
            until = time.monotonic() + READY_S
            while True:
                try:
                    status = self.status()
                    if ready(status):
                        return
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    status = {"error": str(error)}
                assert time.monotonic() < until, json.dumps(status)
                time.sleep(0.2)

        self.on_client(look)

    def load(self, victim: str) -> Running:
        """Load from the client's host: by the gateway when that is cut off, else by the queue."""
        policy = self.home.policy
        if victim == "gateway":
            drive = by_gateway(lambda: AsyncClient(self.url, policy=policy, connections=2000))
        else:
            drive = by_queue(lambda: QueueClient(self.broker_url, policy=policy))

        def there(load: Load, ending: threading.Event) -> None:
            self.network["client"].enter()
            drive(load, ending)

        return Running(there)

    def close(self) -> None:
        """End all of it."""
        self._stack.close()

    def _start_broker(self) -> None:
        host, folder = self.network["broker"], self.home.path / "broker"
        folder.mkdir()
        config = folder / "server.conf"
        config.write_text(
            f'bind {host.address}\nport {PORT}\nprotected-mode no\ndir "{folder}"\n'
            'appendonly yes\nsave ""\nmaxmemory-policy noeviction\n'
        )
        host.start(wheel_server(), str(config), log=self.home.log("broker"))

    def _start(self, module: str, name: str, **settings: Any) -> None:
        log = self.home.log(name.replace(" ", "-"))
        config = {"deployment": "sealflow", "broker_url": self.broker_url, **settings}
        path = self.home.write_config(log.stem, config)
        argv = (sys.executable, "-m", f"sealflow.host.{module}", str(path))
        self.network[name].start(*argv, log=log)

    def _trusted(self) -> dict[str, Any]:
        return {
            "deployment_file": str(self.home.deployment),
            "simulated_platform_file": str(self.home.platform),
            "logs_dir": str(self.home.path / "logs"),
        }

    def _engine(self, name: str) -> dict[str, Any]:
        return {
            **self._trusted(),
            "packages_dir": str(self.home.packages),
            "instance": name.replace(" ", "-"),
        }

    def _start_flink(self) -> None:
        install = installed_flink()
        manager = self.network["JobManager"].address
        engine: dict[str, Any] = {
            "workers": 1,
            "enclaves_dir": str(Path(sys.executable).parents[1]),
        }
        common = {"deployment": "sealflow", "broker_url": self.broker_url}
        settings = self.home.write_config("engine", common | engine | self._engine("flink"))
        job = self.home.write_config(
            "job",
            {
                "engine_config": str(settings),
                "parallelism": 2,
                "python": str(install.python),
                "rest_url": f"http://{manager}:8081",
            },
        )
        for name in ENGINES["flink"]:
            folder = self.home.path / name.replace(" ", "-")
            cluster = FlinkCluster(
                install,
                folder,
                rpc_port=6123,
                rest_port=8081,
                jobmanager=manager,
                taskmanager=self.network[name].address,
            )
            cluster.write(None)
            log = self.home.log(folder.name)
            program = (
                cluster.jobmanager(log) if name == "JobManager" else cluster.taskmanager(0, log)
            )
            self.network[name].start(*ALWAYS, *program.argv, log=log)
        submit = (str(install.python), "-m", "sealflow.host.engine.flink.submit", str(job))
        java = ("/usr/bin/env", f"JAVA_HOME={install.java_home}")
        until = time.monotonic() + READY_S
        while self.network["client"].start(*java, *submit, log=self.home.log("submit")).wait():
            assert time.monotonic() < until, self.home.log("submit").read_text()

    def _publish(self, model: Path) -> None:
        until = time.monotonic() + READY_S
        with Client(self.url, policy=self.home.policy) as client:
            while True:
                try:
                    client.publish(pack_folder(model, self.owner), self.owner)
                except SealflowError:
                    assert time.monotonic() < until
                    time.sleep(0.5)
                else:
                    return


@pytest.fixture(scope="module")
def spread(request: pytest.FixtureRequest, model: Path) -> Iterator[Spread]:
    """A spread cluster with one of the engines."""
    if request.param == "flink":
        installed_flink()
    found = Spread(request.param, model)
    yield found
    found.close()


@pytest.mark.parametrize(("spread", "victim"), PAIRS, indirect=["spread"], scope="module")
def test_a_host_is_cut_off(spread: Spread, victim: str, rows: list[Row]) -> None:
    """One host without a network for a while: what was accepted is answered, once and right."""
    running = spread.load(victim)
    fault_at_s, in_flight = time.monotonic(), running.load.in_flight
    spread.network[victim].cut()
    try:
        time.sleep(CUT_S)
    finally:
        spread.network[victim].mend()
    time.sleep(MORE_S)
    load = running.finish()
    rows.append(
        Row.of(
            load,
            spread.engine,
            f"{victim} cut off for {CUT_S:g} s",
            in_flight=in_flight,
            fault_at_s=fault_at_s,
        )
    )
    load.demand_all()
    spread.await_status(is_whole)
