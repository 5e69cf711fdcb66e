"""Makes everything ready at once, so that helm can be tested without pods."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from tests.support.kubernetes.api.kinds import KINDS
from tests.support.kubernetes.api.store import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kubernetes.api.store import Object, Store

BY_NAME: Final = {kind.name: kind for kind in KINDS}


class InstantControllers:
    """Writes the status of each new or changed workload; `pod_phase` says how a pod ends."""

    def __init__(self, store: Store, pod_phase: Callable[[Object], str]) -> None:
        """Start."""
        self._store = store
        self._pod_phase = pod_phase
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stopping = True
        with self._store.changed:
            self._store.changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        at = 0
        while not self._stopping:
            with self._store.changed:
                fresh, at = self._store.events[at:], len(self._store.events)
                if not fresh:
                    self._store.changed.wait(1)
            for _, event, each in fresh:
                if event != "DELETED":
                    self._settle(each)

    def _settle(self, each: Object) -> None:
        status = self._status(each)
        if status is None or each.get("status") == status:
            return
        metadata, kind = each["metadata"], BY_NAME[each["kind"]]
        try:
            patch = {"status": status}
            self._store.merge(kind, metadata.get("namespace", ""), metadata["name"], patch)
        except StatusError as error:
            if error.reason != "NotFound":
                raise

    def _status(self, each: Object) -> Object | None:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            return ready_status(each, each["spec"].get("replicas", 1))
        if each["kind"] == "PersistentVolumeClaim":
            return {"phase": "Bound"}
        if each["kind"] == "Pod":
            return {"phase": self._pod_phase(each)}
        return None


def ready_status(workload: Object, ready: int) -> Object:
    """Give the status of a workload of which `ready` pods are up, all of the newest kind."""
    wanted = workload["spec"].get("replicas", 1)
    generation = workload["metadata"]["generation"]
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    if workload["kind"] == "StatefulSet":
        revision = f"{workload['metadata']['name']}-{generation}"
        return status | {
            "currentReplicas": wanted,
            "currentRevision": revision,
            "updateRevision": revision,
        }
    up = ready >= wanted
    return status | {
        "conditions": [
            {"type": "Available", "status": str(up), "reason": "MinimumReplicas"},
            {
                "type": "Progressing",
                "status": "True",
                "reason": "NewReplicaSetAvailable" if up else "ReplicaSetUpdated",
            },
        ]
    }
