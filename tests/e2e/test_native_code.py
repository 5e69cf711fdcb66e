"""What a serving worker has in memory besides its model runtime, and which threads it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import psutil
import pytest

from tests.support.cluster.local_cluster import LITE0, PHOTOS, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "efficientnet-lite0:1"
MOST_MIB = 90
RUNTIMES = ("onnxruntime", "openvino")
FOREIGN = re.compile(r"cv2|opencv|avcodec|avformat|swscale|libaom|dav1d|webp|tiff|openjp|gif|jxl")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One worker of one thread, with a model of photos."""
    with LocalCluster(LITE0, options=("--workers", "1")) as running:
        yield running


def worker_process(cluster: LocalCluster) -> psutil.Process:
    """The only worker."""
    below = psutil.Process(cluster.process.pid).children(recursive=True)
    [found] = [each for each in below if "sealflow.trusted.worker" in each.cmdline()]
    return found


def mapped_code(process: psutil.Process) -> dict[str, int]:
    """Bytes of each file from which a process maps code: all that is mapped of it."""
    maps = process.memory_maps(grouped=False)
    code = {each.path for each in maps if "x" in each.perms and each.path.startswith("/")}
    sizes: dict[str, int] = {}
    for each in maps:
        if each.path in code:
            first, last = (int(edge, 16) for edge in each.addr.split("-"))
            sizes[each.path] = sizes.get(each.path, 0) + last - first
    return sizes


def test_native_code(cluster: LocalCluster) -> None:
    """Little code is mapped besides the runtime, and no decoder of films or of other formats."""
    with cluster.client() as client:
        client.infer(MODEL, image=PHOTOS / "coffee.jpg", top_k=1)
    sizes = mapped_code(worker_process(cluster))
    assert not [path for path in sizes if FOREIGN.search(path)]
    own = {path: size for path, size in sizes.items() if not any(each in path for each in RUNTIMES)}
    assert any("simplejpeg" in path for path in own)
    assert sum(own.values()) < MOST_MIB * 2**20, sorted(own.items(), key=lambda each: -each[1])[:9]


def test_threads(cluster: LocalCluster) -> None:
    """A photo of 12 megapixels, as JPEG and as PNG, starts no thread."""
    process = worker_process(cluster)
    before = process.num_threads()
    photo = cv2.imdecode(np.fromfile(PHOTOS / "coffee.jpg", np.uint8), cv2.IMREAD_COLOR)
    assert photo is not None
    large = cv2.resize(photo, (4_000, 3_000))
    with cluster.client() as client:
        for ending in (".jpg", ".png"):
            image = cv2.imencode(ending, large)[1].tobytes()
            assert client.infer(MODEL, image=image, top_k=1).top
    assert process.num_threads() == before == 4  # frames, lease, loads, requests
