"""A model that expands what it is given: no request takes workers away from the others."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from sealflow.errors import ModelError, RefusalCode, RefusedError
from tests.support.cluster.local_cluster import LocalCluster
from tests.support.models import onnx_models

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.owner import Client, InferResult

MIB = 2**20
MANIFEST = """name = "expanding"
version = "1"
format = "onnx"
file = "model.onnx"
max_batch = 16

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 1]

[[inputs]]
name = "n"
datatype = "INT64"
shape = [-1, 1]

[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, -1]
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model that gives x as often as n says."""
    (tmp_path / "model.toml").write_text(MANIFEST)
    (tmp_path / "model.onnx").write_bytes(onnx_models.expanding())
    return tmp_path


def _ask(client: Client, times: int) -> InferResult:
    tensors = {"x": np.full((1, 1), 7, np.float32), "n": np.full((1, 1), times)}
    return client.infer("expanding", tensors=tensors, timeout_s=90)


def _answered(client: Client, times: int) -> bool:
    found = _ask(client, times).outputs["y"]
    # In a batch, the largest n is for all rows.
    return found.shape[1] >= times and bool(np.all(found == 7))


def test_requests_that_want_too_much_memory(model: Path) -> None:
    """Each is refused by the worker, sealed; the worker stays and answers all others."""
    options = ("--workers", "1", "--worker-memory", "768")
    with LocalCluster(model, options=options) as cluster, cluster.client() as client:
        workers = cluster.worker_pids()
        assert _answered(client, 1)
        with ThreadPoolExecutor(16) as pool:
            good = [pool.submit(_answered, client, n) for n in range(1, 40)]
            bad = [pool.submit(_ask, client, n) for n in (3 * 10**8, 10**9, 10**11, 10**15)]
            good += [pool.submit(_answered, client, n) for n in range(1, 40)]
        for each in bad:
            with pytest.raises(ModelError, match=r"bad_alloc|memory") as caught:
                each.result()
            assert caught.value.code == "model_failed"
        assert all(each.result() for each in good)
        # What would not fit into a reply either was computed, and claimed nothing for good.
        with pytest.raises(ModelError, match="over the limit"):
            _ask(client, 5 * 10**7)
        assert _answered(client, 3)
        assert cluster.worker_pids() == workers


def test_a_request_that_has_workers_killed(model: Path) -> None:
    """Where the kernel ends each worker that gets it, it is set aside, and it alone."""
    options = ("--workers", "1", "--worker-memory", "8192")
    with LocalCluster(model, options=options) as cluster, cluster.client() as client:
        killed = []
        ended = threading.Event()

        def kill_for_want_of_memory() -> None:
            while not ended.wait(0.005):
                for pid in cluster.worker_pids():
                    with suppress(psutil.NoSuchProcess):
                        process = psutil.Process(pid)
                        if process.memory_info().rss > 1024 * MIB:
                            process.send_signal(signal.SIGKILL)
                            process.wait(10)
                            killed.append(pid)

        assert _answered(client, 1)
        killer = threading.Thread(target=kill_for_want_of_memory)
        killer.start()
        try:
            with ThreadPoolExecutor(16) as pool:
                bad = pool.submit(_ask, client, 10**9)
                good = [pool.submit(_answered, client, n) for n in range(1, 40)]
            with pytest.raises(RefusedError) as caught:
                bad.result()
            assert all(each.result() for each in good)
        finally:
            ended.set()
            killer.join()
        assert caught.value.code is RefusalCode.UNDELIVERABLE
        assert len(killed) == 2
