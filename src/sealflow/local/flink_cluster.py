"""Local: configuration, keys and command lines of a Flink cluster on this machine.

The cluster is a JobManager, and TaskManagers of one slot each. All its files are in one folder.
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
from sealflow.operator.key_folder import (
    create_credentials,
    read_tree,
    rotate_certificates,
    write_tree,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sealflow.host.engine.flink.settings import FlinkInstall


LOOPBACK: Final = "127.0.0.1"
FRUGAL_JVM: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""JVM options for processes that only schedule: without threads for concurrent garbage collection
and optimizing compilation."""
_FOLDERS: Final = ("conf", "logs", "pids", "tmp", "savepoints")
_LOGGING: Final = "log4j-console.properties"
_PASSED_VARIABLES: Final = ("HOME", "LANG", "PATH", "USER")
_RENEW_BEFORE: Final = timedelta(days=30)
_FLINK_COMPONENTS: Final = ("jobmanager", "taskmanager", "rest", "submit")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkTls:
    """The key stores and trust stores of a Flink cluster's processes."""

    jobmanager: TlsStores
    taskmanager: TlsStores
    rest: TlsStores
    """The JobManager's stores for its REST server, which also authenticates clients."""


class FlinkCluster:
    """The folder and the processes of a Flink cluster.

    Call `write` first, then start the JobManager, then the TaskManagers.
    """

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
        """Choose where the cluster lies and listens; nothing is written yet.

        `folder`: for all files. `rpc_port` and `rest_port`: TCP ports of the JobManager.
        `jobmanager` and `taskmanager`: addresses to listen on, by which the others connect.
        """
        self._install = install
        self._folder = folder.absolute()
        self._jars = self._folder / "lib"
        self._rpc_port = rpc_port
        self._rest_port = rest_port
        self._jobmanager = jobmanager
        self._taskmanager = taskmanager

    @property
    def savepoints(self) -> str:
        """The URI of the folder of savepoints, which Flink writes when a job is stopped."""
        return (self._folder / "savepoints").as_uri()

    def write(self, tls: FlinkTls | None) -> None:
        """Write the configuration of all processes, and link Flink's jars.

        `tls`: None for connections without TLS, which only an isolated network may carry.

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
        """Return the JobManager of a session cluster, which accepts jobs by its REST server."""
        return self._program("jobmanager", "jobmanager.sh", log)

    def application(self, job: Path, log: Path) -> ProcessSpec:
        """Return the JobManager of an application cluster, which runs one job by itself.

        `job`: the job's settings file. The job is submitted again when the process restarts.
        """
        driver = ("--job-classname", "org.apache.flink.client.python.PythonDriver")
        entry = ("-pym", "sealflow.host.engine.flink.submit", str(job.absolute()))
        program = self._program("jobmanager", "standalone-job.sh", log)
        return replace(program, argv=(*program.argv, *driver, *entry))

    def taskmanager(self, number: int, log: Path) -> ProcessSpec:
        """Return the TaskManager with this number; TaskManagers run the job's subtasks."""
        return self._program(f"taskmanager-{number}", "taskmanager.sh", log)

    def _program(self, name: str, script: str, log: Path) -> ProcessSpec:
        environment = {key: os.environ[key] for key in _PASSED_VARIABLES if key in os.environ}
        environment |= {
            "FLINK_CONF_DIR": str(self._folder / "conf" / name.partition("-")[0]),
            "FLINK_LOG_DIR": str(self._folder / "logs"),
            "FLINK_IDENT_STRING": name,
            "FLINK_LIB_DIR": str(self._jars),
            "JAVA_HOME": str(self._install.java_home),
            "PYTHONSAFEPATH": "1",
        }
        # Other variables must not be passed: PYTHONPATH, for example, would reach the subtasks.
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
            # One worker for each TaskManager: one slot, and subtasks spread over all slots.
            "taskmanager.numberOfTaskSlots": 1,
            "taskmanager.load-balance.mode": "SLOTS",
            "rest.address": self._jobmanager,
            "rest.bind-address": self._jobmanager,
            "rest.port": self._rest_port,
            "rest.bind-port": str(self._rest_port),
            "python.executable": str(self._install.python),
            "python.client.executable": str(self._install.python),
            # Jobs are submitted by PyFlink; uploads of jars in the web UI are not needed.
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
    """Return `env.java.opts.all` of Flink's own configuration: `--add-exports`, `--add-opens`."""
    text = (package / "conf" / "config.yaml").read_text()
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "all" and value.startswith("--add"):
            return value
    raise ConfigError(f"{package}/conf/config.yaml has no env.java.opts.all: {HOW_TO_MAKE}")


@dataclass(frozen=True, slots=True)
class FlinkKeys:
    """The key folder of a Flink cluster on this machine."""

    folder: Path

    def make(self, deployment: str) -> None:
        """Create the folder if it is missing; renew certificates less than 30 days before expiry.

        Raises: ConfigError.
        """
        now = datetime.now(UTC)
        if not self.folder.exists():
            files = create_credentials(ClusterNames(deployment=deployment), now, kubernetes=False)
            write_tree(self.folder, files, replace=False)
            return
        files = read_tree(self.folder)
        certificate = files.get("keys/rest/tls.crt", b"")
        try:
            until = x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc
        except ValueError as error:
            raise ConfigError(
                f"{self.folder}/keys/rest/tls.crt is damaged: delete the folder to get new keys"
            ) from error
        if until < now + _RENEW_BEFORE:
            chosen = [each for each in COMPONENTS if each.name in _FLINK_COMPONENTS]
            write_tree(self.folder, rotate_certificates(files, now, chosen), replace=True)

    @property
    def cluster(self) -> FlinkTls:
        """The stores of JobManager, TaskManagers and REST server.

        Raises: ConfigError when a file cannot be read, or a key is not RSA.
        """
        return FlinkTls(
            jobmanager=self._stores("jobmanager"),
            taskmanager=self._stores("taskmanager"),
            rest=self._stores("rest"),
        )

    @property
    def submit(self) -> Path:
        """The folder with the certificate and key of REST clients."""
        return self.folder / "keys" / "submit"

    @property
    def submit_password(self) -> Path:
        """The file with the password of the PKCS #12 stores of REST clients."""
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
    """Return the TLS files of a REST client in a component's folder, such as `keys/submit`."""
    return ClientTls(ca=folder / "ca.crt", certificate=folder / "tls.crt", key=folder / "tls.key")


def check_rsa(keystore: Path, password: str) -> None:
    """Check that a PKCS #12 key store opens with its password and holds an RSA key.

    Raises: ConfigError.
    """
    try:
        key, _, _ = pkcs12.load_key_and_certificates(_read(keystore), password.encode())
    except ValueError as error:
        raise ConfigError(
            f"{keystore} does not open with its password: use both of one key folder, which "
            "`sealflow keys make` creates"
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
