"""The chart as helm renders it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
CHART: Final = ROOT / "deploy" / "chart"
TOOLS: Final = ROOT / ".tools"
RELEASE: Final = "demo"
NAMESPACE: Final = "serving"
KUBERNETES: Final = ("1.31", "1.34", "1.37")

Object = dict[str, Any]

SIMULATED: Final = json.dumps({"deployment": "sealflow", "tee": "simulated"})
REAL: Final = json.dumps({"deployment": "sealflow", "tee": "sgx"})


class HelmError(Exception):
    """What helm said when it refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One set of values: presets, then `values`; with the TEE's settings unless told otherwise."""

    presets: tuple[str, ...] = ("nonsgx",)
    values: Object = field(default_factory=dict)

    def arguments(self, folder: Path) -> list[str]:
        """The command line of `helm template` and `helm install` alike."""
        given: list[Path] = [CHART / f"values-{name}.yaml" for name in self.presets]
        settings = REAL if "sgx" in self.presets else SIMULATED
        own = merge_values(
            {"deployment": {"settings": settings}, "benchmark": {"policy": 'role = "keybroker"\n'}},
            self.values,
        )
        path = folder / "values.yaml"
        path.write_text(yaml.safe_dump(own))
        return [f"--values={each}" for each in (*given, path)]


COMBINATIONS: Final = {
    "nonsgx": Release(),
    "sgx": Release(presets=("sgx",)),
    "PCCS root in a Secret": Release(
        presets=("sgx",),
        values={
            "sgx": {
                "pccsCa": {"existingConfigMap": "", "existingSecret": "pccs", "key": "root.pem"}
            }
        },
    ),
    "nonsgx-ha": Release(presets=("nonsgx", "ha")),
    "sgx-ha": Release(presets=("sgx", "ha")),
    "local engine": Release(values={"engine": {"kind": "local"}}),
    "local engine in a Deployment": Release(
        values={"engine": {"kind": "local"}, "taskmanager": {"kind": "Deployment"}}
    ),
    "TaskManagers in a Deployment": Release(values={"taskmanager": {"kind": "Deployment"}}),
    "two slots": Release(
        values={
            "taskmanager": {
                "numberOfTaskSlots": 2,
                "resources": {"limits": {"memory": "4Gi"}},
                "memory": {"taskHeap": "128Mi"},
            }
        }
    ),
    "sgx without webhook": Release(
        presets=("sgx",), values={"sgx": {"deviceWebhook": False, "supplementalGroups": [107]}}
    ),
    "sgx with aesmd": Release(presets=("sgx",), values={"sgx": {"quoteProvider": "aesmd"}}),
    "confidential VM": Release(
        presets=(),
        values={
            "deployment": {"settings": json.dumps({"deployment": "sealflow", "tee": "tdx"})},
            "confidentialVm": {"tee": "tdx", "runtimeClassName": "kata-qemu-tdx"},
        },
    ),
    "Flink operator": Release(values={"flink": {"operator": True}}),
    "cert-manager": Release(
        values={
            "tls": {
                "certManager": {
                    "enabled": True,
                    "issuers": {"service": "a", "flink": "b", "rest": "c"},
                }
            }
        }
    ),
    "external secrets": Release(
        values={"externalSecrets": {"enabled": True, "storeRef": {"name": "vault"}}}
    ),
    "no TLS": Release(values={"tls": {"enabled": False}}),
    "autoscaling on the bundled broker": Release(
        values={"taskmanager": {"autoscaling": {"enabled": True}}}
    ),
    "one external broker": Release(
        values={"broker": {"bundled": False, "external": {"url": "valkeys://queue.example:6380"}}}
    ),
    "everything optional": Release(
        presets=("nonsgx", "ha"),
        values={
            "gateway": {
                "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
                "route": {
                    "enabled": True,
                    "parentRefs": [{"name": "edge"}],
                    "hostnames": ["serving.example"],
                },
                "extraEnv": [{"name": "LANG", "value": "C.UTF-8"}],
                "nodeSelector": {"zone": "a"},
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "priorityClassName": "high",
                "podAnnotations": {"note": "yes"},
            },
            "commonLabels": {"team": "ml"},
            "global": {
                "imageRegistry": "registry.example",
                "imagePullSecrets": [{"name": "pull"}],
            },
            "networkPolicy": {
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
            },
            "packages": {"existingClaim": "models", "storageClass": "fast"},
            "monitoring": {"serviceMonitor": {"labels": {"release": "prometheus"}}},
        },
    ),
}


def merge_values(base: Object, changes: Object) -> Object:
    """Lay `changes` over `base`, in depth."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[key] = merge_values(below, value) if both and isinstance(below, dict) else value
    return result


def run_helm(*arguments: str, folder: Path, within_s: float = 60) -> str:
    """Run helm with a home of its own.

    Raises: HelmError with what it said.
    """
    helm = TOOLS / "helm"
    assert helm.exists(), "no helm: make tools fetches it"
    homes = {"HOME": str(folder)} | {
        f"HELM_{name}_HOME": str(folder / name) for name in ("CACHE", "CONFIG", "DATA")
    }
    done = subprocess.run(
        [helm, *arguments], capture_output=True, text=True, timeout=within_s, env=homes, check=False
    )
    if done.returncode != 0:
        raise HelmError(done.stderr)
    return done.stdout


def render(release: Release, folder: Path, kubernetes: str = KUBERNETES[-1]) -> list[Object]:
    """Render all objects.

    Raises: HelmError.
    """
    text = run_helm(
        "template",
        RELEASE,
        str(CHART),
        f"--namespace={NAMESPACE}",
        f"--kube-version={kubernetes}",
        *release.arguments(folder),
        folder=folder,
    )
    return [each for each in yaml.load_all(text, Loader=StrictLoader) if each]


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, where the last would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        """As the safe loader does, after the check."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                problem=f"twice: {twice}", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


def pods_of(objects: list[Object]) -> dict[str, Object]:
    """Give the pods that the objects make: `metadata` and `spec` by the object's name."""
    found: dict[str, Object] = {}
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            found[name] = each
        elif each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            found[name] = each["spec"]["template"]
    return found


def containers_of(pod: Object) -> list[Object]:
    """Give all containers of a pod."""
    spec = pod["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def files_of(objects: list[Object]) -> dict[str, str]:
    """Give the files of all ConfigMaps."""
    return {
        name: text
        for each in objects
        if each["kind"] == "ConfigMap"
        for name, text in each["data"].items()
    }
