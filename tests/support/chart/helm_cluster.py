"""A small cluster with nothing in it but a namespace, and helm to change that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jsonschema

from tests.support.chart.rendering import (
    CHART,
    NAMESPACE,
    RELEASE,
    Object,
    Release,
    run_helm,
)
from tests.support.chart.schemas import check_object
from tests.support.kubernetes.api.kubeconfig import write_kubeconfig
from tests.support.kubernetes.api.server import ApiServer
from tests.support.kubernetes.api.store import StatusError, Store
from tests.support.kubernetes.node.controllers import BY_NAME, InstantControllers

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARK_LOG: Final = "Served 1000 images in 10.0 sec, e2e throughput is 100.0 images/sec\n"
SECRETS: Final = (
    *("gateway-tls", "gateway-password", "control-tls", "control-password", "client-tls"),
    *("engine-tls", "engine-password", "broker-tls", "broker-password", "rest-tls"),
    *("rest-password", "jobmanager-tls", "jobmanager-password", "taskmanager-tls"),
    *("taskmanager-password", "scaler-tls", "scaler-password"),
)


def check_strictly(each: Object) -> None:
    """Refuse as the API server does.

    Raises: StatusError.
    """
    try:
        check_object(each, "1.37")
    except jsonschema.ValidationError as error:
        raise StatusError(400, "BadRequest", f"strict decoding error: {error.message}") from error


class HelmCluster:
    """A cluster with nothing in it but the namespace, and helm to change that."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.folder = folder
        self.store = Store(check_strictly)
        self.pod_phase = "Succeeded"
        self.api = ApiServer(self.store, lambda namespace, name: BENCHMARK_LOG)
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
