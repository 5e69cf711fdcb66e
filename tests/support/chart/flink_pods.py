"""The chart's Flink pods as plain processes: rendered settings, start script, command lines."""

from __future__ import annotations

import os
import shutil
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sealflow.local.supervisor import ProcessSpec, Supervisor
from tests.support.chart.flink_election import leading_address, running_jobs
from tests.support.chart.rendering import KUBERNETES, NAMESPACE, Object, pods_of
from tests.support.chart.schemas import check_object
from tests.support.kubernetes.api.kubeconfig import write_kubeconfig
from tests.support.kubernetes.api.server import ApiServer
from tests.support.kubernetes.api.store import Store
from tests.support.kubernetes.node.controllers import BY_NAME
from tests.support.network.certificate_authority import CertificateAuthority

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from pathlib import Path

    from sealflow.host.engine.flink.settings import FlinkInstall


class FlinkPods:
    """Starts them, with an API server that knows their accounts.

    Each has a loopback address of its own, where its ports are free. One that ends by itself is
    started again, as `restartPolicy: Always` demands: on a busy machine a TaskManager or a leader
    misses its heartbeats, and Flink ends it.
    """

    def __init__(
        self, objects: list[Object], folder: Path, install: FlinkInstall, keys: Path, engine: Path
    ) -> None:
        """Take rendered objects, a folder of keys, and the engine's settings."""
        self._pods = {
            pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod
            for pod in pods_of(objects).values()
        }
        self.take_settings(objects)
        self._folder = folder
        self._install = install
        self._keys = keys
        self._engine = engine
        self._network = f"127.{os.getpid() % 250 + 2}.{os.urandom(1)[0]}"
        self._addresses: dict[str, str] = {}
        self._cluster = Supervisor()
        # Processes end with the thread that started them.
        self._kubelet = ThreadPoolExecutor(1, thread_name_prefix="kubelet")
        self._closed = threading.Event()
        self.store = Store(lambda each: check_object(each, KUBERNETES[-1]))
        for each in objects:
            if each["kind"] in {"ServiceAccount", "Role", "RoleBinding"}:
                self.store.create(BY_NAME[each["kind"]], NAMESPACE, each)
        authority = CertificateAuthority(folder / "api")
        pair = authority.issue("api", host="127.0.0.1")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
        self.root = authority.root
        self.api = ApiServer(self.store, lambda namespace, name: "", tls=tls)
        self._restarting = threading.Thread(target=self._restart_ended, daemon=True)
        self._restarting.start()

    def take_settings(self, objects: list[Object]) -> None:
        """Give the pods that are started from now on the settings of other objects."""
        (self._files,) = (
            each["data"]
            for each in objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"].endswith("-flink")
        )

    def token(self, component: str) -> str:
        """Give what a pod of a component shows to the API server."""
        return self.api.access.token(NAMESPACE, self._pods[component]["spec"]["serviceAccountName"])

    def start(self, component: str, name: str) -> None:
        """Start a pod of a component."""
        address = f"{self._network}.{len(self._addresses) + 1}"
        self._addresses[name] = address
        own = self._folder / name
        (container,) = self._pods[component]["spec"]["containers"]
        circles = [
            each["mountPath"]
            for each in container["volumeMounts"]
            if each["name"] in {"flink-internal", "flink-rest"}
        ]
        for path in circles:
            self._give_keys(component, own / "secrets", path.rpartition("/")[2])
        places = {
            "/etc/sealflow-flink": str(own / "etc"),
            "/etc/sealflow/engine.toml": str(self._engine),
            "/opt/flink/bin/python": str(self._install.python),
            "/run/flink": str(own / "run"),
            "/run/secrets/sealflow": str(own / "secrets"),
            "/flink-ha": str(self._folder / "flink-ha"),
            '"0.0.0.0"': f'"{address}"',
        }
        (own / "etc").mkdir()
        kubeconfig = write_kubeconfig(
            own / "kubeconfig", self.api, NAMESPACE, token=self.token(component), ca=self.root
        )
        for file, text in self._files.items():
            (own / "etc" / file).write_text(_moved(text, places))
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(own),
            "HOSTNAME": name,
            "FLINK_HOME": str(self._install.package),
            "JAVA_HOME": str(self._install.java_home),
            "KUBECONFIG": str(kubeconfig),
            **{each["name"]: each.get("value", address) for each in container["env"]},
        }
        cleared = ("/usr/bin/env", "-i", *(f"{key}={value}" for key, value in variables.items()))
        words = (*container["command"], *container.get("args", ()))
        argv = (*cleared, *(_moved(word, places) for word in words))
        spec = ProcessSpec(name=name, argv=argv, log=self._folder / f"{name}.log")
        self._kubelet.submit(self._cluster.start_process, spec).result()

    def leader(self) -> str:
        """Give the name of the JobManager that leads; empty when none does."""
        leading = leading_address(self.store)
        return next((name for name, own in self._addresses.items() if own == leading), "")

    def jobs(self) -> set[str]:
        """Give the ids of the jobs that the leader runs."""
        return running_jobs(self.store)

    def delete(self, name: str, how: signal.Signals) -> None:
        """End a pod for good."""

        def end() -> None:
            os.kill(self._cluster.pid(name), how)
            self._cluster.stop_process(name, within_s=60)

        self._kubelet.submit(end).result()

    def close(self) -> None:
        """End all of them."""
        self._closed.set()
        self._restarting.join()
        for name in reversed(self._cluster.names()):
            self._cluster.stop_process(name, within_s=10)
        self._kubelet.shutdown()
        self.api.close()

    def _restart_ended(self) -> None:
        while not self._closed.wait(0.5):
            self._kubelet.submit(self._cluster.supervise).result()

    def _give_keys(self, component: str, folder: Path, circle: str) -> None:
        whose = "rest" if circle == "rest" else component
        own = folder / circle
        own.mkdir(parents=True)
        for name in ("keystore.p12", "truststore.p12"):
            shutil.copy(self._keys / "keys" / whose / name, own)
        shutil.copy(self._keys / "password" / whose / "keystore", own)


def _moved(text: str, places: Mapping[str, str]) -> str:
    for before, after in places.items():
        text = text.replace(before, after)
    return text
