"""One pod from its start to its end: restarts, probes, drain."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from tests.support.kubernetes.node.pod_network import enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kubernetes.api.store import Object
    from tests.support.kubernetes.node.containers import Containers
    from tests.support.kubernetes.node.pod_network import Network

_LOOK_S: Final = 0.3
_FIRST_PAUSE_S: Final = 1.0
_MAX_PAUSE_S: Final = 20.0


class Pod:
    """Runs until `stop`, or until its container ends where nothing restarts it."""

    def __init__(
        self,
        pod: Object,
        containers: Containers,
        network: Network,
        hosts: Callable[[], dict[str, str]],
        objects: Callable[[str, str], Object],
    ) -> None:
        """Start at once, on a thread."""
        self.object = pod
        self.name: str = pod["metadata"]["name"]
        self.ready = False
        self.phase = "Pending"
        self.restarts = 0
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self._containers = containers
        self._network = network
        self._hosts = hosts
        self._objects = objects
        self.space, self.address = network.place()
        self.container = f"{self.space}-{self.name}"
        self._unhealthy = threading.Event()
        self._attempt = 0
        self._former_logs = ""
        self._thread = threading.Thread(target=self._run, name=self.name)
        self._thread.start()

    @property
    def spec(self) -> Any:
        """Of its one container."""
        return self.object["spec"]["containers"][0]

    def logs(self) -> str:
        """What all its containers have written."""
        try:
            return self._former_logs + self._containers.logs(self.container)
        except RuntimeError:
            return self._former_logs

    def stop(self) -> None:
        """Ask it to end; `ended` says when it has."""
        self.ready = False
        self.stopping.set()

    def _run(self) -> None:
        try:
            self._live()
        finally:
            self.ready = False
            self._end()

    def _live(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self.stopping.is_set():
            self._start()
            while self._containers.running(self.container):
                if self.stopping.wait(_LOOK_S) or self._unhealthy.is_set():
                    break
            self.ready = False
            self._attempt += 1
            if self.stopping.is_set():
                return
            if self.object["spec"].get("restartPolicy") == "Never":
                code = self._containers.exit_code(self.container)
                self.phase = "Succeeded" if code == 0 else "Failed"
                self.stopping.wait()
                return
            self.restarts += 1
            self._former_logs += self._containers.logs(self.container)
            self._containers.remove(self.container)
            self.stopping.wait(pause_s)
            pause_s = min(pause_s * 2, _MAX_PAUSE_S)

    def _start(self) -> None:
        self._unhealthy.clear()
        self._containers.start(
            self.container, self.object, self.space, self.address, self._hosts(), self._objects
        )
        self.phase = "Running"
        if "readinessProbe" in self.spec:
            threading.Thread(target=self._probe, args=(self._attempt,), daemon=True).start()
        else:
            self.ready = True

    def _end(self) -> None:
        pause_s = (
            self.spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        if self.phase == "Running":
            time.sleep(pause_s)
        try:
            self._containers.stop(self.container)
        except RuntimeError:
            self._containers.remove(self.container)
        self._network.remove(self.space)
        self.ended.set()

    def _probe(self, attempt: int) -> None:
        """Probe as the node does, from its side of the network."""
        enter(self._network.node)
        for kind in ("startupProbe", "livenessProbe"):
            probe, failures = self.spec[kind], 0
            while attempt == self._attempt and not self.stopping.is_set():
                passed = self._ask(probe)
                failures = 0 if passed else failures + 1
                if kind == "startupProbe" and passed:
                    break
                if failures >= probe.get("failureThreshold", 3):
                    self._unhealthy.set()
                    return
                if kind == "livenessProbe":
                    ready = self._ask(self.spec["readinessProbe"])
                    self.ready = ready and attempt == self._attempt and not self.stopping.is_set()
                time.sleep(min(probe.get("periodSeconds", 10), 1))

    def _ask(self, probe: Object) -> bool:
        timeout_s = probe.get("timeoutSeconds", 1)
        wanted = probe.get("httpGet") or probe["tcpSocket"]
        port = port_number(self.spec, wanted["port"])
        try:
            if "tcpSocket" in probe:
                socket.create_connection((self.address, port), timeout_s).close()
                return True
            # As the node does, without looking at the certificate.
            connection = (
                http.client.HTTPSConnection(
                    self.address,
                    port,
                    timeout=timeout_s,
                    context=ssl._create_unverified_context(),  # noqa: S323
                )
                if wanted.get("scheme") == "HTTPS"
                else http.client.HTTPConnection(self.address, port, timeout=timeout_s)
            )
            try:
                connection.request("GET", wanted["path"])
                return connection.getresponse().status < 400
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False


def port_number(container: Object, port: str | int) -> int:
    """Give a container's port by its name or number."""
    for each in container.get("ports", ()):
        if each["name"] == port:
            return int(each["containerPort"])
    return int(port)
