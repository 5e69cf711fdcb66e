"""Who may speak to whom in a release: what it needs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.rendering import NAMESPACE, Object, pods_of
from tests.support.kubernetes.node.network_policies import Endpoint, allows

if TYPE_CHECKING:
    from collections.abc import Callable

    Rendered = Callable[[str], list[Object]]

PORTS: Final = {
    "gateway": (8470,),
    "broker": (6379,),
    "keybroker": (),
    "jobmanager": (6123, 6124, 6125, 8081),
    "taskmanager": (6121, 6122, 6125),
    "benchmark": (),
}
FLOWS: Final = {
    ("gateway", "broker"),
    ("keybroker", "broker"),
    ("taskmanager", "broker"),
    ("taskmanager", "jobmanager"),
    ("taskmanager", "taskmanager"),
    ("jobmanager", "taskmanager"),
    ("jobmanager", "jobmanager"),
    ("benchmark", "gateway"),
}
HERE: Final = {"kubernetes.io/metadata.name": NAMESPACE}
STRANGER: Final = Endpoint(labels={"app": "stranger"}, namespace="other", namespace_labels={})
NEIGHBOUR: Final = Endpoint(labels={"app": "client"}, namespace=NAMESPACE, namespace_labels=HERE)
OUTSIDE: Final = Endpoint(labels={}, namespace="", namespace_labels={})
DNS: Final = Endpoint(
    labels={"k8s-app": "kube-dns"},
    namespace="kube-system",
    namespace_labels={"kubernetes.io/metadata.name": "kube-system"},
)


def policies(objects: list[Object]) -> list[Object]:
    """Give the policies, in their namespace."""
    return [
        {**each, "metadata": {**each["metadata"], "namespace": NAMESPACE}}
        for each in objects
        if each["kind"] == "NetworkPolicy"
    ]


def endpoints(objects: list[Object]) -> dict[str, Endpoint]:
    """Give each component's pods."""
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: Endpoint(
            labels=pod["metadata"]["labels"], namespace=NAMESPACE, namespace_labels=HERE
        )
        for pod in pods_of(objects).values()
    }


@pytest.mark.parametrize("name", ["nonsgx", "sgx", "local engine", "everything optional"])
def test_flows(name: str, rendered: Rendered) -> None:
    """Of all pairs of components, those that must speak can, and no others."""
    found, rules = endpoints(rendered(name)), policies(rendered(name))
    for source in found:
        for target in found:
            expected = (source, target) in FLOWS and (name != "local engine" or source != target)
            for port in PORTS[target]:
                assert allows(rules, found[source], found[target], port) == expected, (
                    source,
                    target,
                    port,
                )
            assert not allows(rules, found[source], found[target], 22)


def test_default_deny_covers_every_pod(combination: str, rendered: Rendered) -> None:
    """A pod that no other policy names has no traffic but name resolution."""
    objects = rendered(combination)
    rules = [
        each for each in policies(objects) if each["metadata"]["name"].endswith("default-deny")
    ]
    for pod in endpoints(objects).values():
        assert not allows(rules, STRANGER, pod, 8470)
        assert not allows(rules, pod, OUTSIDE, 443)
        assert allows(rules, pod, DNS, 53, "UDP")
        assert not allows(rules, pod, STRANGER, 53, "UDP")


def test_strangers(rendered: Rendered) -> None:
    """From another namespace nothing is reached, from this one the gateway alone."""
    found, rules = endpoints(rendered("nonsgx")), policies(rendered("nonsgx"))
    for name, pod in found.items():
        for port in PORTS[name]:
            assert not allows(rules, STRANGER, pod, port)
            assert allows(rules, NEIGHBOUR, pod, port) == (name == "gateway")


@pytest.mark.parametrize(
    ("name", "port", "who"),
    [
        ("nonsgx", 443, set()),
        ("sgx", 8081, {"taskmanager", "keybroker"}),
        ("nonsgx-ha", 6443, {"jobmanager", "taskmanager"}),
        ("nonsgx-ha", 26379, {"gateway", "keybroker", "taskmanager"}),
        ("one external broker", 6380, {"gateway", "keybroker", "taskmanager"}),
    ],
)
def test_ways_out(name: str, port: int, who: set[str], rendered: Rendered) -> None:
    """Only who needs the PCCS, the API server or an outer broker gets out, to its port."""
    found, rules = endpoints(rendered(name)), policies(rendered(name))
    assert {each for each in found if allows(rules, found[each], OUTSIDE, port)} == who


def test_metrics(rendered: Rendered) -> None:
    """Prometheus reaches what has metrics, from its own namespace."""
    found = endpoints(rendered("everything optional"))
    rules = policies(rendered("everything optional"))
    prometheus = Endpoint(
        labels={"a": "b"}, namespace="monitoring", namespace_labels={"name": "monitoring"}
    )
    for name, port in (("gateway", 8470), ("jobmanager", 9249), ("taskmanager", 9249)):
        assert allows(rules, prometheus, found[name], port)
    assert not allows(rules, prometheus, found["jobmanager"], 8081)
