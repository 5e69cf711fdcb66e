"""Local: starts Flink and its job for `sealflow up`, submits a lost job again, stops the job."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, SealflowError, UnavailableError
from sealflow.host.enclave.die_with_parent import die_with_parent
from sealflow.host.engine.flink.rest import RUNNING, FlinkRest
from sealflow.host.engine.flink.settings import FlinkInstall
from sealflow.local.flink_cluster import FRUGAL_JVM, LOOPBACK, FlinkCluster, FlinkKeys, client_tls
from sealflow.local.supervisor import await_ready, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealflow.local.home import ClusterHome, Toml
    from sealflow.local.supervisor import Supervisor

START_S: Final = 120.0
SUBMIT_S: Final = 120.0
STOP_S: Final = 40.0
_END_S: Final = 15.0


class FlinkLaunch:
    """A Flink cluster and its job, as children of the process of `sealflow up`."""

    def __init__(
        self,
        home: ClusterHome,
        cluster: Supervisor,
        deployment: str,
        *,
        venv: Path,
        taskmanagers: int,
        ports: tuple[int, int],
    ) -> None:
        """Write keys and configuration to the folder `flink` of the home; nothing is started yet.

        `venv`: Flink's Python environment. `ports`: TCP ports of the REST server with the web UI,
        and of the JobManager's RPC.

        Raises: ConfigError.
        """
        self._home = home
        self._cluster = cluster
        self._taskmanagers = taskmanagers
        self._install = FlinkInstall.find(venv)
        folder = home.path / "flink"
        rest_port, rpc_port = ports
        self._flink = FlinkCluster(self._install, folder, rpc_port=rpc_port, rest_port=rest_port)
        self._keys = FlinkKeys(folder / "keys")
        self._keys.make(deployment)
        self._flink.write(self._keys.cluster)
        self.url = f"https://{LOOPBACK}:{rest_port}"
        self.rest = FlinkRest(self.url, client_tls(self._keys.submit))
        self._job_id = ""
        self._submitting: subprocess.Popen[str] | None = None
        self._submitted_s = 0.0

    def start(self, engine: Mapping[str, Toml]) -> Iterator[str]:
        """Start Flink's processes and submit the job. Yield a line of text after each step.

        `engine`: the settings of the engine, which the job reads.

        Raises: ConfigError when Flink or the job does not start, with the reason.
        """
        settings = {**engine, "enclaves_dir": str(Path(sys.executable).parents[1])}
        path = self._home.write_config("engine", settings)
        self._home.write_config("job", self._job(path.absolute()))
        self._cluster.start_process(self._flink.jobmanager(self._home.log("jobmanager")))
        for number in range(self._taskmanagers):
            log = self._home.log(f"taskmanager-{number}")
            self._cluster.start_process(self._flink.taskmanager(number, log))
        self._await("Flink", self._check_rest, START_S)
        yield f"flink       {self.url} ({self._taskmanagers} TaskManagers)"
        self._submit()
        self._await("the job", self._finish_submission, SUBMIT_S)
        yield f"job         {self._job_id}"

    def facts(self) -> dict[str, object]:
        """Return the URL of the REST server and the folder of TLS files for it."""
        return {"url": self.url, "tls": str(self._keys.submit.absolute())}

    def resubmit_if_lost(self, say: Callable[[str], None]) -> None:
        """Submit the job again if it failed, or if the JobManager restarted and has lost it.

        `say` is called with a line of text when the job was submitted, or could not be.
        """
        try:
            if self._submitting is not None:
                self._finish_submission()
                say(f"the job was submitted again: {self._job_id}")
                return
            states = {job["jid"]: job["state"] for job in self.rest.jobs()}
            if states.get(self._job_id, "FAILED") == "FAILED":
                self._submit()
        except UnavailableError:
            # The submission is still running, or the JobManager is restarting.
            return
        except ConfigError as error:
            say(f"cannot submit the job: {error}")

    def stop(self) -> None:
        """Stop the job after it has answered the requests in flight; Flink's processes go on."""
        if self._submitting is not None:
            self._submitting.kill()
            self._submitting.wait()
        with suppress(SealflowError):
            if self._job_id and self.rest.job(self._job_id)["state"] in RUNNING:
                self.rest.stop_job(self._job_id, STOP_S)
                self.rest.await_end(self._job_id, _END_S)

    def programs(self) -> list[str]:
        """Return the names of Flink's processes in the order in which to stop them."""
        return [*(f"taskmanager-{number}" for number in range(self._taskmanagers)), "jobmanager"]

    def _job(self, engine_config: Path) -> dict[str, Toml]:
        folder = self._keys.submit.absolute()
        return {
            "engine_config": str(engine_config),
            "name": "sealflow",
            "parallelism": self._taskmanagers,
            "python": str(self._install.python),
            "rest_url": self.url,
            "keystore": str(folder / "keystore.p12"),
            "truststore": str(folder / "truststore.p12"),
            "password_file": str(self._keys.submit_password.absolute()),
        }

    def _check_rest(self) -> None:
        self.rest.overview()

    def _submit(self) -> None:
        self._submitting = start_submission(
            self._install, self._home.path / "run" / "job.toml", self._home.log("submit")
        )
        self._submitted_s = time.monotonic()

    def _finish_submission(self) -> None:
        submitting, log = self._submitting, self._home.log("submit")
        if submitting is None:
            return
        if submitting.poll() is None:
            if time.monotonic() < self._submitted_s + SUBMIT_S:
                raise UnavailableError("the submission is still running")
            submitting.kill()
            submitting.communicate()
            self._submitting = None
            raise ConfigError(f"the job was not submitted within {SUBMIT_S:g} s (see {log})")
        self._submitting = None
        self._job_id = finished_submission(submitting, log)

    def _await(self, who: str, attempt: Callable[[], None], timeout_s: float) -> None:
        logs = self._home.path / "logs"
        await_ready(who, attempt, timeout_s, cluster=self._cluster, logs=logs)


def start_submission(install: FlinkInstall, job: Path, log: Path) -> subprocess.Popen[str]:
    """Start a process in Flink's Python environment that submits a job, and return it.

    `job`: the job's settings file. `log`: the file to which stderr is appended.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(job.parent)}
    environment |= {"JAVA_HOME": str(install.java_home), "JVM_ARGS": FRUGAL_JVM}
    environment |= {"PYTHONSAFEPATH": "1"}
    module = "sealflow.host.engine.flink.submit"
    argv = (str(install.python), "-P", "-m", module, str(job.absolute()))
    with log.open("ab") as errors:
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            die_with_parent(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env=environment, text=True,
        )  # fmt: skip


def finished_submission(process: subprocess.Popen[str], log: Path) -> str:
    """Wait until a submission ends. Return the job's id.

    Raises: ConfigError with the last line of the log.
    """
    output, _ = process.communicate()
    if process.returncode != 0:
        raise ConfigError(f"the job was not submitted: {last_line(log)} (see {log})")
    return output.split()[-1]
