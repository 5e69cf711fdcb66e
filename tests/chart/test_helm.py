"""Upstream's helm installs, tests, upgrades, rolls back and uninstalls the chart."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.helm_cluster import SECRETS, HelmCluster
from tests.support.chart.rendering import RELEASE, TOOLS, HelmError, Release, merge_values
from tests.support.kubernetes.api.store import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK: Final = {"gateway": {"replicas": 1}}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[HelmCluster]:
    """A cluster of this test alone."""
    found = HelmCluster(tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_the_life_of_a_release(cluster: HelmCluster) -> None:
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
def test_presets_install(presets: tuple[str, ...], cluster: HelmCluster) -> None:
    """Every preset installs on a cluster that has what it needs."""
    cluster.add_secrets()
    node = {"allocatable": {"sgx.intel.com/epc": "8Gi"}}
    cluster.add("Node", "worker-0", namespace="", status=node)
    cluster.add("ConfigMap", "pccs-ca", data={"ca.crt": "PEM"})
    said = cluster.install(Release(presets=presets))
    assert ("SIMULATED" in said) == ("nonsgx" in presets)


def test_a_failed_benchmark_fails(cluster: HelmCluster) -> None:
    """`helm test` fails when the benchmark pod does."""
    cluster.add_secrets()
    cluster.install(Release(values=QUICK))
    cluster.pod_phase = "Failed"
    with pytest.raises(HelmError, match="benchmark"):
        cluster.helm("test", RELEASE)


def test_missing_secrets(cluster: HelmCluster) -> None:
    """Without its Secrets nothing is installed, and the missing ones are named."""
    cluster.add("Secret", f"{RELEASE}-gateway-tls")
    with pytest.raises(HelmError) as caught:
        cluster.install(Release(values=QUICK))
    assert "sealflow keys make --kubernetes" in str(caught.value)
    assert f"{RELEASE}-broker-password" in str(caught.value)
    assert f"{RELEASE}-gateway-tls," not in str(caught.value)
    assert cluster.names("StatefulSet") == set()


def test_a_missing_config_map(cluster: HelmCluster) -> None:
    """A ConfigMap that the values name and the cluster lacks is refused by name."""
    cluster.add_secrets()
    cluster.add("Node", "worker-0", namespace="", status={"allocatable": {"sgx.intel.com/epc": 1}})
    with pytest.raises(HelmError, match="ConfigMap pccs-ca is missing in namespace serving"):
        cluster.install(Release(presets=("sgx",)))
    named = Release(values={"deployment": {"settings": "", "existingConfigMap": "mine"}})
    with pytest.raises(HelmError, match="ConfigMap mine is missing"):
        cluster.install(named)
    assert cluster.names("StatefulSet") == set()


def test_sgx_without_device_plugin(cluster: HelmCluster) -> None:
    """`sgx` on a cluster where no node offers EPC is refused with what to install."""
    cluster.add_secrets()
    cluster.add("Node", "worker-0", namespace="", status={"allocatable": {"cpu": "8"}})
    with pytest.raises(HelmError, match=r"no node offers sgx\.intel\.com/epc: install Intel's SGX"):
        cluster.install(Release(presets=("sgx",)))


def test_an_upgrade_to_what_cannot_work(cluster: HelmCluster) -> None:
    """A refused upgrade leaves the release as it was."""
    cluster.add_secrets()
    cluster.install(Release(values=QUICK))
    before = cluster.get("StatefulSet", f"{RELEASE}-taskmanager")
    with pytest.raises(HelmError, match="its parts need"):
        cluster.upgrade(
            Release(values=merge_values(QUICK, {"taskmanager": {"numberOfTaskSlots": 4}}))
        )
    assert cluster.get("StatefulSet", f"{RELEASE}-taskmanager") == before


def test_the_server_is_strict(cluster: HelmCluster) -> None:
    """The API server of these tests refuses a field that Kubernetes does not know."""
    with pytest.raises(StatusError, match="'datta' was unexpected"):
        cluster.add("ConfigMap", "x", datta={})


def test_kubectl_reads_it(cluster: HelmCluster) -> None:
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
