"""A release on a small cluster that runs its pods, seen from an owner's machine beside it."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonschema
import yaml

from sealflow.local.home import ClusterHome
from tests.support.chart.rendering import (
    CHART,
    NAMESPACE,
    RELEASE,
    TOOLS,
    HelmError,
    Release,
    merge_values,
)
from tests.support.chart.schemas import check_object
from tests.support.kubernetes.api.kubeconfig import write_kubeconfig
from tests.support.kubernetes.api.server import ApiServer
from tests.support.kubernetes.api.store import Object, StatusError, Store
from tests.support.kubernetes.node.containers import ROOT, Containers, images
from tests.support.kubernetes.node.controllers import BY_NAME
from tests.support.kubernetes.node.node import Node
from tests.support.kubernetes.node.pod_network import NAMESPACES, Network, within
from tests.support.kubernetes.node.service_accounts import ServiceAccounts
from tests.support.network.certificate_authority import CertificateAuthority

if TYPE_CHECKING:
    from tests.support.kubernetes.node.pods import Pod

_START_S: Final = 200
_API_PORT: Final = 6443


class InstalledRelease:
    """A cluster without objects, and a folder like a checkout, where the owner works."""

    def __init__(self, folder: Path) -> None:
        """Start a node, and an API server: the owner reaches it as a proxy does, pods by TLS."""
        self.folder = folder
        self.home = ClusterHome(folder / "trial")
        self.keys = folder / "keys"
        self.store = Store(_checked)
        self.network = Network()
        self._containers = Containers(folder / "node", images(ROOT / "examples" / "photos"))
        self.node = Node(self.store, NAMESPACE, self._containers, self.network)
        self.owner = self.guest({"app": "owner"})
        # In a network of its own, every port that a guide names is free.
        self._api = within(
            self.owner, lambda: ApiServer(self.store, self.node.logs, space=self.node.space)
        )
        self.inner = self._inner_api()
        self._kubeconfig = write_kubeconfig(folder / "kubeconfig", self._api, NAMESPACE)
        for name in ("deploy", "examples"):
            (folder / name).symlink_to(ROOT / name)

    def prepare(self) -> None:
        """Make keys as an operator would, a simulated platform, and the Secrets of both."""
        self.home.prepare("sealflow")
        place = (f"--release={RELEASE}", f"--namespace={NAMESPACE}", "--kubernetes")
        self.run("sealflow", "keys", "make", str(self.keys), *place)
        self._add_objects()

    def values(self, more: Object) -> Release:
        """Give the values of this site, with `more` laid over them."""
        own = {
            "deployment": {"settings": self.home.deployment.read_text()},
            "benchmark": {"policy": self.home.policy.read_text(), "count": 100, "concurrency": 8},
        }
        return Release(values=merge_values(own, more))

    def helm(self, verb: str, *arguments: str, release: Release | None = None) -> str:
        """Run helm here.

        Raises: HelmError.
        """
        given = [] if release is None else [str(CHART), "--wait", *release.arguments(self.folder)]
        words = ("helm", verb, RELEASE, *given, *arguments, f"--timeout={_START_S}s")
        process = self.start(self.owner, *words)
        said = process.communicate(timeout=_START_S + 10)[0]
        if process.returncode != 0:
            raise HelmError(said)
        return said

    def guest(self, labels: dict[str, str]) -> str:
        """Give the name of a network namespace like that of a pod with these labels."""
        return self.node.guest(labels)[0]

    def start(self, guest: str, *words: str) -> subprocess.Popen[str]:
        """Start a command in a guest's network, where the Services' names are known."""
        lines = [f"{ip} {name}" for name, ip in self.node.hosts().items()]
        hosts = self.folder / f"hosts-{guest}"
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        variables = {
            "PATH": f"{TOOLS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "KUBECONFIG": str(self._kubeconfig),
            "HELM_NAMESPACE": NAMESPACE,
        }
        enter = ("nsenter", f"--net={NAMESPACES / guest}", "unshare", "--mount", "sh", "-c")
        return subprocess.Popen(
            [*enter, script, "sh", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=variables,
        )

    def run(self, *words: str) -> str:
        """Run a command on the owner's machine; gives what it said.

        Raises: AssertionError when it fails.
        """
        process = self.start(self.owner, *words)
        said = process.communicate(timeout=_START_S + 10)[0]
        assert process.returncode == 0, f"{' '.join(words)}: {said}"
        return said

    def sealflow(self, guest: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `sealflow` as a client of the release, in a guest's network."""
        # Its own trust, and no other: what comes with the keys.
        ca = self.keys / "keys" / "client" / "ca.crt"
        options = (
            f"--url=https://{RELEASE}-gateway:8470",
            f"--ca={ca}",
            f"--home={self.home.path}",
        )
        return self.start(guest, "sealflow", *arguments, *options)

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
            self.inner.close()
            self._api.close()

    def _inner_api(self) -> ApiServer:
        name, address = self.node.guest({"app": "apiserver"}, _API_PORT)
        authority = CertificateAuthority(self.folder / "api")
        pair = authority.issue("api", host=address)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
        place = (address, _API_PORT)
        api = within(name, lambda: ApiServer(self.store, self.node.logs, place, tls=tls))
        self._containers.accounts = ServiceAccounts(api=api, ca=authority.root, namespace=NAMESPACE)
        return api

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
