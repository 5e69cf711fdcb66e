"""Host: a client of the JobManager's REST interface, for jobs, savepoints and metrics.

Access to that interface allows running code on every TaskManager (docs/guide/flink.md). This module
uses the standard library only.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from sealflow.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S: Final = 30.0
RUNNING: Final = ("INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "RECONCILING")
_MAX_ANSWER_BYTES: Final = 64 * 2**20
_POLL_S: Final = 0.25
_OK: Final = (200, 202)
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """The PEM files for mutual TLS: root to trust, client certificate and its private key."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that uses these files.

        Raises: ConfigError for a file that is missing or is not PEM.
        """
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{self.ca}, {self.certificate}, {self.key}: cannot be used for TLS: {error}"
            ) from error
        return context


class FlinkRest:
    """The REST interface of one JobManager. Each call opens a connection.

    Calls raise UnavailableError when the JobManager does not answer, and ConfigError for an unknown
    job.
    """

    def __init__(self, url: str, tls: ClientTls | None) -> None:
        """Set the address, `http(s)://host:port`; `tls` is required for https.

        Raises: ConfigError.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"{url!r} is not a JobManager's address: write it as https://host:port"
            )
        if parts.scheme == "https" and tls is None:
            raise ConfigError(f"{url} requires a client certificate: give --tls FOLDER")
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._context = tls.context() if parts.scheme == "https" and tls is not None else None

    def overview(self) -> dict[str, Any]:
        """Return the numbers of TaskManagers, slots and jobs."""
        return self._call_object("GET", "/overview")

    def jobs(self) -> list[dict[str, Any]]:
        """Return `jid`, `name` and `state` of all jobs that the JobManager knows."""
        jobs: list[dict[str, Any]] = self._call_object("GET", "/jobs/overview")["jobs"]
        return jobs

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job with its `state` and `vertices`.

        Raises: ConfigError when there is no job of that id.
        """
        return self._call_object("GET", f"/jobs/{quote(job_id, safe='')}")

    def failure(self, job_id: str) -> str:
        """Return the stack trace of the job's latest failure; empty when it has not failed."""
        path = f"/jobs/{quote(job_id, safe='')}/exceptions"
        entries = self._call_object("GET", path)["exceptionHistory"]["entries"]
        return str(entries[0]["stacktrace"]) if entries else ""

    def cancel(self, job_id: str) -> None:
        """Cancel a job at once; the next job serves its requests in flight again."""
        self._call("PATCH", f"/jobs/{quote(job_id, safe='')}?mode=cancel", allow=(_CONFLICT,))

    def stop_job(self, job_id: str, timeout_s: float, savepoints: str | None = None) -> str:
        """Stop a job after it has answered its requests in flight; return its savepoint's location.

        `savepoints`: the folder for savepoints; None uses the cluster's.

        Raises: UnavailableError when stopping failed or took longer than `timeout_s`.
        """
        path = f"/jobs/{quote(job_id, safe='')}"
        body = {"drain": False} | ({} if savepoints is None else {"targetDirectory": savepoints})
        trigger = self._call_object("POST", f"{path}/stop", body)["request-id"]
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = self._call_object("GET", f"{path}/savepoints/{trigger}")
            if found["status"]["id"] == "COMPLETED":
                operation = found["operation"]
                if "failure-cause" in operation:
                    cause = str(operation["failure-cause"].get("stack-trace", "")).partition("\n")[
                        0
                    ]
                    raise UnavailableError(f"the job could not be stopped: {cause}")
                return str(operation["location"])
            time.sleep(_POLL_S)
        raise UnavailableError(f"the job did not stop within {timeout_s:g} s")

    def await_end(self, job_id: str, timeout_s: float) -> str:
        """Wait until a job has ended; return its last state.

        Raises: UnavailableError when it still runs after `timeout_s`.
        """
        until = time.monotonic() + timeout_s
        while (state := str(self.job(job_id)["state"])) in {*RUNNING, "CANCELLING"}:
            if time.monotonic() >= until:
                raise UnavailableError(f"the job is still {state} after {timeout_s:g} s")
            time.sleep(_POLL_S)
        return state

    def metrics(self, job_id: str, wait_s: float = 0.0) -> list[dict[str, int]]:
        """Return the metrics of each subtask (docs/guide/flink.md), by short name.

        A JobManager queries its TaskManagers only after a first query: `wait_s` is how long to wait
        until every subtask has metrics.
        """
        until = time.monotonic() + wait_s
        while True:
            found = self._fetch_metrics(job_id)
            if all(found) or time.monotonic() >= until:
                return found
            time.sleep(_POLL_S)

    def _fetch_metrics(self, job_id: str) -> list[dict[str, int]]:
        vertices = self.job(job_id)["vertices"]
        if not vertices:
            return []
        path = f"/jobs/{quote(job_id, safe='')}/vertices/{vertices[-1]['id']}/metrics"
        names = [str(each["id"]) for each in self._call("GET", path)]
        selected = [name for name in names if ".sealflow." in name]
        found: list[dict[str, int]] = [{} for _ in range(int(vertices[-1]["parallelism"]))]
        if selected:
            for each in self._call("GET", f"{path}?get={quote(','.join(selected))}"):
                subtask, _, rest = str(each["id"]).partition(".")
                found[int(subtask)][rest.rpartition(".")[2]] = int(float(each["value"]))
        return found

    def _call_object(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        found = self._call(method, path, body)
        if not isinstance(found, dict):
            raise UnavailableError(f"{self.url} is not a Flink JobManager")
        return found

    def _call(
        self, method: str, path: str, body: object = None, *, allow: tuple[int, ...] = ()
    ) -> Any:  # noqa: ANN401 - JSON
        status, content = self._exchange(method, path, body)
        try:
            answer = json.loads(content) if content else {}
        except ValueError as error:
            raise UnavailableError(f"{self.url} is not a Flink JobManager") from error
        if status in _OK or status in allow:
            return answer
        errors = answer.get("errors") if isinstance(answer, dict) else None
        why = (str(errors[0]) if errors else "").partition("\n")[0]
        if status == _NOT_FOUND:
            raise ConfigError(f"{self.url}: {why}")
        raise UnavailableError(f"{self.url}: HTTP {status}: {why}")

    def _exchange(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
            if self._context is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=self._context
            )
        )
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read(_MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()
