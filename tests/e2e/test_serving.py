"""A whole cluster answers right: by gateway, asyncio, queue, command line; and many at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealflow.errors import ConfigError, InvalidInputError
from sealflow.owner import InferResult, InputQueue, OutputQueue
from tests.support.cluster.local_cluster import PHOTOS, TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EXPECTED: dict[str, dict[str, Any]] = json.loads((PHOTOS / "expected.json").read_text())
MODEL = "efficientnet-lite0"


@pytest.fixture(scope="module")
def tiny() -> ort.InferenceSession:
    """The tiny model in this process, as the truth."""
    return ort.InferenceSession(TINY / "model.onnx", providers=["CPUExecutionProvider"])


def _truth(session: ort.InferenceSession, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = session.run(None, {"x": rows})[0]
    return found


def test_photos_are_classified_right(cluster: LocalCluster) -> None:
    """Each example photo gets its class first, with its label, marked as simulated."""
    with cluster.client() as client:
        for name, wanted in EXPECTED.items():
            result = client.infer(MODEL, image=PHOTOS / name, top_k=5)
            assert (result.top[0].index, result.top[0].label) == (wanted["index"], wanted["label"])
            assert len(result.top) == 5
            assert result.simulated
            assert str(result.model) == f"{MODEL}:1"


def test_several_images_in_one_request(cluster: LocalCluster) -> None:
    """A batch of images comes back row by row, in order."""
    with cluster.client() as client:
        result = client.infer(MODEL, image=[PHOTOS / name for name in EXPECTED], top_k=1)
    found = [row[0].index for row in result.top_rows]
    assert found == [wanted["index"] for wanted in EXPECTED.values()]


def test_tensors_in_and_out(cluster: LocalCluster, tiny: ort.InferenceSession) -> None:
    """Arrays go in and come out as numpy, equal to the same model run here; lists are cast."""
    rows = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    with cluster.client() as client:
        found = client.infer("tiny:1", tensors={"x": rows}).outputs["probabilities"]
        np.testing.assert_allclose(found, _truth(tiny, rows), rtol=1e-5, atol=1e-6)
        listed = client.infer("tiny", tensors={"x": [[1, 2, 3, 4]]}).outputs["probabilities"]
        assert listed.shape == (1, 3)


async def test_asyncio(cluster: LocalCluster) -> None:
    """The asynchronous client answers many at once, each in its place."""
    async with cluster.async_client() as client:
        names = list(EXPECTED) * 4
        outcomes = {
            outcome.index: outcome.result
            async for outcome in client.infer_many(MODEL, [PHOTOS / name for name in names])
        }
    assert [outcomes[place].top[0].index for place in range(len(names))] == [
        EXPECTED[name]["index"] for name in names
    ]


def test_queue_style(cluster: LocalCluster, tiny: ort.InferenceSession) -> None:
    """Cluster Serving's way: enqueue by id, query one id, dequeue the rest."""
    with cluster.queue() as queue:
        photos, tensors = InputQueue(queue, MODEL), InputQueue(queue, "tiny")
        out = OutputQueue(queue)
        row = np.array([[0.5, -1, 2, 0]], np.float32)
        photos.enqueue("cat", image=PHOTOS / "chelsea.jpg", top_k=3)
        tensors.enqueue("numbers", x=row)
        cat = out.query("cat", timeout_s=30)
        assert cat is not None
        assert cat.top[0].index == EXPECTED["chelsea.jpg"]["index"]
        rest: dict[str, Any] = {}
        while queue:
            rest |= out.dequeue(timeout_s=5)
        rest |= out.dequeue()
        assert isinstance(rest["numbers"], InferResult)
        found = rest["numbers"].outputs["probabilities"]
        np.testing.assert_allclose(found, _truth(tiny, row), rtol=1e-5, atol=1e-6)
        with pytest.raises(InvalidInputError, match="no request 'other'"):
            out.query("other")


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(1, 90), min_size=4, max_size=24),
    photos=st.lists(st.sampled_from(sorted(EXPECTED)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_request_gets_its_own_rows(
    cluster: LocalCluster,
    tiny: ort.InferenceSession,
    sizes: list[int],
    photos: list[str],
    seed: int,
) -> None:
    """Concurrent requests of mixed models and sizes each get exactly their own rows."""
    source = np.random.default_rng(seed)
    inputs = [source.normal(size=(size, 4)).astype(np.float32) for size in sizes]

    async def run() -> None:
        async with cluster.async_client() as client:
            numbers = [client.infer("tiny", tensors={"x": rows}) for rows in inputs]
            images = [client.infer(MODEL, image=PHOTOS / name, top_k=1) for name in photos]
            found = await asyncio.gather(*numbers, *images)
        for rows, result in zip(inputs, found, strict=False):
            got = result.outputs["probabilities"]
            np.testing.assert_allclose(got, _truth(tiny, rows), rtol=1e-4, atol=1e-5)
        for name, result in zip(photos, found[len(inputs) :], strict=True):
            assert result.top[0].index == EXPECTED[name]["index"]

    asyncio.run(run())


def _run(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        sealflow(*arguments, "--home", str(cluster.home)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_command_line(cluster: LocalCluster) -> None:
    """`verify`, `infer`, `status` and `model list` say the same things as JSON."""
    proved = json.loads(_run(cluster, "verify", "--json").stdout)
    assert proved["verified"]
    assert proved["simulated"]
    assert {model["name"] for model in proved["models"]} == {"tiny", MODEL}
    found = _run(cluster, "infer", "--json", "-k", "1", *(str(PHOTOS / name) for name in EXPECTED))
    tops = [json.loads(line)["top"][0]["index"] for line in found.stdout.splitlines()]
    assert tops == [wanted["index"] for wanted in EXPECTED.values()]
    status = json.loads(_run(cluster, "status", "--json").stdout)
    assert status["ready"]
    assert {each["component"] for each in status["components"]} == {"control", "engine", "gateway"}
    listed = json.loads(_run(cluster, "model", "list", "--json").stdout)
    assert len(listed) == 2


def test_benchmark(cluster: LocalCluster, tmp_path: Path) -> None:
    """It pushes, pulls and checks all, ends with the headline, and draws."""
    plot = tmp_path / "plot.png"
    arguments = ("bench", "-n", "30", "-i", str(PHOTOS), "--plot", str(plot))
    shown = _run(cluster, *arguments)
    assert shown.returncode == 0, shown.stderr
    assert "Served 30 images in " in shown.stdout
    assert " sec, e2e throughput is " in shown.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    gateway = json.loads(
        _run(cluster, "bench", "-n", "64", "--tensor", "-m", "tiny", "-c", "8", "--json").stdout
    )
    assert gateway["served"] == 64
    assert gateway["via"] == "gateway"
    paced = json.loads(
        _run(cluster, "bench", "-n", "20", "-i", str(PHOTOS), "--rate", "40", "--json").stdout
    )
    assert paced["served"] == 20


def test_errors_of_the_command_line(cluster: LocalCluster, tmp_path: Path) -> None:
    """A wrong path, model or home ends with one line that says what to do, and its exit code."""
    absent = _run(cluster, "infer", "absent.jpg")
    assert absent.returncode == 2
    assert "absent.jpg" in absent.stderr
    unknown = _run(cluster, "infer", "-m", "nothing", str(PHOTOS / "coffee.jpg"))
    assert unknown.returncode == 5
    assert "the verified directory, which has tiny:1" in unknown.stderr
    nowhere = subprocess.run(
        sealflow("status", "--home", str(tmp_path)), capture_output=True, text=True, check=False
    )
    assert nowhere.returncode == 2
    assert "sealflow up" in nowhere.stderr


def test_a_second_cluster_in_the_same_home_is_refused(cluster: LocalCluster) -> None:
    """`up` says that one runs there already."""
    second = _run(cluster, "up", "--port", "0")
    assert second.returncode == 2
    assert "already" in second.stderr


def test_wrong_arguments_of_the_client(cluster: LocalCluster) -> None:
    """Unreadable files and unknown inputs are named before anything is sent."""
    with cluster.client() as client:
        with pytest.raises(ConfigError, match=r"absent\.jpg"):
            client.infer(MODEL, image="absent.jpg")
        with pytest.raises(InvalidInputError, match="takes no images"):
            client.infer("tiny", image=PHOTOS / "coffee.jpg")
        with pytest.raises(InvalidInputError, match="has no input 'z'"):
            client.infer("tiny", tensors={"z": [[1.0]]})
