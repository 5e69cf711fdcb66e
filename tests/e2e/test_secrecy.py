"""What the operator can read: no process of the host ever holds a byte of plaintext."""

from __future__ import annotations

import secrets
import struct
import threading
from typing import TYPE_CHECKING

import numpy as np

from sealflow.owner import load_owner_key, pack_folder
from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster
from tests.support.hosts.process_memory import find_in_memory
from tests.support.models.onnx_models import linear

if TYPE_CHECKING:
    from pathlib import Path

HOST_PROCESSES = (
    "sealflow.host.gateway",
    "sealflow.host.engine",
    "sealflow.host.keybroker_host",
    "server",
)


def _photo_with(canary: bytes) -> bytes:
    """A JPEG with a comment segment."""
    photo = (PHOTOS / "coffee.jpg").read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", len(canary) + 2) + canary
    return photo[:2] + comment + photo[2:]


def _canary_model(folder: Path, weights: bytes, label: str) -> Path:
    """A model whose weights and labels hold canaries."""
    values = np.frombuffer(weights, np.float32).reshape(2, -1)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(linear(values))
    (folder / "labels.txt").write_text("".join(f"{label}{n}\n" for n in range(values.shape[1])))
    (folder / "model.toml").write_text(
        f"""
name = "canary"
version = "1"
format = "onnx"
file = "model.onnx"
max_batch = 8
labels = "labels.txt"
[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 2]
[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, {values.shape[1]}]
[classification]
output = "y"
"""
    )
    return folder


def _floats(count: int) -> bytes:
    """Random bytes that are finite floats of moderate size."""
    source = np.random.default_rng(secrets.randbits(64))
    return source.uniform(1, 2, count).astype(np.float32).tobytes()


def test_no_host_process_holds_plaintext(tmp_path: Path) -> None:
    """Image, tensor, labels and weights are in no memory but the client's and the workers'."""
    weights, label = _floats(64), f"label{secrets.token_hex(12)}"
    comment, row = secrets.token_bytes(32), _floats(8)
    folder = _canary_model(tmp_path / "model", weights, label)
    with LocalCluster(LITE0, TINY) as cluster:
        owner = load_owner_key(cluster.home / "owner.key")
        needles = {
            "image": comment,
            "weights": weights,
            "label": label.encode(),
            "tensor": row,
            "owner's signing seed": owner.signing_seed,
            "owner's sealing seed": owner.sealing_seed,
        }
        with cluster.client() as client:
            client.publish(pack_folder(folder, owner), owner)
            stop = threading.Event()

            def load() -> None:
                while not stop.is_set():
                    client.infer("efficientnet-lite0", image=_photo_with(comment))
                    values = np.frombuffer(row, np.float32).reshape(4, 2)
                    result = client.infer("canary", tensors={"x": values}, top_k=3, timeout_s=60)
                    assert result.top[0].label.startswith(label)

            load_once = threading.Thread(target=load)
            load_once.start()
            try:
                cluster.await_status(lambda status: _served(status) > 20)
                hits = {
                    name: find_in_memory(pid, needles)
                    for name in HOST_PROCESSES
                    for pid in cluster.pids(name)
                }
                assert len(hits) == len(HOST_PROCESSES)
                inside = set().union(
                    *(find_in_memory(pid, needles) for pid in cluster.worker_pids())
                )
            finally:
                stop.set()
                load_once.join()
    assert hits == {name: set() for name in HOST_PROCESSES}
    # The search itself works: where plaintext may be, it is found.
    assert {"image", "weights", "label"} <= inside


def _served(status: dict[str, list[dict[str, list[dict[str, int]]]]]) -> int:
    return sum(
        worker["served"] for part in status["components"] for worker in part.get("workers", ())
    )
