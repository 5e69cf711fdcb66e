"""A pool whose workers differ: each request reaches one that has its model."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealflow.owner.policy_file import load_policy
from sealflow.owner.requests import request_parts
from sealflow.owner.session import ServiceSession
from sealflow.wire.envelope import MEDIA_TYPE, ReplyHeader, decode
from tests.sim.cluster import LITE0, PHOTOS, TINY, RunningCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PHOTO = (PHOTOS / "coffee.jpg").read_bytes()


def _models(worker: dict[str, Any]) -> set[str]:
    return {each["name"] for each in worker["models"]}


def _workers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for part in status["components"] for each in part.get("workers", ())]


@pytest.fixture
def unequal(tmp_path: Path) -> Iterator[RunningCluster]:
    """One worker with two models; beside it an engine whose two workers have but one of them."""
    with RunningCluster(TINY, LITE0, options=("--workers", "1")) as cluster:
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


def test_each_request_is_answered_at_once(unequal: RunningCluster) -> None:
    """No refusal reaches the sender, although two of three workers refuse, while all are busy."""
    session = ServiceSession(load_policy(unequal.policy))
    session.adopt(session.examine(httpx.get(f"{unequal.url}/v1/directory").content))
    photo, row = (
        {"image": PHOTO, "tensors": None},
        {"image": None, "tensors": {"x": [[1, 2, 3, 4]]}},
    )

    def ask(number: int) -> bool:
        name, given = ("tiny", row) if number % 3 == 0 else ("efficientnet-lite0", photo)
        model = session.model(name)
        call = session.seal(model, request_parts(model, top_k=1, **given), timeout_s=60)
        answer = httpx.post(
            f"{unequal.url}/v1/envelopes",
            content=call.envelope,
            headers={"content-type": MEDIA_TYPE},
            timeout=60,
        )
        envelope = decode(answer.content, max_body_bytes=2**24)
        assert isinstance(envelope.header, ReplyHeader), envelope.header
        call.open_reply(envelope)
        return True

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(90)))
    served = {len(_models(each)): each for each in _workers(unequal.status())}
    assert served[1]["refused"] > 0
