"""Local: a Flink cluster on this machine: its configuration, keys and processes.

A JobManager and TaskManagers of one slot each, with every file in one folder.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from sealflow.errors import ConfigError
from sealflow.files import file_errors
from sealflow.host.engine.flink.rest import ClientTls
from sealflow.host.engine.flink.settings import HOW_TO_MAKE, TlsStores
from sealflow.local.supervisor import ProcessSpec
from sealflow.operator.components import COMPONENTS, ClusterNames
from sealflow.operator.key_folder import make, read_tree, rotate_certificates, write_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sealflow.host.engine.flink.settings import FlinkInstall


LOOPBACK: Final = "127.0.0.1"
FRUGAL_JVM: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""For JVMs that only schedule: no threads that collect or compile in the background."""
_FOLDERS: Final = ("conf", "logs", "pids", "tmp", "savepoints")
_LOGGING: Final = "log4j-console.properties"
_KEPT: Final = ("HOME", "LANG", "PATH", "USER")
_RENEW: Final = timedelta(days=30)
_FLINK: Final = ("jobmanager", "taskmanager", "rest", "submit")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkTls:
    """Who each of a cluster's processes is."""

    jobmanager: TlsStores
    taskmanager: TlsStores
    rest: TlsStores
    """What the JobManager shows to clients of its REST interface, and whom it lets in."""


class FlinkCluster:
    """One cluster's folder. `write` first, then start its programs in order."""

    def __init__(
        self,
        install: FlinkInstall,
        folder: Path,
        *,
        rpc_port: int,
        rest_port: int,
        jobmanager: str = LOOPBACK,
        taskmanager: str = LOOPBACK,
    ) -> None:
        """Keep everything below `folder`; the last two are addresses, to listen on and reach."""
        self._install = install
        self._folder = folder.absolute()
        self._jars = self._folder / "lib"
        self._rpc_port = rpc_port
        self._rest_port = rest_port
        self._jobmanager = jobmanager
        self._taskmanager = taskmanager

    @property
    def savepoints(self) -> str:
        """Where stopped jobs leave their savepoints."""
        return (self._folder / "savepoints").as_uri()

    def write(self, tls: FlinkTls | None) -> None:
        """Write the configuration; without TLS for a network that nobody else reaches.

        Raises: ConfigError.
        """
        jobmanager, taskmanager = {}, {}
        if tls is not None:
            jobmanager = tls.jobmanager.internal_settings() | tls.rest.rest_settings()
            taskmanager = tls.taskmanager.internal_settings()
        with file_errors(f"{self._folder}: cannot write"):
            for name in _FOLDERS:
                (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._link_jars()
            self._write_for("jobmanager", jobmanager)
            self._write_for("taskmanager", taskmanager)

    def _link_jars(self) -> None:
        shutil.rmtree(self._jars, ignore_errors=True)
        self._jars.mkdir(mode=0o700)
        for jar in self._install.jars:
            (self._jars / jar.name).symlink_to(jar)

    def _write_for(self, role: str, tls: Mapping[str, str]) -> None:
        conf = self._folder / "conf" / role
        conf.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(self._install.package / "conf" / _LOGGING, conf / _LOGGING)
        settings = {**self._settings(), **tls}
        path = conf / "config.yaml"
        path.touch(mode=0o600)
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))

    def jobmanager(self, log: Path) -> ProcessSpec:
        """The process that schedules, with the web UI."""
        return self._program("jobmanager", "jobmanager.sh", log)

    def application(self, job: Path, log: Path) -> ProcessSpec:
        """A JobManager for one job, which it starts by itself, also when it is started again."""
        driver = ("--job-classname", "org.apache.flink.client.python.PythonDriver")
        entry = ("-pym", "sealflow.host.engine.flink.submit", str(job.absolute()))
        program = self._program("jobmanager", "standalone-job.sh", log)
        return replace(program, argv=(*program.argv, *driver, *entry))

    def taskmanager(self, number: int, log: Path) -> ProcessSpec:
        """One of the processes that run subtasks."""
        return self._program(f"taskmanager-{number}", "taskmanager.sh", log)

    def _program(self, name: str, script: str, log: Path) -> ProcessSpec:
        environment = {key: os.environ[key] for key in _KEPT if key in os.environ}
        environment |= {
            "FLINK_CONF_DIR": str(self._folder / "conf" / name.partition("-")[0]),
            "FLINK_LOG_DIR": str(self._folder / "logs"),
            "FLINK_IDENT_STRING": name,
            "FLINK_LIB_DIR": str(self._jars),
            "JAVA_HOME": str(self._install.java_home),
        }
        # From the environment of this process nothing else: PYTHONPATH would reach the subtasks.
        cleared = ("/usr/bin/env", "-i", *(f"{key}={value}" for key, value in environment.items()))
        path = self._install.package / "bin" / script
        return ProcessSpec(name=name, argv=(*cleared, str(path), "start-foreground"), log=log)

    def _settings(self) -> Mapping[str, str | int]:
        return {
            "jobmanager.rpc.address": self._jobmanager,
            "jobmanager.rpc.port": self._rpc_port,
            "jobmanager.bind-host": self._jobmanager,
            "jobmanager.memory.process.size": "900m",
            "taskmanager.host": self._taskmanager,
            "taskmanager.bind-host": self._taskmanager,
            "taskmanager.memory.process.size": "900m",
            "taskmanager.memory.managed.fraction": "0.1",
            "taskmanager.memory.network.max": "64m",
            # One worker a TaskManager, and none gets two while another has none.
            "taskmanager.numberOfTaskSlots": 1,
            "taskmanager.load-balance.mode": "SLOTS",
            "rest.address": self._jobmanager,
            "rest.bind-address": self._jobmanager,
            "rest.port": self._rest_port,
            "rest.bind-port": str(self._rest_port),
            "python.executable": str(self._install.python),
            "python.client.executable": str(self._install.python),
            # Jars and their uploads are of no use here.
            "web.submit.enable": "false",
            "metrics.fetcher.update-interval": 2000,
            "heartbeat.interval": 2000,
            "heartbeat.timeout": 10000,
            "execution.checkpointing.savepoint-dir": self.savepoints,
            "env.pid.dir": str(self._folder / "pids"),
            "io.tmp.dirs": str(self._folder / "tmp"),
            "env.java.opts.all": f"{FRUGAL_JVM} {_shipped_java_options(self._install.package)}",
        }


