"""The status of a cluster, as its processes write it and others read it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sealflow.errors import MalformedError, NewerFormatError
from sealflow.wire.frame_payloads import LoadedModel
from sealflow.wire.status import (
    ClusterStatus,
    ComponentStatus,
    KeyBrokerStatus,
    QueueStatus,
    WorkerStatus,
)

MODEL = LoadedModel(name="m", version="1", digest="ab", runtime="onnx", max_batch=8)
WORKER = WorkerStatus(
    pid=8,
    ready=True,
    simulated=False,
    models=(MODEL,),
    in_flight=1,
    served=2,
    refused=3,
    round_trip_ms={"50": 4, "99": 5},
    cpu_s=1.5,
    rss_bytes=6,
    restarts=0,
)
GATEWAY = ComponentStatus(
    component="gateway",
    instance="one",
    url="http://localhost",
    pid=1,
    cpu_s=0.25,
    rss_bytes=2,
    waiting=3,
    simulated=False,
)
ENGINE = ComponentStatus(
    component="engine", instance="one", pid=1, cpu_s=0.5, rss_bytes=2, workers=(WORKER,)
)
CONTROL = ComponentStatus(
    component="control",
    instance="one",
    pid=1,
    cpu_s=0.5,
    rss_bytes=2,
    served=3,
    leads=True,
    keybroker=KeyBrokerStatus(pid=4, ready=True, keyed=False, cpu_s=0.5, rss_bytes=6),
)
CLUSTER = ClusterStatus(
    deployment="test",
    ready=False,
    simulated=False,
    reasons=("no worker is ready",),
    queue=QueueStatus(waiting=1, in_work=2, capacity=3),
    components=(CONTROL, ENGINE, GATEWAY),
)


def test_bytes() -> None:
    """What is written stays as it was, name by name and in this order."""
    model = '{"digest": "ab", "max_batch": 8, "name": "m", "runtime": "onnx", "version": "1"}'
    worker = (
        f'{{"pid": 8, "ready": true, "simulated": false, "models": [{model}], "in_flight": 1, '
        '"served": 2, "refused": 3, "round_trip_ms": {"50": 4, "99": 5}, "cpu_s": 1.5, '
        '"rss_bytes": 6, "restarts": 0}'
    )
    start = '"instance": "one", "pid": 1, "cpu_s": 0.5, "rss_bytes": 2'
    assert json.dumps(ENGINE.to_json()) == (
        f'{{"format": 1, "component": "engine", {start}, "workers": [{worker}]}}'
    )
    assert json.dumps(CONTROL.to_json()) == (
        f'{{"format": 1, "component": "control", {start}, "served": 3, "leads": true, "keybroker": '
        '{"pid": 4, "ready": true, "keyed": false, "cpu_s": 0.5, "rss_bytes": 6}}'
    )
    assert json.dumps(GATEWAY.to_json()) == (
        '{"format": 1, "component": "gateway", "instance": "one", "url": "http://localhost", '
        '"pid": 1, "cpu_s": 0.25, "rss_bytes": 2, "waiting": 3, "simulated": false}'
    )
    assert list(CLUSTER.to_json()) == [
        "format", "deployment", "ready", "simulated", "reasons", "queue", "components",
    ]  # fmt: skip


def test_what_is_written_is_read() -> None:
    """A whole cluster comes back as it was."""
    assert ClusterStatus.from_json(json.loads(json.dumps(CLUSTER.to_json()))) == CLUSTER


@pytest.mark.parametrize(
    "changes",
    [
        {"deployment": None},
        {"deployment": 1},
        {"ready": 1},
        {"reasons": [1]},
        {"queue": None},
        {"queue": {"waiting": True, "in_work": 0, "capacity": 0}},
        {"queue": {"waiting": 0, "in_work": 0}},
        {"components": {}},
        {"components": [{}]},
        {"components": [{"component": "engine", "workers": [{"ready": "yes"}]}]},
        {"components": [{"component": "engine", "workers": [{"models": [{"name": "m"}]}]}]},
        {"components": [{"component": "control", "keybroker": {"pid": "1"}}]},
    ],
)
def test_another_form(changes: dict[str, Any]) -> None:
    """A field of another type is refused; one that may be absent may also be null."""
    assert ComponentStatus.from_json({"component": "x", "pid": None}).pid is None
    with pytest.raises(MalformedError):
        ClusterStatus.from_json({**CLUSTER.to_json(), **changes})


def test_a_newer_release() -> None:
    """Unknown fields are ignored at each level; a critical one and another format are refused."""
    whole = grown(json.loads(json.dumps(CLUSTER.to_json())))
    assert ClusterStatus.from_json(whole) == CLUSTER
    worker = whole["components"][1]["workers"][0]
    for part in (whole, whole["queue"], whole["components"][1], worker, worker["models"][0]):
        part["critical"] = ["new"]
        with pytest.raises(NewerFormatError) as caught:
            ClusterStatus.from_json(whole)
        assert caught.value.code == "critical"
        part["critical"] = []
        with pytest.raises(MalformedError):
            ClusterStatus.from_json(whole)
        del part["critical"]
    for part in (whole, whole["components"][1]):
        part["format"] = 2
        with pytest.raises(NewerFormatError) as caught:
            ClusterStatus.from_json(whole)
        assert caught.value.code == "format"
        del part["format"]
    assert ClusterStatus.from_json(whole) == CLUSTER


def grown(value: Any, name: str = "") -> Any:
    """Return a status with a new field in each object but that of the percentiles."""
    if isinstance(value, list):
        return [grown(each) for each in value]
    if not isinstance(value, dict) or name == "round_trip_ms":
        return value
    return {**{each: grown(value[each], each) for each in value}, "new": {"critical": 1}}


@pytest.mark.parametrize(
    "cluster",
    [
        replace(CLUSTER, simulated=True),
        replace(CLUSTER, components=(replace(GATEWAY, simulated=True),)),
        replace(CLUSTER, components=(replace(ENGINE, workers=(replace(WORKER, simulated=True),)),)),
    ],
)
def test_simulation(cluster: ClusterStatus) -> None:
    """One process that says so is enough."""
    assert cluster.says_simulated
    assert not CLUSTER.says_simulated
