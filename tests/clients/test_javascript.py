"""The JavaScript client: its own tests, a live service in Node.js, and one in a browser."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pytest

from sealflow.owner import Client
from tests.support.clients.chromium import PROGRAM, chromium_page
from tests.support.clients.node import demand_node, npm, script
from tests.support.clients.page_server import page_server
from tests.support.cluster.local_cluster import LITE0, PHOTOS, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPECTED: dict[str, dict[str, Any]] = json.loads((PHOTOS / "expected.json").read_text())
PHOTO = "coffee.jpg"
VECTORS = 3700
"""As many at least; vectors are only ever added."""


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    demand_node()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with the two example models, which pages of all origins may ask."""
    with LocalCluster(TINY, LITE0, options=("--cors-origin", "*")) as running:
        yield running


@pytest.fixture(scope="module")
def run(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of the client against the cluster, and the folder with its files."""
    folder = tmp_path_factory.mktemp("js")
    found: dict[str, Any] = _exchange(cluster, folder)
    return {**found, "folder": folder}


def _exchange(cluster: LocalCluster, folder: Path) -> Any:
    files = folder / "client.pin", PHOTOS / PHOTO, folder / "receipts.jsonl"
    return script("exchange.mjs", cluster.url, cluster.policy, *files)


def test_its_own_tests() -> None:
    """All of its tests pass, and those of every vector that concerns a client are among them."""
    printed = npm("test")
    found = re.search(r"vectors: (\d+) passed, \d+ not a client's concern", printed)
    assert found is not None
    assert int(found[1]) >= VECTORS


def test_types() -> None:
    """The types that it documents are those that it has."""
    npm("run", "types")


def test_tensors(run: dict[str, Any]) -> None:
    """Tensors come out as the same model gives them here; requests at once get their own."""
    session = ort.InferenceSession(TINY / "model.onnx", providers=["CPUExecutionProvider"])
    truth = session.run(None, {"x": np.array(run["rows"], dtype=np.float32)})[0]
    found = np.array(run["probabilities"]).reshape(2, 3)
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
    assert run["many"] == [[2, 3]] * 20
    assert [best["index"] for best in run["topOfRows"]] == truth.argmax(axis=1).tolist()


def test_photo(run: dict[str, Any]) -> None:
    """A photo gets its class first, with its label."""
    best = run["top"][0]
    assert (best["index"], best["label"]) == (EXPECTED[PHOTO]["index"], EXPECTED[PHOTO]["label"])
    assert len(run["top"]) == 5


def test_trust_report(run: dict[str, Any], cluster: LocalCluster) -> None:
    """It proves the same as the report of `sealflow`, and says that this is a simulation."""
    with cluster.client() as client:
        wanted = client.verify()
    trust = run["trust"]
    assert trust["simulated"]
    assert run["simulated"]
    assert trust["deployment"] == wanted.deployment
    assert trust["measurement"] == wanted.measurement
    assert trust["manifestDigest"] == wanted.manifest_digest
    assert trust["continuity"] == "first"


def test_refusals(run: dict[str, Any]) -> None:
    """What does not fit is refused, with the code of its fault."""
    assert run["refusals"] == {
        "measurement": ["measurement"],
        "settings": ["deployment", "manifest_digest"],
        "hardware": "world",
        "key": "config",
        "package": ["model"],
        "shape": "invalid_input",
        "photo": "invalid_input",
        "model": "invalid_input",
        "address": "unavailable",
    }


def test_receipt(run: dict[str, Any], cluster: LocalCluster) -> None:
    """Its receipt is genuine by the log."""
    folder: Path = run["folder"]
    policy, log = str(cluster.policy), str(folder / "log.jsonl")
    for arguments in (
        ("log", "fetch", log, "--url", cluster.url, "--policy", policy),
        ("receipt", "verify", str(folder / "receipts.jsonl"), "--log", log, "--policy", policy),
    ):
        done = subprocess.run(sealflow(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "genuine" in done.stdout


def test_pin(run: dict[str, Any], cluster: LocalCluster, tmp_path: Path) -> None:
    """It reads its own pin and that of `sealflow`, which reads its."""
    again = _exchange(cluster, run["folder"])
    assert again["trust"]["continuity"] in {"direct", "linked"}
    assert again["trust"]["directoryVersion"] >= run["trust"]["directoryVersion"]
    with Client(cluster.url, policy=cluster.policy, pin=run["folder"] / "client.pin") as client:
        assert client.verify().directory_version >= run["trust"]["directoryVersion"]
    with Client(cluster.url, policy=cluster.policy, pin=tmp_path / "client.pin") as client:
        client.verify()
    assert _exchange(cluster, tmp_path)["trust"]["continuity"] in {"direct", "linked"}


def test_forged_pin(run: dict[str, Any], cluster: LocalCluster, tmp_path: Path) -> None:
    """A pin of another history or of a later directory refuses the service."""
    kept = json.loads((run["folder"] / "client.pin").read_text())
    for changes, code in (
        ({"history": "00" * 32}, "directory_history"),
        ({"version": kept["version"] + 1000}, "directory_rollback"),
        ({"digest": "00" * 32}, "directory_fork"),
    ):
        (tmp_path / "client.pin").write_text(json.dumps({**kept, **changes}))
        with pytest.raises(AssertionError, match=code):
            _exchange(cluster, tmp_path)


@pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt-get install chromium")
async def test_browser(cluster: LocalCluster) -> None:
    """The example page verifies the service, seals a photo, and shows classes and report."""
    policy = tomllib.loads(cluster.policy.read_text())
    settings = {"gateway": cluster.url, "policy": policy, "model": "efficientnet-lite0"}
    async with page_server(settings) as address, chromium_page() as page:
        await page.open(address)
        await page.until("document.getElementById('form')?.hidden === false")
        assert await page.evaluate("document.getElementById('simulation').hidden") is False
        await page.choose_file("#photo", PHOTOS / PHOTO)
        await page.until("document.getElementById('classes').hidden === false")
        shown = await page.evaluate("document.querySelector('#classes tbody td').textContent")
        assert shown == EXPECTED[PHOTO]["label"]
        assert await page.evaluate("document.querySelectorAll('#classes tbody tr').length") == 5
        report = await page.evaluate("document.getElementById('report').textContent")
        assert "SIMULATION" in report
        assert "(first)" in report
        await page.open(address)
        await page.until("document.getElementById('form')?.hidden === false")
        report = await page.evaluate("document.getElementById('report').textContent")
        assert "(direct)" in report or "(linked)" in report
        assert page.complaints == []
