"""What a host says at the start is checked word by word and figure by figure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sealflow.errors import MalformedError
from sealflow.wire.frame_payloads import (
    KeyBrokerBoot,
    KeyBrokerReady,
    LoadedModel,
    RuntimeName,
    WorkerBoot,
    WorkerReady,
    split_tick,
    tick_payload,
)

OWNER, DIGEST = "ab" * 32, "cd" * 32
BOOT: dict[str, Any] = {
    "deployment": "e30=",
    "simulated_platform": "c2VjcmV0",
    "now_ms": 1_700_000_000_000,
    "runtime": "auto",
    "threads": 2,
    "max_batch": 0,
    "max_wait_ms": 5,
    "max_body_bytes": 2**20,
    "max_pixels": 1000,
    "replay_capacity": 10,
    "load_s": 60,
    "run_s": 30,
    "serves": OWNER,
    "load_first": [DIGEST],
}


def _parse(**changes: Any) -> WorkerBoot:
    return WorkerBoot.from_bytes(json.dumps({**BOOT, **changes}).encode())


def test_a_boot_frame_becomes_settings() -> None:
    """Every figure arrives where it belongs."""
    assert _parse() == WorkerBoot(
        deployment=b"{}",
        simulated_platform=b"secret",
        now_ms=1_700_000_000_000,
        runtime=None,
        threads=2,
        max_batch=0,
        max_wait_ms=5,
        max_body_bytes=2**20,
        max_pixels=1000,
        replay_capacity=10,
        load_s=60,
        run_s=30,
        serves=OWNER,
        load_first=(DIGEST,),
    )
    assert _parse(serves=None).serves is None


@pytest.mark.parametrize("name", list(RuntimeName))
def test_a_runtime_may_be_chosen(name: RuntimeName) -> None:
    """Both are known by their names."""
    assert _parse(runtime=name.value).runtime is name


def test_hardware_has_no_simulated_platform() -> None:
    """Null says that quotes come from elsewhere."""
    assert _parse(simulated_platform=None).simulated_platform is None


def test_the_platforms_key_does_not_show() -> None:
    """A repr of the settings has no secret in it."""
    assert "secret" not in repr(_parse())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runtime": "torch"}, "runtime is not one of onnx, openvino"),
        ({"runtime": 1}, "runtime is not one of onnx, openvino"),
        ({"threads": 0}, "threads is not an integer of 1 to 256"),
        ({"threads": True}, "threads"),
        ({"threads": "1"}, "threads"),
        ({"max_batch": 1025}, "max_batch is not an integer of 0 to 1024"),
        ({"max_wait_ms": -1}, "max_wait_ms"),
        ({"max_body_bytes": 2**30}, "max_body_bytes"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"replay_capacity": 0}, "replay_capacity"),
        ({"load_s": 0}, "load_s"),
        ({"run_s": 3601}, "run_s"),
        ({"serves": "ab"}, "serves"),
        ({"load_first": ["ab"]}, "load_first"),
        ({"load_first": [DIGEST] * 1025}, "load_first"),
        ({"now_ms": 2**53}, "now_ms"),
        ({"deployment": "%"}, "deployment: not base64"),
        ({"deployment": None}, "deployment: not base64"),
        ({"simulated_platform": 5}, "simulated_platform: not base64"),
        ({"extra": 1}, "BOOT"),
    ],
)
def test_what_is_out_of_range_is_refused(changes: dict[str, Any], reason: str) -> None:
    """The message names the setting."""
    with pytest.raises(MalformedError, match=reason):
        _parse(**changes)


@pytest.mark.parametrize("name", list(BOOT))
def test_nothing_may_be_missing(name: str) -> None:
    """There are no defaults inside the enclave."""
    settings = {key: value for key, value in BOOT.items() if key != name}
    with pytest.raises(MalformedError, match="BOOT"):
        WorkerBoot.from_bytes(json.dumps(settings).encode())


@pytest.mark.parametrize(
    "changes", [{}, {"runtime": "onnx"}, {"simulated_platform": None}, {"max_batch": 7}]
)
def test_a_worker_reads_what_a_host_writes(changes: dict[str, Any]) -> None:
    """A BOOT frame comes back as it was, whatever is chosen."""
    boot = _parse(**changes)
    assert WorkerBoot.from_bytes(boot.to_bytes()) == boot


@pytest.mark.parametrize("platform", [None, b"platform"])
@pytest.mark.parametrize("wrapped", [(), (b"one", b"two")])
def test_a_key_broker_reads_what_a_host_writes(
    platform: bytes | None, wrapped: tuple[bytes, ...]
) -> None:
    """So does a key broker's."""
    boot = KeyBrokerBoot(deployment=b"{}", platform=platform, wrapped=wrapped, now_ms=5)
    assert KeyBrokerBoot.from_bytes(memoryview(boot.to_bytes())) == boot


def test_ticks() -> None:
    """A tick is a time and what follows; one that is too short for a time is refused."""
    assert split_tick(memoryview(tick_payload(1_700_000_000_000))) == (1_700_000_000_000, b"")
    assert split_tick(memoryview(tick_payload(1, b"directory"))) == (1, b"directory")
    with pytest.raises(MalformedError, match="too short"):
        split_tick(memoryview(bytes(7)))


def test_ready_comes_back() -> None:
    """What an enclave says of itself is read by its host as it was written."""
    models = (
        LoadedModel(name="m", version="1", digest="ab", runtime="onnx", max_batch=8),
        LoadedModel(name="m", version="2", digest="cd"),
    )
    worker = WorkerReady(instance="one", simulated=True, threads=2, models=models)
    assert WorkerReady.from_bytes(memoryview(worker.to_bytes())) == worker
    broker = KeyBrokerReady(instance="one", simulated=False, keyed=True)
    assert broker.to_bytes() == b'{"instance":"one","keyed":true,"simulated":false}'
    assert KeyBrokerReady.from_bytes(memoryview(broker.to_bytes())) == broker
    with pytest.raises(MalformedError, match="READY: missing threads, unknown 'more'"):
        WorkerReady.from_bytes(memoryview(b'{"instance":"","simulated":true,"models":[],"more":1}'))
