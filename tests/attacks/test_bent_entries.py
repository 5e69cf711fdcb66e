"""Attacks by what stands in a queue's entries: row 60 of docs/threat-model.md. A whole cluster."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import valkey

from sealflow.errors import RefusalCode, RefusedError
from sealflow.openinfer.tensor import DataType
from sealflow.streams.keys import Keyspace
from sealflow.wire.frames import MAX_FRAME_BYTES
from tests.support.cluster.local_cluster import TINY, LocalCluster
from tests.support.enclaves.hosted_enclaves import read_result
from tests.support.models import onnx_models
from tests.support.models.served_models import onnx_manifest, tensor_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.enclaves.hosted_enclaves import HostedEnclaves

KEYS = Keyspace(deployment="sealflow")
X = {"x": [[1.0, 2.0, 3.0, 4.0]]}
LARGEST = 512 * 2**20
"""What Redis and Valkey take in one field."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with one worker; none of its processes may end."""
    with LocalCluster(TINY, options=("--workers", "1")) as running:
        pids = running.all_pids()
        yield running
        assert running.all_pids() == pids


@pytest.fixture
def raw(cluster: LocalCluster) -> Iterator[Any]:
    """The broker as its operator has it."""
    with valkey.Valkey.from_url(cluster.facts["broker_url"]) as client:
        yield client


def still_serves(cluster: LocalCluster, raw: Any) -> None:
    """A client is answered, also one that comes anew, and nothing bent is left in the way."""
    with cluster.client() as client:
        client.verify()
        assert client.infer("tiny", tensors=X, timeout_s=30).tensors
    with cluster.queue() as queue:
        queue.enqueue_many("tiny", {"one": X})
        assert queue.query("one", timeout_s=30)
    cluster.await_status(lambda _: raw.xlen(KEYS.requests) == raw.xlen(KEYS.control) == 0)


@pytest.mark.parametrize("stream", [KEYS.requests, KEYS.control])
def test_60_bent_entries(cluster: LocalCluster, raw: Any, stream: str) -> None:
    """Missing, unknown, doubled, binary and empty fields stop neither engine nor key broker."""
    inbox = KEYS.inbox(secrets.token_hex(8))
    for fields in (
        {"e": b"x"},
        {"\xff\xfe": b"\0" * 10},
        {"e": b"x", "c": b"y", "r": b"\xff\xfe"},
        {"e": b"", "c": b"", "r": b""},
        {"c": b"y", "r": inbox},
        {"e": b"x", "c": bytes(range(256)), "r": inbox},
        {"e": b"x", "c": b"y", "r": KEYS.requests},
        {"e": b"x", "c": b"y", "r": KEYS.directory},
    ):
        raw.xadd(stream, fields)
    doubled = ("e", "1", "e", "2", "c", "c", "r", inbox, "z", "z")
    raw.execute_command("XADD", stream, "*", *doubled)
    still_serves(cluster, raw)
    assert [fields[b"c"] for _, fields in raw.xrange(inbox)] == [bytes(range(256)), b"c"]


@pytest.mark.parametrize("stream", [KEYS.requests, KEYS.control])
def test_60_largest_value(cluster: LocalCluster, raw: Any, stream: str) -> None:
    """A value of 512 MB is refused, and neither engine, worker nor key broker ends by it."""
    inbox = KEYS.inbox(secrets.token_hex(8))
    raw.xadd(stream, {"e": bytes(LARGEST), "c": b"c", "r": inbox})
    cluster.await_status(lambda _: raw.xlen(inbox) == 1)
    assert b"too_large" in raw.xrange(inbox)[0][1][b"e"]
    still_serves(cluster, raw)


def test_60_more_than_a_frame(cluster: LocalCluster, raw: Any) -> None:
    """Entries that are as large as may be, and together more than a frame, are all answered."""
    inbox = KEYS.inbox(secrets.token_hex(8))
    pipeline = raw.pipeline(transaction=True)
    for number in range(20):
        pipeline.xadd(KEYS.requests, {"e": bytes(16 * 2**20), "c": str(number), "r": inbox})
    pipeline.execute()
    cluster.await_status(lambda _: raw.xlen(inbox) == 20)
    still_serves(cluster, raw)


def test_60_too_large(cluster: LocalCluster, raw: Any) -> None:
    """A queue client whose request is over the limit is told so, though nobody parsed it."""
    rows = np.ones((2 * 2**20, 4), np.float32)
    with cluster.queue() as queue:
        queue.enqueue_many("tiny", {"large": {"x": rows}}, timeout_s=60)
        with pytest.raises(RefusedError) as caught:
            queue.query("large", timeout_s=30)
    assert caught.value.code is RefusalCode.TOO_LARGE
    still_serves(cluster, raw)


def test_60_large_replies(site: HostedEnclaves) -> None:
    """Small requests whose replies together are more than a frame are answered; no worker ends."""
    wide = 2 * 2**20
    manifest = onnx_manifest(
        "wide",
        inputs=tensor_specs(x=(DataType.FP32, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, wide])),
        max_batch=64,
    )
    site.publish_model(manifest, onnx_models.linear(np.ones((1, wide), np.float32)))
    worker = site.worker()
    calls = [site.call("wide", timeout_s=300) for _ in range(34)]
    replies = worker.serve(call.envelope for call in calls)
    assert sum(map(len, replies)) > MAX_FRAME_BYTES
    for call, reply in zip(calls, replies, strict=True):
        assert read_result(call, reply).tensors["y"].shape == (1, wide)
