"""The kinds of objects that the small cluster knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind, as discovery names it."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def root(self) -> str:
        """The first part of its addresses."""
        return f"/{'apis' if '/' in self.api_version else 'api'}/{self.api_version}"


def _kinds(api_version: str, *names: str) -> list[Kind]:
    found = []
    for name in names:
        plural = name.lower() + ("" if name.endswith("ints") else "s")
        plural = plural.replace("policys", "policies").replace("classs", "classes")
        plain = name.removeprefix("-")
        found.append(
            Kind(
                api_version=api_version,
                name=plain,
                plural=plural.removeprefix("-"),
                namespaced=plain == name,
            )
        )
    return found


# A name with a hyphen is not in a namespace.
KINDS: Final = (
    *_kinds("v1", "-Namespace", "-Node", "Pod", "Service", "ConfigMap", "Secret", "Event"),
    *_kinds("v1", "ServiceAccount", "PersistentVolumeClaim"),
    *_kinds("apps/v1", "Deployment", "StatefulSet", "ReplicaSet"),
    *_kinds("batch/v1", "Job"),
    *_kinds("policy/v1", "PodDisruptionBudget"),
    *_kinds("autoscaling/v2", "HorizontalPodAutoscaler"),
    *_kinds("networking.k8s.io/v1", "NetworkPolicy"),
    *_kinds("rbac.authorization.k8s.io/v1", "Role", "RoleBinding"),
    *_kinds("coordination.k8s.io/v1", "Lease"),
    *_kinds("keda.sh/v1alpha1", "ScaledObject", "TriggerAuthentication"),
    *_kinds("cert-manager.io/v1", "Certificate"),
    *_kinds("external-secrets.io/v1", "ExternalSecret"),
    *_kinds("monitoring.coreos.com/v1", "ServiceMonitor", "PodMonitor"),
    *_kinds("flink.apache.org/v1beta1", "FlinkDeployment"),
)
