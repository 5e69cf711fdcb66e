"""NetworkPolicies, judged as Kubernetes does: what one pod may send to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.kubernetes.api.store import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A pod, by its labels and its namespace's; without labels, an address outside."""

    labels: dict[str, str]
    namespace: str
    namespace_labels: dict[str, str]


def allows(
    policies: list[Object], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """Say whether traffic passes: both its sender's and its receiver's policies must let it."""
    return _passes(policies, source, target, "egress", (port, protocol)) and _passes(
        policies, target, source, "ingress", (port, protocol)
    )


def _passes(
    policies: list[Object], pod: Endpoint, peer: Endpoint, way: str, service: tuple[int, str]
) -> bool:
    bound = [
        each["spec"]
        for each in policies
        if way.capitalize() in each["spec"]["policyTypes"]
        and each["metadata"]["namespace"] == pod.namespace
        and pod.labels
        and _selects(each["spec"]["podSelector"], pod.labels)
    ]
    if not bound:
        return True
    side = "to" if way == "egress" else "from"
    return any(
        _peer_in(rule.get(side), peer, pod.namespace) and _port_in(rule.get("ports"), service)
        for spec in bound
        for rule in spec.get(way, ())
    )


def _peer_in(peers: list[Object] | None, peer: Endpoint, namespace: str) -> bool:
    # Kubernetes: a missing or empty list is everybody.
    if not peers:
        return True
    for each in peers:
        spaces = each.get("namespaceSelector")
        near = (
            peer.namespace == namespace
            if spaces is None
            else _selects(spaces, peer.namespace_labels)
        )
        if peer.labels and near and _selects(each.get("podSelector", {}), peer.labels):
            return True
    return False


def _port_in(ports: list[Object] | None, service: tuple[int, str]) -> bool:
    if not ports:
        return True
    return any((each["port"], each.get("protocol", "TCP")) == service for each in ports)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
