"""Policy files at work: owners who demand more of workers, clients who accept named packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import PolicyError, SealflowError
from sealflow.owner import Client
from tests.support.cluster.local_cluster import TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INPUT = {"x": np.zeros((1, 4), np.float32)}


@pytest.fixture(scope="module")
def small() -> Iterator[LocalCluster]:
    """A cluster with one model."""
    with LocalCluster(TINY, options=("--workers", "1")) as running:
        yield running


def variant(tmp_path: Path, name: str) -> Path:
    """The small model under another name."""
    folder = tmp_path / name
    shutil.copytree(TINY, folder)
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace('name = "tiny"', f'name = "{name}"', 1))
    return folder


def publish(cluster: LocalCluster, folder: Path, policy: Path) -> dict[str, Any]:
    """Publish by the command, under a policy file; gives the model as the directory has it."""
    command = sealflow(
        "model", "publish", str(folder), "--home", str(cluster.home), "--policy", str(policy)
    )
    done = subprocess.run((*command, "--json"), capture_output=True, check=True)
    models = {each["name"]: each for each in json.loads(done.stdout)["models"]}
    found: dict[str, Any] = models[folder.name]
    return found


def with_worker(cluster: LocalCluster, path: Path, *measurements: str) -> Path:
    """The cluster's policy, with a demand on workers."""
    worker = f"\n[worker]\nmeasurements = {json.dumps(measurements)}\n"
    worker += "max_collateral_age_s = 34560000\n"
    path.write_text(cluster.policy.read_text() + worker)
    return path


def measured(cluster: LocalCluster) -> list[str]:
    """The measurements of workers, from the settings: of this environment and of the image."""
    settings = json.loads((cluster.home / "deployment.json").read_text())
    found: list[str] = settings["worker"]["measurements"]
    return found


def test_owner_who_accepts(small: LocalCluster, tmp_path: Path) -> None:
    """An owner's demand that the workers meet is in the directory, and the model is served."""
    policy = with_worker(small, tmp_path / "owner.toml", *measured(small))
    assert publish(small, variant(tmp_path, "guarded"), policy)["workers"] is not None
    with small.client() as client:
        small.await_status(lambda status: "guarded" in json.dumps(status))
        assert client.infer("guarded", tensors=INPUT, timeout_s=30).simulated


def test_owner_who_refuses(small: LocalCluster, tmp_path: Path) -> None:
    """A model goes to no worker that its owner's policy does not accept."""
    policy = with_worker(small, tmp_path / "owner.toml", "00" * 32)
    assert publish(small, variant(tmp_path, "withheld"), policy)["workers"] is not None
    publish(small, variant(tmp_path, "later"), small.policy)
    # The worker has asked again: it has what was published after.
    small.await_status(lambda status: "later" in json.dumps(status["components"]))
    loaded = [
        model["name"]
        for part in small.status()["components"]
        for worker in part.get("workers") or ()
        for model in worker["models"]
    ]
    assert "later" in loaded
    assert "withheld" not in loaded
    with small.client() as client, pytest.raises(SealflowError):
        client.infer("withheld", tensors=INPUT, timeout_s=3)


def test_client_with_models(small: LocalCluster, tmp_path: Path) -> None:
    """A client whose policy names packages sends to those, and never to another."""
    with small.client() as client:
        digests = {each.name: each.digest for each in client.verify().models}
    for digest, fits in ((digests["tiny"], True), ("00" * 32, False)):
        path = tmp_path / f"{fits}.toml"
        path.write_text(f'models = {{ tiny = ["{digest}"] }}\n' + small.policy.read_text())
        assert tomllib.loads(path.read_text())["models"]
        with Client(small.url, policy=path) as client:
            if fits:
                assert client.infer("tiny", tensors=INPUT).simulated
            else:
                with pytest.raises(PolicyError) as caught:
                    client.infer("tiny", tensors=INPUT)
                assert [each.code for each in caught.value.mismatches] == ["model"]


def test_other_clusters_policy(small: LocalCluster, tmp_path: Path) -> None:
    """A policy for other code and settings names all that differs, and nothing is sent."""
    text = small.policy.read_text()
    policy = tomllib.loads(text)
    for each in policy["keybroker"]["measurements"]:
        text = text.replace(each, "00" * 32)
    path = tmp_path / "other.toml"
    path.write_text(text.replace(policy["manifest_digest"], "11" * 32))
    with Client(small.url, policy=path) as client, pytest.raises(PolicyError) as caught:
        client.infer("tiny", tensors=INPUT)
    assert [each.code for each in caught.value.mismatches] == ["manifest_digest", "measurement"]
