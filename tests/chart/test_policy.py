"""What every pod of the chart keeps to: Pod Security `restricted`, and the house's own rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.chart.rendering import COMBINATIONS, Object, containers_of, pods_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Rendered = Callable[[str], list[Object]]

ALLOWED_VOLUMES: Final = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}
HOST_FIELDS: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
# Without a port there is nothing to probe: these end with the reason when they cannot do their job.
NO_PORTS: Final = {"keybroker", "engine", "benchmark"}
SECRET_WORD: Final = re.compile(r"password|passwd|secret|token|BEGIN .*PRIVATE", re.IGNORECASE)


@pytest.fixture
def pods(combination: str, rendered: Rendered) -> dict[str, Object]:
    """The pods of a combination."""
    return pods_of(rendered(combination))


def test_nobody_is_root(pods: dict[str, Object]) -> None:
    """Pods run as a fixed user of no name, under the runtime's system call filter."""
    for pod in pods.values():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_containers_can_change_nothing(pods: dict[str, Object]) -> None:
    """Containers have no capabilities, gain none, and write to their volumes alone."""
    for pod in pods.values():
        for container in containers_of(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_nothing_of_the_host(combination: str, pods: dict[str, Object]) -> None:
    """No pod shares a namespace or a folder with its node; aesmd's socket is the one exception."""
    for pod in pods.values():
        assert not any(pod["spec"].get(name) for name in HOST_FIELDS)
        kinds = {next(iter(set(v) - {"name"})) for v in pod["spec"]["volumes"]}
        allowed = ALLOWED_VOLUMES | ({"hostPath"} if combination == "sgx with aesmd" else set())
        assert kinds <= allowed
        for container in containers_of(pod):
            assert all("hostPort" not in port for port in container.get("ports", ()))


def test_api_access_is_for_flinks_leaders_alone(combination: str, pods: dict[str, Object]) -> None:
    """Only Flink with HA may speak to the API server."""
    for name, pod in pods.items():
        expected = "ha" in COMBINATIONS[combination].presets and "manager" in name
        assert pod["spec"]["automountServiceAccountToken"] is expected
        assert pod["spec"]["enableServiceLinks"] is False


def test_resources_are_set(pods: dict[str, Object]) -> None:
    """Every container asks for CPU and memory, and has an end to its memory."""
    for pod in pods.values():
        for container in containers_of(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_scratch_space_has_an_end(pods: dict[str, Object]) -> None:
    """What a pod may write to its node is bounded."""
    for pod in pods.values():
        for volume in pod["spec"]["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


def test_probes(pods: dict[str, Object]) -> None:
    """What has a port has all three probes; being alive depends on nobody else."""
    for pod in pods.values():
        for container in containers_of(pod):
            probes = {
                kind for kind in ("startup", "readiness", "liveness") if f"{kind}Probe" in container
            }
            assert probes == (
                set() if container["name"] in NO_PORTS else {"startup", "readiness", "liveness"}
            )
            if probes:
                liveness = container["livenessProbe"]
                path = liveness.get("httpGet", {}).get("path", "/v2/health/live")
                assert path == "/v2/health/live"
                assert "exec" not in liveness


def test_secrets_are_files(combination: str, rendered: Rendered) -> None:
    """No secret is in a variable, on a command line, in a ConfigMap, or made by the chart."""
    for each in rendered(combination):
        assert each["kind"] != "Secret"
        for value in (each.get("data") or {}).values():
            assert "PRIVATE KEY" not in value
            assert not re.search(r"(?m)^[^#\n]*password\S*[:=]\s*\"?[^\"/\s$%]", value), value
    for pod in pods_of(rendered(combination)).values():
        for container in containers_of(pod):
            assert "envFrom" not in container
            for variable in container.get("env", ()):
                assert "secretKeyRef" not in variable.get("valueFrom", {})
                assert not SECRET_WORD.search(variable["name"] + str(variable.get("value", "")))
            words = [*container["command"], *container.get("args", ())]
            assert not any(
                SECRET_WORD.search(word.removeprefix("--ca=/run/secrets")) for word in words
            )


def test_secrets_are_not_shared(rendered: Rendered) -> None:
    """Each component mounts Secrets of its own; the simulated platform stands for hardware."""
    seen: dict[str, str] = {}
    for name, pod in pods_of(rendered("nonsgx")).items():
        for volume in pod["spec"]["volumes"]:
            kept = volume.get("secret") or volume.get("projected") or {"defaultMode": 0o440}
            assert kept["defaultMode"] == 0o440
            secrets = [each["secret"]["name"] for each in kept.get("sources", ())]
            for secret in (*secrets, kept.get("secretName")):
                if secret not in {None, "sealflow-simulated-platform"}:
                    assert seen.setdefault(secret, name) == name
    assert len(seen) == 15


def test_the_jobmanager_has_no_way_to_the_queue(rendered: Rendered) -> None:
    """It schedules: no password of the broker, no package, no deployment."""
    pod = pods_of(rendered("nonsgx"))["Deployment/demo-jobmanager"]
    assert {v["name"] for v in pod["spec"]["volumes"]} == {
        "tmp",
        "flink",
        "flink-run",
        "flink-internal",
        "flink-rest",
    }


def test_simulation_is_marked(combination: str, rendered: Rendered) -> None:
    """Every object says what protects the enclaves; a simulation asks for no SGX."""
    settings = COMBINATIONS[combination]
    tee = (
        "sgx"
        if "sgx" in settings.presets
        else settings.values.get("confidentialVm", {}).get("tee", "simulated")
    )
    for each in rendered(combination):
        assert each["metadata"]["labels"]["sealflow/tee"] == tee
        if tee == "simulated":
            assert "sgx.intel.com" not in str(each)


@pytest.mark.parametrize("name", ["sgx", "sgx without webhook", "sgx with aesmd"])
def test_sgx_resources(name: str, rendered: Rendered) -> None:
    """Pods with enclaves ask for EPC, and for the devices where no webhook adds them."""
    for each, pod in pods_of(rendered(name)).items():
        (container,) = containers_of(pod)
        asked = {key for key in container["resources"]["limits"] if key.startswith("sgx.")}
        notes = pod["metadata"]["annotations"].get("sgx.intel.com/quote-provider")
        if "taskmanager" not in each and "keybroker" not in each:
            assert (asked, notes) == (set(), None)
        elif name == "sgx without webhook":
            assert asked == {f"sgx.intel.com/{kind}" for kind in ("epc", "enclave", "provision")}
            assert (notes, pod["spec"]["securityContext"]["supplementalGroups"]) == (None, [107])
        else:
            assert asked == {"sgx.intel.com/epc"}
            assert notes == ("aesmd" if "aesmd" in name else container["name"])
            assert {
                "key": "sgx.intel.com/epc",
                "operator": "Exists",
                "effect": "NoSchedule",
            } in pod["spec"]["tolerations"]


def test_confidential_vms(rendered: Rendered) -> None:
    """Where the whole pod is the TEE, workers and key broker run in its class, and nobody else."""
    classes = {
        name.rpartition("-")[2]: pod["spec"].get("runtimeClassName")
        for name, pod in pods_of(rendered("confidential VM")).items()
    }
    assert {name for name, each in classes.items() if each} == {"taskmanager", "keybroker"}
    assert classes["keybroker"] == "kata-qemu-tdx"


def test_drain(pods: dict[str, Object]) -> None:
    """Pods have more time to end than their drain takes."""
    for name, pod in pods.items():
        if name.startswith("Pod/"):
            continue
        grace_s = pod["spec"]["terminationGracePeriodSeconds"]
        (container,) = containers_of(pod)
        pause_s = (
            container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        drain_s = 20 if container["name"] in {"gateway", "taskmanager", "engine"} else 0
        assert grace_s > pause_s + drain_s


def test_disruption(combination: str, rendered: Rendered) -> None:
    """What has several pods loses one at a time; what has one does not block a node's drain."""
    objects = rendered(combination)
    for each in objects:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            component = each["metadata"]["labels"]["app.kubernetes.io/component"]
            budgets = [
                budget["spec"]
                for budget in objects
                if budget["kind"] == "PodDisruptionBudget"
                and budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
                == component
            ]
            several = each["spec"].get("replicas", 1) > 1 or _least(objects, each) > 1
            assert len(budgets) == several
            assert all(budget["maxUnavailable"] == 1 for budget in budgets)


def _least(objects: list[Object], target: Object) -> Any:
    """The fewest pods that an autoscaler leaves of a workload."""
    for each in objects:
        spec = each.get("spec", {})
        if spec.get("scaleTargetRef", {}).get("name") == target["metadata"]["name"]:
            return spec.get("minReplicas", spec.get("minReplicaCount"))
    return 1


def test_autoscaled_workloads_have_no_replicas(combination: str, rendered: Rendered) -> None:
    """An upgrade does not undo what an autoscaler did, and no workload has two of them."""
    objects = rendered(combination)
    targets = [
        each["spec"]["scaleTargetRef"]["name"]
        for each in objects
        if "scaleTargetRef" in each.get("spec", {})
    ]
    assert len(targets) == len(set(targets))
    for each in objects:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            assert ("replicas" in each["spec"]) != (each["metadata"]["name"] in targets)
