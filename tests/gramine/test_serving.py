"""A whole cluster whose key broker and workers run under Gramine's LibOS.

Each gets no more address space than its enclave would have, so that too small a size fails.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tomllib
from concurrent.futures import ThreadPoolExecutor
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from sealflow.owner import audit_log, load_policy, verify_receipt
from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster
from tests.support.enclaves.gramine_builds import LOAD
from tests.support.models import onnx_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from sealflow.owner import Client
    from tests.support.enclaves.gramine_builds import SignedEnclaves

MODEL = "efficientnet-lite0"
EXPECTED: dict[str, dict[str, Any]] = json.loads((PHOTOS / "expected.json").read_text())
PHOTO = (PHOTOS / "coffee.jpg").read_bytes()
ESPRESSO = 967
LARGE = """name = "large"
version = "1"
format = "onnx"
file = "model.onnx"
max_batch = 4

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, {width}]

[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, {width}]
"""


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each of a worker's model runtimes."""
    return str(request.param)


@pytest.fixture(scope="module")
def options(site: SignedEnclaves, runtime: str) -> tuple[str, ...]:
    """How a cluster is started whose enclaves run under Gramine."""
    return ("--workers=1", f"--runtime={runtime}", f"--enclaves={site.launch}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """As many models and weights as the enclaves are sized for: one large, most tiny."""
    folder = tmp_path_factory.mktemp("models")
    photos_mib = (LITE0 / "model.onnx").stat().st_size / 2**20
    models = [LITE0, write_large_model(folder / "large", LOAD["weights-mib"] - ceil(photos_mib))]
    while len(models) < LOAD["models"]:
        name = f"tiny-{len(models)}"
        settings = shutil.copytree(TINY, folder / name) / "model.toml"
        settings.write_text(settings.read_text().replace('name = "tiny"', f'name = "{name}"'))
        models.append(settings.parent)
    return models


def write_large_model(folder: Path, weights_mib: int) -> Path:
    """Write a model whose weights are one square matrix."""
    width = isqrt(weights_mib * 2**18)
    array = np.random.default_rng(3).normal(size=(width, width)).astype(np.float32)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx_models.linear(array))
    (folder / "model.toml").write_text(LARGE.format(width=width))
    return folder


@pytest.fixture(scope="module")
def cluster(options: tuple[str, ...], models: list[Path]) -> Iterator[LocalCluster]:
    """A cluster under Gramine."""
    with LocalCluster(*models, options=options) as running:
        yield running


def enclaves(cluster: LocalCluster, role: str) -> list[int]:
    """Give the processes that Gramine runs as this role."""
    return cluster.pids("/gramine/direct/loader", f"/simulated/{role}")


def serving(status: dict[str, Any]) -> list[str]:
    """Give the models that the one worker has loaded."""
    workers = [each for part in status["components"] for each in part.get("workers", ())]
    return workers[0]["models"] if workers else []


def logits(client: Client) -> NDArray[Any]:
    """Classify all photos; gives their scores, a row a photo."""
    results = [client.infer(MODEL, image=PHOTOS / name, top_k=0) for name in EXPECTED]
    return np.concatenate([result.outputs["logits"] for result in results])


def test_photos_are_classified_as_without_gramine(cluster: LocalCluster, runtime: str) -> None:
    """The same scores come from the same photos, to the last bit, with and without Gramine."""
    assert len(enclaves(cluster, "worker")) == len(enclaves(cluster, "keybroker")) == 1
    assert cluster.pids("sealflow.trusted.") == []
    with cluster.client() as client:
        found = logits(client)
        best = [client.infer(MODEL, image=PHOTOS / name).top[0] for name in EXPECTED]
    assert [(each.index, each.label) for each in best] == [
        (wanted["index"], wanted["label"]) for wanted in EXPECTED.values()
    ]
    plain = ("--workers=1", f"--runtime={runtime}")
    with LocalCluster(LITE0, options=plain) as other, other.client() as client:
        np.testing.assert_array_equal(found, logits(client))


def test_receipts_are_signed(cluster: LocalCluster) -> None:
    """A receipt from inside verifies by the key broker's log."""
    with cluster.client() as client:
        result = client.infer(MODEL, image=PHOTO, receipt=True)
        assert result.receipt is not None
        log = audit_log(client.fetch_log(), load_policy(cluster.policy))
    verified = verify_receipt(result.receipt, log)
    assert verified.receipt.request_id == result.request_id


def test_sizes_suffice_under_load(
    site: SignedEnclaves, cluster: LocalCluster, models: list[Path]
) -> None:
    """All models and hundreds of photos at once need no more threads and memory than there are."""
    (worker,) = enclaves(cluster, "worker")
    loaded = cluster.await_status(lambda status: len(serving(status)) == len(models))
    assert len(serving(loaded)) == LOAD["models"]
    with cluster.client() as client:
        outcomes = list(client.infer_many(MODEL, [PHOTO] * 300, concurrency=64, top_k=1))
    assert all(outcome.result.top[0].index == ESPRESSO for outcome in outcomes)
    assert enclaves(cluster, "worker") == [worker]
    for role in ("worker", "keybroker"):
        (pid,) = enclaves(cluster, role)
        sgx = tomllib.loads((site.simulated / f"{role}.manifest").read_text())["sgx"]
        assert psutil.Process(pid).num_threads() < sgx["max_threads"]
        limit = int(sgx["enclave_size"].removesuffix("M")) * 2**20
        assert psutil.Process(pid).rlimit(psutil.RLIMIT_AS) == (limit, limit)


def test_killed_enclaves_are_replaced(cluster: LocalCluster) -> None:
    """Kill worker and key broker at once; what waits is answered by those that come after them."""
    before = enclaves(cluster, "worker") + enclaves(cluster, "keybroker")
    with cluster.client() as client, ThreadPoolExecutor(8) as pool:
        answers = [
            pool.submit(client.infer, MODEL, image=PHOTO, timeout_s=60, top_k=1) for _ in range(40)
        ]
        answers[0].result()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert all(answer.result().top[0].index == ESPRESSO for answer in answers)
    after = enclaves(cluster, "worker") + enclaves(cluster, "keybroker")
    assert len(after) == 2
    assert not set(before) & set(after)


def test_ending_answers_what_is_in_work(options: tuple[str, ...]) -> None:
    """SIGTERM to the cluster: what waits is answered, then all enclaves end by themselves."""
    cluster = LocalCluster(LITE0, options=options)
    pids = cluster.all_pids()
    (worker,) = enclaves(cluster, "worker")
    with cluster.client() as client, ThreadPoolExecutor(6) as pool:
        client.verify()
        os.kill(worker, signal.SIGSTOP)
        futures = [
            pool.submit(client.infer, MODEL, image=PHOTO, timeout_s=30, top_k=1) for _ in range(6)
        ]
        cluster.await_status(
            lambda status: status["queue"]["waiting"] + status["queue"]["in_work"] == 6
        )
        cluster.process.send_signal(signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert all(future.result().top[0].index == ESPRESSO for future in futures)
    assert cluster.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
