"""A pool whose workers differ: clients get all answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealflow.owner import Client

PHOTO = (PHOTOS / "coffee.jpg").read_bytes()
ROW = np.array([[1, 2, 3, 4]], np.float32)


def _models(worker: dict[str, Any]) -> set[str]:
    return {each["name"] for each in worker["models"]}


def _workers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for part in status["components"] for each in part.get("workers", ())]


@pytest.fixture
def unequal(tmp_path: Path) -> Iterator[LocalCluster]:
    """One worker with two models; beside it an engine whose two workers have but one of them."""
    with LocalCluster(TINY, LITE0, options=("--workers", "1")) as cluster:
        (whole,) = _workers(cluster.status())
        (tiny,) = (each for each in whole["models"] if each["name"] == "tiny")
        name = f"{tiny['digest']}.sealed"
        (tmp_path / "packages").mkdir()
        shutil.copy(cluster.home / "packages" / name, tmp_path / "packages" / name)
        settings = {
            "deployment": json.loads((cluster.home / "deployment.json").read_text())["deployment"],
            "broker_url": cluster.facts["broker_url"],
            "deployment_file": str(cluster.home / "deployment.json"),
            "simulated_platform_file": str(cluster.home / "simulated-platform.json"),
            "packages_dir": str(tmp_path / "packages"),
            "workers": 2,
        }
        config = tmp_path / "engine.toml"
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        config.write_text("".join(lines))
        with (tmp_path / "log").open("wb") as log:
            engine = subprocess.Popen(
                (sealflow()[0], "-m", "sealflow.host.engine", str(config)), stderr=log
            )
        try:
            cluster.await_status(
                lambda status: (
                    sorted(map(len, map(_models, _workers(status)))) == [1, 1, 2]
                    and all(each["ready"] for each in _workers(status))
                )
            )
            yield cluster
        finally:
            engine.terminate()
            engine.wait(30)


def test_every_request_is_answered(unequal: LocalCluster) -> None:
    """Two of three workers lack the photos' model, all are busy, and a client notices nothing."""

    def ask(client: Client, number: int) -> bool:
        if number % 3 == 0:
            return bool(client.infer("tiny", tensors={"x": ROW}, timeout_s=60).outputs)
        return bool(client.infer("efficientnet-lite0", image=PHOTO, timeout_s=60).top)

    with unequal.client() as client, ThreadPoolExecutor(12) as pool:
        assert all(pool.map(partial(ask, client), range(90)))
    served = {len(_models(each)): each for each in _workers(unequal.status())}
    assert served[1]["refused"] > 0
