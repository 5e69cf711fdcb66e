"""A worker ends when its input does, however that comes about; nothing but the pipe is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Self

import pytest

from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import BrokerAddress, load_owner_key
from sealflow.streams.keys import Keyspace
from sealflow.wire.frames import FRAME_HEAD_LENGTH, FrameKind, decode_head, encode_frame
from tests.support.cluster.local_cluster import TINY, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = Keyspace(deployment="sealflow")
SETTINGS = {
    "runtime": "onnx",
    "threads": 1,
    "max_batch": 0,
    "max_wait_ms": 0,
    "max_body_bytes": 2**20,
    "max_pixels": 10**6,
    "replay_capacity": 1000,
    "load_s": 60,
    "run_s": 60,
    "serves": None,
    "load_first": [],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster whose key broker enrolls workers."""
    with LocalCluster(TINY, options=("--workers", "1")) as running:
        yield running


class Untethered:
    """A worker that the kernel would not end: only a pipe connects it, and another holds that.

    The holder stands for the process that feeds it.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        """Start worker and holder, and give the worker its settings."""
        self._broker = RedisStreams(BrokerAddress(url=cluster.facts["broker_url"]))
        reads, self._writes = os.pipe()
        self.process = subprocess.Popen(
            (sys.executable, "-I", "-B", "-m", "sealflow.trusted.worker"),
            stdin=reads,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # As a host does: NumPy's library starts no thread of its own.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        os.close(reads)
        self.holder = subprocess.Popen(
            (sys.executable, "-c", "import signal; signal.pause()"), pass_fds=(self._writes,)
        )
        files = {
            "deployment": cluster.home / "deployment.json",
            "simulated_platform": cluster.home / "simulated-platform.json",
        }
        boot = SETTINGS | {name: b64encode(path.read_bytes()).decode() for name, path in
                           files.items()} | {"now_ms": _now_ms()}  # fmt: skip
        boot["serves"] = load_owner_key(cluster.home / "owner.key").signer
        self._send(FrameKind.BOOT, json.dumps(boot).encode())
        directory = self._broker.get(KEYS.directory) or b""
        self._send(FrameKind.TICK, _now_ms().to_bytes(8) + directory)

    def _send(self, kind: FrameKind, payload: bytes) -> None:
        os.write(self._writes, encode_frame(kind, payload))

    def await_frame(self, wanted: FrameKind) -> bytes:
        """Read on until a frame of that kind, carrying requests to the key broker meanwhile."""
        assert self.process.stdout is not None
        while True:
            kind, length = decode_head(self.process.stdout.read(FRAME_HEAD_LENGTH))
            payload = self.process.stdout.read(length)
            if kind is wanted:
                return payload
            if kind is FrameKind.CONTROL:
                answer = self._broker.ask(KEYS.control, payload, capacity=256, timeout_s=30)
                self._send(FrameKind.CONTROL, answer or b"")

    def let_go(self) -> None:
        """Leave the pipe to the holder alone."""
        os.close(self._writes)
        self._writes = -1

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End what is left."""
        if self._writes >= 0:
            os.close(self._writes)
        for process in (self.holder, self.process):
            process.kill()
            process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._broker.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _drain(worker: Untethered) -> None:
    """Read what else it writes, so that it never waits for that."""
    assert worker.process.stdout is not None
    threading.Thread(target=worker.process.stdout.read, daemon=True).start()


@pytest.mark.parametrize("until", [FrameKind.CONTROL, FrameKind.READY, FrameKind.WANT])
def test_it_ends_with_its_input(cluster: LocalCluster, until: FrameKind) -> None:
    """While it enrolls, when it is ready, while it waits for a model: the end of the pipe ends it.

    Another process held the pipe and was killed; no signal came from the kernel.
    """
    with Untethered(cluster) as worker:
        worker.await_frame(until)
        worker.let_go()
        assert worker.process.poll() is None
        worker.holder.kill()
        _drain(worker)
        assert worker.process.wait(30) == 0


def test_it_ends_after_a_pause(cluster: LocalCluster) -> None:
    """One that stood still when its input ended ends as soon as it runs again."""
    with Untethered(cluster) as worker:
        worker.await_frame(FrameKind.READY)
        os.kill(worker.process.pid, signal.SIGSTOP)
        _, status = os.waitpid(worker.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        worker.let_go()
        worker.holder.kill()
        worker.holder.wait()
        assert worker.process.poll() is None
        os.kill(worker.process.pid, signal.SIGCONT)
        _drain(worker)
        assert worker.process.wait(30) == 0
