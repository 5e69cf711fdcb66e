"""What JobManagers have written into the ConfigMap of their election."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.support.chart.rendering import NAMESPACE
from tests.support.kubernetes.node.controllers import BY_NAME

if TYPE_CHECKING:
    from tests.support.kubernetes.api.store import Store

_PREFIX: Final = "org.apache.flink.k8s.leader."


def leading_address(store: Store) -> str:
    """Give the address of the JobManager that leads; empty when none does."""
    return _address(_election(store).get(f"{_PREFIX}restserver", ""))


def leading_session(store: Store) -> str:
    """Give the id of a leader's time as such; another one whenever leadership is won anew."""
    return _election(store).get(f"{_PREFIX}restserver", "").partition(",")[0]


def running_jobs(store: Store) -> set[str]:
    """Give the ids of the jobs that the leader runs."""
    leader = leading_address(store)
    return {
        key.removeprefix(f"{_PREFIX}job-")
        for key, value in _election(store).items()
        if key.startswith(f"{_PREFIX}job-") and leader and _address(value) == leader
    }


def _address(value: str) -> str:
    found = re.search(r"[/@]([0-9.]+):", value)
    return "" if found is None else found[1]


def _election(store: Store) -> dict[str, str]:
    for each in store.all(BY_NAME["ConfigMap"], NAMESPACE):
        if each["metadata"]["name"].endswith("-cluster-config-map"):
            found: dict[str, str] = each.get("data", {})
            return found
    return {}