def _shipped_java_options(package: Path) -> str:
    """The access to Java's inside that Flink's own configuration asks for."""
    text = (package / "conf" / "config.yaml").read_text()
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "all" and value.startswith("--add"):
            return value
    raise ConfigError(f"{package}/conf/config.yaml has no env.java.opts.all: {HOW_TO_MAKE}")


@dataclass(frozen=True, slots=True)
class FlinkKeys:
    """A key folder of one machine, kept current."""

    folder: Path

    def make(self, deployment: str) -> None:
        """Make the folder if it is not there; give new certificates when the old ones end soon.

        Raises: ConfigError.
        """
        now = datetime.now(UTC)
        if not self.folder.exists():
            files = make(ClusterNames(deployment=deployment), now, kubernetes=False)
            write_tree(self.folder, files, replace=False)
            return
        files = read_tree(self.folder)
        certificate = files.get("keys/rest/tls.crt", b"")
        try:
            until = x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc
        except ValueError as error:
            raise ConfigError(f"{self.folder}: damaged; delete it to get new keys") from error
        if until < now + _RENEW:
            of_flink = [component for component in COMPONENTS if component.name in _FLINK]
            write_tree(self.folder, rotate_certificates(files, now, of_flink), replace=True)

    @property
    def cluster(self) -> FlinkTls:
        """What Flink's processes need.

        Raises: ConfigError for keys that Flink cannot use.
        """
        return FlinkTls(
            jobmanager=self._stores("jobmanager"),
            taskmanager=self._stores("taskmanager"),
            rest=self._stores("rest"),
        )

    @property
    def submit(self) -> Path:
        """The folder of what clients of the REST interface show."""
        return self.folder / "keys" / "submit"

    @property
    def submit_password(self) -> Path:
        """The password of the client's stores."""
        return self.folder / "password" / "submit" / "keystore"

    def _stores(self, component: str) -> TlsStores:
        folder = self.folder.absolute() / "keys" / component
        password = _read(self.folder / "password" / component / "keystore").decode()
        check_rsa(folder / "keystore.p12", password)
        return TlsStores(
            keystore=str(folder / "keystore.p12"),
            truststore=str(folder / "truststore.p12"),
            password=password,
        )


def client_tls(folder: Path) -> ClientTls:
    """What a client of REST reads from one component's folder, such as `keys/submit`."""
    return ClientTls(ca=folder / "ca.crt", certificate=folder / "tls.crt", key=folder / "tls.key")


def check_rsa(keystore: Path, password: str) -> None:
    """Refuse a keystore that Flink cannot use.

    Raises: ConfigError.
    """
    try:
        key, _, _ = pkcs12.load_key_and_certificates(_read(keystore), password.encode())
    except ValueError as error:
        raise ConfigError(
            f"{keystore} does not open with its password: take both from one run of `sealflow keys`"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        kind = "no private key" if key is None else "a key that is not RSA"
        raise ConfigError(
            f"{keystore} holds {kind}: Flink's cipher suites need RSA; `sealflow keys make` makes "
            "such keys"
        )


def _read(path: Path) -> bytes:
    with file_errors(f"{path}"):
        return path.read_bytes()
