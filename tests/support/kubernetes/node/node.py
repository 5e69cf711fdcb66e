"""A node that runs what the API server holds: Deployments, StatefulSets and single pods."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final

from tests.support.kubernetes.api.store import StatusError
from tests.support.kubernetes.node.controllers import BY_NAME, ready_status
from tests.support.kubernetes.node.network_policies import Endpoint
from tests.support.kubernetes.node.pods import Pod, port_number

if TYPE_CHECKING:
    from tests.support.kubernetes.api.store import Object, Store
    from tests.support.kubernetes.node.containers import Containers
    from tests.support.kubernetes.node.pod_network import Network

_LOOK_S: Final = 0.2
_HASH: Final = "controller-revision-hash"


class Node:
    """Brings one namespace to what its objects say, until closed."""

    def __init__(
        self, store: Store, namespace: str, containers: Containers, network: Network
    ) -> None:
        """Start."""
        self._store = store
        self._namespace = namespace
        self._containers = containers
        self._network = network
        self._pods: dict[str, Pod] = {}
        self._services: dict[str, str] = {}
        self._guests: dict[str, Endpoint] = {}
        self._guest_ports: set[int] = set()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="node")
        self._thread.start()

    def pod(self, name: str) -> Pod:
        """Give a pod that runs now."""
        return self._pods[name]

    def all(self) -> list[Pod]:
        """Give all pods, also those that are being stopped."""
        return list(self._pods.values())

    def pods(self, component: str) -> list[Pod]:
        """Give the pods of a component that are not being stopped."""
        label = "app.kubernetes.io/component"
        return [
            each
            for _, each in sorted(self._pods.items())
            if each.object["metadata"]["labels"].get(label) == component
            and not each.stopping.is_set()
        ]

    def guest(self, labels: dict[str, str], *ports: int) -> tuple[str, str]:
        """Give name and address of a network namespace for what a test runs beside the pods.

        `ports`: on which it listens.
        """
        name, address = self._network.place()
        self._guests[address] = self._endpoint(labels)
        self._guest_ports.update(ports)
        return name, address

    def hosts(self) -> dict[str, str]:
        """Give the names of Services and their addresses."""
        found = {}
        for service in self._store.all(BY_NAME["Service"], self._namespace):
            name = service["metadata"]["name"]
            if service["spec"].get("clusterIP") != "None":
                if name not in self._services:
                    self._services[name] = self._network.new_service()
                found[name] = self._services[name]
        return found

    def logs(self, namespace: str, name: str) -> str:
        """Give what a pod has written."""
        del namespace
        return self._pods[name].logs()

    def space(self, name: str) -> str:
        """Give the network namespace of a pod."""
        return self._pods[name].space

    def close(self) -> None:
        """Stop all pods."""
        self._stopping.set()
        self._thread.join()
        for pod in self._pods.values():
            pod.stop()
        for pod in self._pods.values():
            pod.ended.wait(60)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_LOOK_S):
                self._bury()
                for kind in ("StatefulSet", "Deployment"):
                    for workload in self._store.all(BY_NAME[kind], self._namespace):
                        self._tend(workload)
                self._tend_pods()
                self._connect()
        except BaseException as error:  # noqa: BLE001 - shown at the end of the test
            self._failure = error

    def _bury(self) -> None:
        owners = {
            each["metadata"]["uid"]
            for kind in ("StatefulSet", "Deployment")
            for each in self._store.all(BY_NAME[kind], self._namespace)
        }
        for name, pod in list(self._pods.items()):
            if pod.ended.is_set():
                del self._pods[name]
                self._forget(name)
            elif not set(_owners(pod.object)) <= owners:
                pod.stop()

    def _forget(self, name: str) -> None:
        try:
            self._store.delete(BY_NAME["Pod"], self._namespace, name)
        except StatusError as error:
            if error.reason != "NotFound":
                raise

    def _tend(self, workload: Object) -> None:
        wanted = workload["spec"].get("replicas", 1)
        revision = hashlib.sha256(json.dumps(workload["spec"]["template"]).encode()).hexdigest()[:8]
        own = [
            pod for pod in self._pods.values() if workload["metadata"]["uid"] in _owners(pod.object)
        ]
        fresh = [pod for pod in own if _revision(pod) == revision and not pod.stopping.is_set()]
        if workload["kind"] == "StatefulSet":
            self._tend_set(workload, revision, wanted, own)
        else:
            self._tend_deployment(workload, revision, wanted, own)
        up = sum(pod.ready for pod in fresh)
        old = [pod for pod in own if pod not in fresh]
        status = ready_status(workload, up if not old else min(up, wanted - 1))
        status["updatedReplicas"] = len(fresh)
        self._say(workload, status)

    def _tend_set(self, workload: Object, revision: str, wanted: int, own: list[Pod]) -> None:
        names = [f"{workload['metadata']['name']}-{number}" for number in range(wanted)]
        by_name = {pod.name: pod for pod in own}
        for pod in own:
            if pod.name not in names:
                pod.stop()
        for name in names:
            if name not in by_name:
                self._create(workload, name, revision)
            elif _revision(by_name[name]) != revision:
                # One at a time, and only while all others are up.
                if all(pod.ready for pod in own if pod is not by_name[name]):
                    by_name[name].stop()
                return

    def _tend_deployment(
        self, workload: Object, revision: str, wanted: int, own: list[Pod]
    ) -> None:
        live = [pod for pod in own if not pod.stopping.is_set()]
        fresh = [pod for pod in live if _revision(pod) == revision]
        old = [pod for pod in live if pod not in fresh]
        if workload["spec"].get("strategy", {}).get("type") == "Recreate":
            for pod in old:
                pod.stop()
            if len(own) == len(fresh) < wanted:
                self._create_next(workload, revision)
            return
        if len(fresh) < wanted and len(live) < wanted + 1:
            self._create_next(workload, revision)
        spare = [*old, *(pod for pod in fresh[wanted:])]
        if spare and sum(pod.ready for pod in live) > wanted:
            spare[0].stop()

    def _create_next(self, workload: Object, revision: str) -> None:
        number = 0
        while (name := f"{workload['metadata']['name']}-{revision}-{number}") in self._pods:
            number += 1
        self._create(workload, name, revision)

    def _create(self, workload: Object, name: str, revision: str) -> None:
        template = copy.deepcopy(workload["spec"]["template"])
        template["metadata"] |= {
            "name": name,
            "ownerReferences": [
                {
                    "apiVersion": workload["apiVersion"],
                    "kind": workload["kind"],
                    "name": workload["metadata"]["name"],
                    "uid": workload["metadata"]["uid"],
                }
            ],
        }
        template["metadata"]["labels"][_HASH] = revision
        self._store.create(
            BY_NAME["Pod"], self._namespace, {"apiVersion": "v1", "kind": "Pod", **template}
        )

    def _tend_pods(self) -> None:
        kept = {}
        for each in self._store.all(BY_NAME["Pod"], self._namespace):
            name = each["metadata"]["name"]
            kept[name] = each
            if name not in self._pods:
                self._pods[name] = Pod(
                    each, self._containers, self._network, self.hosts, self._object
                )
            pod = self._pods[name]
            ready = "True" if pod.ready else "False"
            self._say(
                each, {"phase": pod.phase, "conditions": [{"type": "Ready", "status": ready}]}
            )
        for claim in self._store.all(BY_NAME["PersistentVolumeClaim"], self._namespace):
            self._say(claim, {"phase": "Bound"})
        for name, pod in self._pods.items():
            if name not in kept or kept[name]["metadata"]["uid"] != pod.object["metadata"]["uid"]:
                pod.stop()

    def _say(self, each: Object, status: Object) -> None:
        if each.get("status") == status:
            return
        kind, name = BY_NAME[each["kind"]], each["metadata"]["name"]
        try:
            self._store.merge(kind, self._namespace, name, {"status": status})
        except StatusError as error:
            if error.reason != "NotFound":
                raise

    def _connect(self) -> None:
        pods = {
            pod.address: self._endpoint(pod.object["metadata"]["labels"])
            for pod in self._pods.values()
        }
        policies = self._store.all(BY_NAME["NetworkPolicy"], self._namespace)
        ports = {
            port["containerPort"]
            for pod in self._pods.values()
            for port in pod.spec.get("ports", ())
        } | self._guest_ports
        services = []
        hosts = self.hosts()
        for service in self._store.all(BY_NAME["Service"], self._namespace):
            name, spec = service["metadata"]["name"], service["spec"]
            if name not in hosts:
                continue
            behind = [
                pod
                for pod in self._pods.values()
                if spec["selector"].items() <= pod.object["metadata"]["labels"].items()
                and (pod.ready or spec.get("publishNotReadyAddresses"))
            ]
            for port in spec["ports"]:
                places = [
                    (pod.address, port_number(pod.spec, port["targetPort"])) for pod in behind
                ]
                services.append((hosts[name], port["port"], places))
        self._network.update({**pods, **self._guests}, policies, services, ports)

    def _endpoint(self, labels: dict[str, str]) -> Endpoint:
        space = {"kubernetes.io/metadata.name": self._namespace}
        return Endpoint(labels=labels, namespace=self._namespace, namespace_labels=space)

    def _object(self, kind: str, name: str) -> Object:
        return self._store.get(BY_NAME[kind], self._namespace, name)


def _owners(pod: Object) -> list[Any]:
    return [each["uid"] for each in pod["metadata"].get("ownerReferences", ())]


def _revision(pod: Pod) -> str:
    return str(pod.object["metadata"]["labels"].get(_HASH, ""))
