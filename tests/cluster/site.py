"""A release on a small cluster that runs its pods, seen from an owner's machine beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonschema
import yaml

from sealflow.cli.home import Home
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Release, merged, run_helm
from tests.chart.schemas import check_object
from tests.cluster.apiserver import ApiServer
from tests.cluster.containers import ROOT, Containers, images
from tests.cluster.controllers import BY_NAME
from tests.cluster.network import NAMESPACES, Network
from tests.cluster.node import Node
from tests.cluster.store import Object, StatusError, Store

if TYPE_CHECKING:
    from tests.cluster.pods import Pod

SEALFLOW: Final = Path(sys.executable).parent / "sealflow"
_START_S: Final = 200


class Site:
    """Starts empty; `install` puts the chart on it."""

    def __init__(self, folder: Path) -> None:
        """Make keys as an operator would, a simulated platform, and a node."""
        self.folder = folder
        self.home = Home(folder / "home")
        self.home.prepare("sealflow")
        self.keys = folder / "keys"
        place = (f"--release={RELEASE}", f"--namespace={NAMESPACE}", "--kubernetes")
        subprocess.run(
            [SEALFLOW, "keys", "make", self.keys, *place], check=True, capture_output=True
        )
        self.store = Store(_checked)
        self.network = Network()
        self._containers = Containers(folder / "node", images(ROOT / "examples" / "photos"))
        self.node = Node(self.store, NAMESPACE, self._containers, self.network)
        self._api = ApiServer(self.store, self.node.logs)
        self._kubeconfig = self._api.write_kubeconfig(folder / "kubeconfig", NAMESPACE)
        self._add_objects()
        self.owner = self.guest({"app": "owner"})

    def values(self, more: Object) -> Release:
        """Give the values of this site, with `more` laid over them."""
        own = {
            "deployment": {"settings": self.home.deployment.read_text()},
            "benchmark": {"policy": self.home.policy.read_text(), "count": 100, "concurrency": 8},
        }
        return Release(values=merged(own, more))

    def helm(self, verb: str, *arguments: str, release: Release | None = None) -> str:
        """Run helm here.

        Raises: HelmError.
        """
        given = [] if release is None else [str(CHART), "--wait", *release.arguments(self.folder)]
        place = (f"--kubeconfig={self._kubeconfig}", f"--namespace={NAMESPACE}")
        limit = (f"--timeout={_START_S}s",)
        return run_helm(
            verb,
            RELEASE,
            *given,
            *arguments,
            *place,
            *limit,
            folder=self.folder,
            within_s=_START_S + 10,
        )

    def guest(self, labels: dict[str, str]) -> str:
        """Give the name of a network namespace like that of a pod with these labels."""
        return self.node.guest(labels)

    def sealflow(self, guest: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `sealflow` in a guest's network, where the Services' names are known."""
        lines = [f"{ip} {name}" for name, ip in self.node.hosts().items()]
        hosts = self.folder / f"hosts-{guest}"
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        # Its own trust, and no other: what comes with the keys.
        ca = self.keys / "keys" / "client" / "ca.crt"
        options = (
            f"--url=https://{RELEASE}-gateway:8470",
            f"--ca={ca}",
            f"--home={self.home.path}",
        )
        return subprocess.Popen(
            [
                *("nsenter", f"--net={NAMESPACES / guest}", "unshare", "--mount", "sh", "-c"),
                *(script, "sh", str(SEALFLOW), *arguments, *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ),
        )

    def pid(self, pod: Pod) -> int:
        """Give the process id of a pod's first process, seen from here."""
        return self._containers.pid(pod.container)

    def kill(self, pod: Pod) -> None:
        """SIGKILL the first process of a pod, and so all of it."""
        os.kill(self.pid(pod), signal.SIGKILL)

    def close(self) -> None:
        """Take all of it away."""
        try:
            self.node.close()
        finally:
            self._containers.close()
            self.network.close()
            self._api.close()

    def _add_objects(self) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self.store.create(BY_NAME["Namespace"], "", space)
        platform = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "sealflow-simulated-platform"},
            "data": {
                "simulated-platform.json": b64encode(self.home.platform.read_bytes()).decode()
            },
        }
        secrets = [platform]
        for name in ("keys/keys.yaml", "password/password.yaml"):
            secrets += yaml.safe_load_all((self.keys / name).read_text())
        for each in secrets:
            self.store.create(BY_NAME["Secret"], NAMESPACE, each)


def _checked(each: Object) -> None:
    try:
        check_object(each, "1.37")
    except jsonschema.ValidationError as error:
        raise StatusError(400, "BadRequest", f"strict decoding error: {error.message}") from error
