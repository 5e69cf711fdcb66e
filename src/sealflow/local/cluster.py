"""Local: starts the processes of a cluster, publishes its models, restarts what ends, stops it."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from sealflow.attest.deployment import TIMES
from sealflow.errors import ConfigError, SealflowError, UnavailableError, VerificationError
from sealflow.host.broker.embedded_server import server_command, server_url, wait_ready
from sealflow.local.flink_cluster import LOOPBACK
from sealflow.local.flink_launch import FlinkLaunch
from sealflow.local.supervisor import ProcessSpec, Supervisor, await_ready, free_port, pick_port
from sealflow.owner.client.client import Client
from sealflow.owner.http.gateway_api import fetch_status
from sealflow.owner.models.packing import pack_folder
from sealflow.package.container import UnverifiedPackage
from sealflow.streams.address import BrokerAddress, http_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sealflow.local.home import ClusterHome


_ENGINE_OPTIONS: Final = (
    "workers",
    "threads",
    "runtime",
    "max_batch",
    "max_wait_ms",
    "max_owners",
    "load_s",
    "run_s",
)
_TLS_OPTIONS: Final = ("tls_certificate", "tls_key")
START_TIMEOUT_S: Final = 60.0
LOAD_TIMEOUT_S: Final = 300.0
_MAX_BROKER_BYTES: Final = 2 * 2**30
_SUPERVISE_S: Final = 0.5
_CHECK_S: Final = 5.0
_MODULES: Final = {"control": "keybroker_host", "engine": "engine", "gateway": "gateway"}
_STOP_S: Final = {"gateway": 25.0, "engine": 30.0, "control": 10.0, "broker": 10.0}
_STOP_FLINK_S: Final = 10.0


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sealflow.local.home import ClusterHome, Toml

    Settings = dict[str, Toml]


def process_settings(
    home: ClusterHome, broker: BrokerAddress, options: Mapping[str, Any], port: int
) -> dict[str, Settings]:
    """Return the settings of each process by its name, in the order in which they start.

    `options`: the options of `sealflow up`, by parameter name. `port`: the gateway's port.
    """
    common: Settings = {f"broker_{name}": value for name, value in broker.to_json().items()}
    common["deployment"] = options["deployment"]
    trusted = {**common, **_trusted(home, options["enclaves"])}
    packages = {"packages_dir": str(home.packages.absolute())}
    controls = ("control", *(f"control-{n}" for n in range(2, options["keybrokers"] + 1)))
    return {
        **{
            name: {**trusted, "state_dir": str((home.keybroker / name).absolute())}
            for name in controls
        },
        "engine": {**trusted, **packages, **_engine(options), "instance": "up"},
        "gateway": {**common, **packages, **_gateway(options), "port": port},
    }


def deployment_times(given: Sequence[str]) -> dict[str, int]:
    """Parse values of `--time NAME=SECONDS`. Return the times in seconds by name.

    Raises: ConfigError.
    """
    times = {}
    for each in given:
        name, _, seconds = each.partition("=")
        if name not in TIMES or not seconds.isdecimal():
            raise ConfigError(
                f"--time {each}: write NAME=SECONDS, where NAME is one of {', '.join(TIMES)}"
            )
        times[name] = int(seconds)
    return times


def _trusted(home: ClusterHome, enclaves: Path | None) -> Settings:
    files: Settings = {
        "deployment_file": str(home.deployment.absolute()),
        "simulated_platform_file": str(home.platform.absolute()),
        "logs_dir": str((home.path / "logs").absolute()),
    }
    return files if enclaves is None else {**files, "enclaves_dir": str(enclaves.absolute())}


def _engine(options: Mapping[str, Any]) -> Settings:
    settings: Settings = {name: options[name] for name in _ENGINE_OPTIONS}
    return {**settings, "worker_memory_bytes": (options["worker_memory"] or 0) * 2**20}


def _gateway(options: Mapping[str, Any]) -> Settings:
    tls = {name: str(options[name]) for name in _TLS_OPTIONS if options[name] is not None}
    origins = list(options["cors_origins"])
    return {
        "queue_capacity": options["queue_capacity"],
        "host": options["host"],
        "cors_origins": origins,
        **tls,
    }


class LocalCluster:
    """A cluster whose processes are children of this process."""

    def __init__(
        self, home: ClusterHome, options: Mapping[str, Any], broker: BrokerAddress | None
    ) -> None:
        """Choose the gateway's port; nothing is started yet.

        `options`: the options of `sealflow up`, by parameter name.
        `broker`: the address of a running broker; None for one that `start` starts.

        Raises: ConfigError when the port is taken.
        """
        self._home = home
        self._options = options
        self._cluster = Supervisor()
        self._client: Client | None = None
        self._packages: dict[str, bytes] = {}
        self._broker = broker
        self._url = ""
        self._ca: Path | None = options["tls_ca"] or options["tls_certificate"]
        self._port = free_port(options["host"], options["port"])
        self._flink: FlinkLaunch | None = None

    def start(self) -> Iterator[str]:
        """Start all processes and publish the models. Yield a line of text after each step.

        Raises: ConfigError when a process or model cannot be started, with the reason.
        """
        running = self._home.endpoint()
        if running is not None:
            raise ConfigError(
                f"a cluster already runs in {self._home.path} (pid {running['pid']}): stop it, or "
                "use another --home"
            )
        self._owner, self._deployment = self._home.prepare(
            self._options["deployment"],
            deployment_times(self._options["times"]),
            self._options["suites"],
            share_batch=self._options["share_batch"],
            owners=self._options["owners"],
            enclaves=self._options["enclaves"],
        )
        for path in self._options["models"]:
            self._add_package(path)
        broker = self._broker = self._broker or self._start_broker()
        yield f"queue       {broker.shown}"
        wait_ready(broker, START_TIMEOUT_S)
        processes = process_settings(self._home, broker, self._options, self._port)
        for name, settings in processes.items():
            if name == "engine" and self._options["engine"] == "flink":
                continue
            path = self._home.write_config(name, settings)
            module = name.partition("-")[0]
            argv = (sys.executable, "-P", "-m", f"sealflow.host.{_MODULES[module]}", str(path))
            self._cluster.start_process(ProcessSpec(name=name, argv=argv, log=self._home.log(name)))
        yield "processes   control with key broker, gateway, engine with workers"
        if self._options["engine"] == "flink":
            self._flink = self._make_flink()
            yield from self._flink.start({**processes["engine"], "instance": "flink"})
        self._await_gateway()
        self._client = Client(
            self._url,
            policy=self._home.policy,
            ca=self._ca,
            connections=4,
        )
        self._await_verified(self._client)
        yield f"gateway     {self._url}"
        self._publish_missing()
        self._await_models()
        yield f"models      {len(self._packages)} loaded"
        self._home.write_endpoint(self.facts())

    def facts(self) -> dict[str, object]:
        """Return the cluster's addresses, files, models and process ids, as in `cluster.json`."""
        broker = {} if self._broker is None else self._broker.to_json()
        return {
            "url": self._url,
            "ca": None if self._ca is None else str(self._ca),
            "broker_url": broker.get("url"),
            "broker": broker,
            "policy": str(self._home.policy),
            "home": str(self._home.path),
            "logs": str(self._home.path / "logs"),
            "pid": os.getpid(),
            "simulated": True,
            "models": ", ".join(
                str(UnverifiedPackage.from_bytes(data).unverified_statement.manifest.ref)
                for data in self._packages.values()
            )
            or "none: sealflow model publish",
            "flink": None if self._flink is None else self._flink.facts(),
            "pids": {name: self._cluster.pid(name) for name in self._cluster.names()},
        }

    def supervise(self, say: Callable[[str], None]) -> None:
        """Restart ended processes, and publish models that the key broker lost. Never returns.

        `say` is called with a line of text for each event.

        Raises: ConfigError when a process fails several times soon after its start.
        """
        check_at = time.monotonic() + _CHECK_S
        while True:
            time.sleep(_SUPERVISE_S)
            restarted = self._cluster.supervise()
            for name in restarted:
                say(f"{name} ended and was restarted: see {self._home.log(name)}")
            if restarted:
                self._home.write_endpoint(self.facts())
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + _CHECK_S
                if self._flink is not None:
                    self._flink.resubmit_if_lost(say)
                try:
                    for digest in self._publish_missing():
                        say(f"published again after a restart of the key broker: {digest}")
                except SealflowError as error:
                    say(f"cannot check which models are published: {error}")

    def stop(self) -> None:
        """Stop all processes: the gateway first, then engine, key broker and broker."""
        if self._client is not None:
            self._client.close()
        for module, within_s in _STOP_S.items():
            if module == "engine" and self._flink is not None:
                self._flink.stop()
                for each in self._flink.programs():
                    self._cluster.stop_process(each, within_s=_STOP_FLINK_S)
            for name in self._cluster.names():
                if name.partition("-")[0] == module:
                    self._cluster.stop_process(name, within_s=within_s)
        if self._url:
            self._home.cluster.unlink(missing_ok=True)

    def _make_flink(self) -> FlinkLaunch:

        options = self._options
        ports = (pick_port(LOOPBACK, options["flink_ui_port"]), free_port(LOOPBACK, 0))
        return FlinkLaunch(
            self._home,
            self._cluster,
            options["deployment"],
            venv=options["flink_venv"],
            taskmanagers=options["taskmanagers"] or len(os.sched_getaffinity(0)),
            ports=ports,
        )

    def _add_package(self, path: Path) -> None:
        data = pack_folder(path, self._owner) if path.is_dir() else path.read_bytes()
        digest = UnverifiedPackage.from_bytes(data).verify(self._owner.signer).digest
        self._packages[digest] = data

    def _start_broker(self) -> BrokerAddress:
        argv = server_command(self._home.broker, max_memory_bytes=_MAX_BROKER_BYTES)
        self._cluster.start_process(
            ProcessSpec(name="broker", argv=argv, log=self._home.log("broker"))
        )
        return BrokerAddress(url=server_url(self._home.broker))

    def _await_gateway(self) -> None:
        tls = bool(self._options["tls_certificate"])
        self._url = http_url(self._options["host"], self._port, tls=tls)
        self._await("the gateway", lambda: fetch_status(self._url, self._ca), START_TIMEOUT_S)

    def _await_verified(self, client: Client) -> None:
        def verified() -> None:
            try:
                client.verify()
            except VerificationError as error:
                # The queue still has the directory of an earlier start with other settings or code.
                raise UnavailableError(str(error)) from error

        self._await("the key broker", verified, START_TIMEOUT_S)

    def _publish_missing(self) -> list[str]:
        client = self._client
        if client is None or not self._packages:
            return []
        report = client.verify()
        have = {model.digest for model in report.models}
        have |= {each.id for each in report.revoked}
        missing = [digest for digest in self._packages if digest not in have]
        for digest in missing:
            client.publish(self._packages[digest], self._owner)
        return missing

    def _await_models(self) -> None:
        def loaded() -> None:
            found = fetch_status(self._url, self._ca)
            workers = [
                {model.digest for model in worker.models}
                for component in found.components
                for worker in component.workers or ()
            ]
            if not workers or not all(self._packages.keys() <= each for each in workers):
                raise UnavailableError("workers are still loading models")

        if self._packages:
            self._await("the workers", loaded, LOAD_TIMEOUT_S)

    def _await(self, who: str, attempt: Callable[[], object], timeout_s: float) -> None:
        logs = self._home.path / "logs"
        await_ready(who, attempt, timeout_s, cluster=self._cluster, logs=logs)
