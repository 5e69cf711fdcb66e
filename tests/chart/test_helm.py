"""Upstream's helm installs, tests, upgrades, rolls back and uninstalls the chart."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest

from tests.support.chart.rendering import (
    CHART,
    NAMESPACE,
    RELEASE,
    TOOLS,
    HelmError,
    Object,
    Release,
    merged,
    run_helm,
)
from tests.support.chart.schemas import check_object
from tests.support.kubernetes.api.kubeconfig import write_kubeconfig
from tests.support.kubernetes.api.server import ApiServer
from tests.support.kubernetes.api.store import StatusError, Store
from tests.support.kubernetes.node.controllers import BY_NAME, InstantControllers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG: Final = "Served 1000 images in 10.0 sec, e2e throughput is 100.0 images/sec\n"
SECRETS: Final = (
    *("gateway-tls", "gateway-password", "control-tls", "control-password", "client-tls"),
    *("engine-tls", "engine-password", "broker-tls", "broker-password", "rest-tls"),
    *("rest-password", "jobmanager-tls", "jobmanager-password", "taskmanager-tls"),
    *("taskmanager-password", "scaler-tls", "scaler-password"),
)
QUICK: Final = {"gateway": {"replicas": 1}}


def checked(each: Object) -> None:
    """Refuse as the API server does.

    Raises: StatusError.
    """
    try:
        check_object(each, "1.37")
    except jsonschema.ValidationError as error:
        raise StatusError(400, "BadRequest", f"strict decoding error: {error.message}") from error


class Cluster:
    """A cluster with nothing in it but the namespace, and helm to change that."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.folder = folder
        self.store = Store(checked)
        self.pod_phase = "Succeeded"
        self.api = ApiServer(self.store, lambda namespace, name: LOG)
        self.controllers = InstantControllers(self.store, lambda pod: self.pod_phase)
        self.kubeconfig = write_kubeconfig(folder / "kubeconfig", self.api, NAMESPACE)
        self.add("Namespace", NAMESPACE, namespace="")

    def add(self, kind: str, name: str, namespace: str = NAMESPACE, **fields: Any) -> None:
        """Add an object by hand."""
        each = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}
        self.store.create(BY_NAME[kind], namespace, each)

    def add_secrets(self) -> None:
        """Add what `sealflow keys make --kubernetes` would."""
        for name in SECRETS:
            self.add("Secret", f"{RELEASE}-{name}")
        self.add("Secret", "sealflow-simulated-platform")

    def helm(self, *arguments: str) -> str:
        """Run helm on it.

        Raises: HelmError.
        """
        place = (f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}")
        return run_helm(*arguments, *place, folder=self.folder)

    def install(self, release: Release) -> str:
        """Run `helm install` and wait for all of it.

        Raises: HelmError.
        """
        values = release.arguments(self.folder)
        wait = ("--wait", "--timeout=20s")
        return self.helm("install", RELEASE, str(CHART), *wait, *values)

    def upgrade(self, release: Release) -> str:
        """Run `helm upgrade` and wait for all of it.

        Raises: HelmError.
        """
        values = release.arguments(self.folder)
        return self.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout=20s", *values)

    def names(self, kind: str) -> set[str]:
        """Name all objects of a kind."""
        return {each["metadata"]["name"] for each in self.store.all(BY_NAME[kind], NAMESPACE)}

    def get(self, kind: str, name: str) -> Object:
        """Give one object.

        Raises: StatusError.
        """
        return self.store.get(BY_NAME[kind], NAMESPACE, name)

    def close(self) -> None:
        """Stop it."""
        self.controllers.close()
        self.api.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of this test alone."""
    found = Cluster(tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_the_life_of_a_release(cluster: Cluster) -> None:
    """Install, test, upgrade, roll back, uninstall: each leaves what it should."""
    cluster.add_secrets()
    said = cluster.install(Release())
    assert "SIMULATED TEE: this protects nothing" in said
    assert cluster.names("StatefulSet") == {
        f"{RELEASE}-{n}" for n in ("broker", "keybroker", "taskmanager")
    }
    assert cluster.names("Deployment") == {f"{RELEASE}-{n}" for n in ("gateway", "jobmanager")}
    assert "Served 1000 images" in cluster.helm("test", RELEASE, "--logs")

    more = Release(values={"gateway": {"replicas": 3, "settings": {"drain_s": 30}}})
    cluster.upgrade(more)
    gateway = cluster.get("Deployment", f"{RELEASE}-gateway")
    assert gateway["spec"]["replicas"] == 3
    assert gateway["metadata"]["generation"] == 2
    assert f"{RELEASE}-gateway" in cluster.names("PodDisruptionBudget")

    cluster.upgrade(Release(values={"engine": {"kind": "local"}}))
    assert cluster.names("Deployment") == {f"{RELEASE}-gateway"}

    cluster.helm("rollback", RELEASE, "2", "--wait", "--timeout=20s")
    assert cluster.names("Deployment") == {f"{RELEASE}-{n}" for n in ("gateway", "jobmanager")}
    assert "drain_s = 30" in cluster.get("ConfigMap", f"{RELEASE}-gateway")["data"]["gateway.toml"]
    history = json.loads(cluster.helm("history", RELEASE, "--output=json"))
    assert [each["status"] for each in history] == ["superseded"] * 3 + ["deployed"]

    cluster.helm("uninstall", RELEASE, "--wait", "--timeout=20s")
    for kind in ("Deployment", "StatefulSet", "Service", "ConfigMap", "NetworkPolicy"):
        assert cluster.names(kind) == set()
    assert cluster.names("Secret") == {f"{RELEASE}-{n}" for n in SECRETS} | {
        "sealflow-simulated-platform"
    }


@pytest.mark.parametrize("presets", [("nonsgx", "ha"), ("sgx", "ha")])
def test_presets_install(presets: tuple[str, ...], cluster: Cluster) -> None:
    """Every preset installs on a cluster that has what it needs."""
    cluster.add_secrets()
    node = {"allocatable": {"sgx.intel.com/epc": "8Gi"}}
    cluster.add("Node", "worker-0", namespace="", status=node)
    cluster.add("ConfigMap", "pccs-ca", data={"ca.crt": "PEM"})
    said = cluster.install(Release(presets=presets))
    assert ("SIMULATED" in said) == ("nonsgx" in presets)


def test_a_failed_benchmark_fails(cluster: Cluster) -> None:
    """`helm test` fails when the benchmark pod does."""
    cluster.add_secrets()
    cluster.install(Release(values=QUICK))
    cluster.pod_phase = "Failed"
    with pytest.raises(HelmError, match="benchmark"):
        cluster.helm("test", RELEASE)


def test_missing_secrets(cluster: Cluster) -> None:
    """Without its Secrets nothing is installed, and the missing ones are named."""
    cluster.add("Secret", f"{RELEASE}-gateway-tls")
    with pytest.raises(HelmError) as caught:
        cluster.install(Release(values=QUICK))
    assert "sealflow keys make --kubernetes" in str(caught.value)
    assert f"{RELEASE}-broker-password" in str(caught.value)
    assert f"{RELEASE}-gateway-tls," not in str(caught.value)
    assert cluster.names("StatefulSet") == set()


def test_a_missing_config_map(cluster: Cluster) -> None:
    """A ConfigMap that the values name and the cluster lacks is refused by name."""
    cluster.add_secrets()
    cluster.add("Node", "worker-0", namespace="", status={"allocatable": {"sgx.intel.com/epc": 1}})
    with pytest.raises(HelmError, match="ConfigMap pccs-ca is missing in namespace serving"):
        cluster.install(Release(presets=("sgx",)))
    named = Release(values={"deployment": {"settings": "", "existingConfigMap": "mine"}})
    with pytest.raises(HelmError, match="ConfigMap mine is missing"):
        cluster.install(named)
    assert cluster.names("StatefulSet") == set()


def test_sgx_without_device_plugin(cluster: Cluster) -> None:
    """`sgx` on a cluster where no node offers EPC is refused with what to install."""
    cluster.add_secrets()
    cluster.add("Node", "worker-0", namespace="", status={"allocatable": {"cpu": "8"}})
    with pytest.raises(HelmError, match=r"no node offers sgx\.intel\.com/epc: install Intel's SGX"):
        cluster.install(Release(presets=("sgx",)))


def test_an_upgrade_to_what_cannot_work(cluster: Cluster) -> None:
    """A refused upgrade leaves the release as it was."""
    cluster.add_secrets()
    cluster.install(Release(values=QUICK))
    before = cluster.get("StatefulSet", f"{RELEASE}-taskmanager")
    with pytest.raises(HelmError, match="its parts need"):
        cluster.upgrade(Release(values=merged(QUICK, {"taskmanager": {"numberOfTaskSlots": 4}})))
    assert cluster.get("StatefulSet", f"{RELEASE}-taskmanager") == before


def test_the_server_is_strict(cluster: Cluster) -> None:
    """The API server of these tests refuses a field that Kubernetes does not know."""
    with pytest.raises(StatusError, match="'datta' was unexpected"):
        cluster.add("ConfigMap", "x", datta={})


def test_kubectl_reads_it(cluster: Cluster) -> None:
    """What helm installed is there for kubectl."""
    cluster.add_secrets()
    cluster.install(Release(values=QUICK))
    shown = subprocess.run(
        [
            *(TOOLS / "kubectl", f"--kubeconfig={cluster.kubeconfig}", "get", "deployments"),
            *("--output=jsonpath={.items[*].metadata.name}", "--cache-dir", cluster.folder / "k"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert shown == f"{RELEASE}-gateway {RELEASE}-jobmanager"
