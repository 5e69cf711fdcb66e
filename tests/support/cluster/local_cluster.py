"""A whole cluster for tests, started as people start it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from sealflow.owner import AsyncClient, Client, QueueClient

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
PHOTOS = EXAMPLES / "photos"
TINY = EXAMPLES / "tiny"
LITE0 = EXAMPLES / "efficientnet-lite0"
START_S = 90.0


def sealflow(*arguments: str) -> tuple[str, ...]:
    """The command line of a `sealflow` command."""
    return (sys.executable, "-P", "-c", "from sealflow.cli.main import main; main()", *arguments)


class LocalCluster:
    """`sealflow up` in a process of its own, with a home under /tmp whose paths are short."""

    def __init__(
        self, *models: Path, options: tuple[str, ...] = (), home: Path | None = None
    ) -> None:
        """Start it and wait until it is ready; `home` is deleted in the end."""
        self.home = home or Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        flags = [word for model in models for word in ("--model", str(model))]
        self._errors = (self.home / "up.err").open("wb")
        self.process = subprocess.Popen(
            sealflow("up", "--home", str(self.home), "--port", "0", "--json", *flags, *options),
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.facts: dict[str, Any] = json.loads(line or "{}")
        if "url" not in self.facts:
            self.process.wait()
            raise AssertionError((self.home / "up.err").read_text())

    @property
    def url(self) -> str:
        """The gateway."""
        return str(self.facts["url"])

    @property
    def policy(self) -> Path:
        """The clients' policy."""
        return Path(self.facts["policy"])

    @property
    def archives(self) -> list[Path]:
        """Every key broker host's own copy of the log."""
        return sorted(self.home.glob("keybroker/*/*/log.jsonl"))

    def client(self) -> Client:
        """A client of the gateway."""
        return Client(self.url, policy=self.policy)

    def async_client(self) -> AsyncClient:
        """The same for asyncio."""
        return AsyncClient(self.url, policy=self.policy)

    def queue(self, **options: Any) -> QueueClient:
        """A client of the queue."""
        return QueueClient(self.facts["broker_url"], policy=self.policy, **options)

    def status(self) -> dict[str, Any]:
        """What the gateway says of the cluster."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/v1/status", timeout=10).json()
        return answer

    def await_status(self, ready: Any, within_s: float = 60.0) -> dict[str, Any]:
        """Wait until the status is as wanted."""
        until = time.monotonic() + within_s
        while True:
            try:
                status = self.status()
                if ready(status):
                    return status
            except (httpx.HTTPError, KeyError, ValueError):
                status = {}
            assert time.monotonic() < until, f"not within {within_s} s; last status: {status}"
            time.sleep(0.1)

    def worker_pids(self) -> list[int]:
        """The worker processes that run now."""
        return self.pids("sealflow.trusted.worker")

    def pids(self, *words: str) -> list[int]:
        """The cluster's processes whose command line has all the words."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in children if all(_has(child, word) for word in words)]

    def all_pids(self) -> list[int]:
        """Every process of the cluster but the one that started it."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def stop(self, *, keep_home: bool = False) -> int:
        """Ask it to end; gives its exit code. The home may be kept for another cluster."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self._close()
        if not keep_home:
            shutil.rmtree(self.home, ignore_errors=True)
        return code

    def kill(self) -> None:
        """End the starting process as the kernel would: at once, without a word."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.stop()


def _has(process: psutil.Process, word: str) -> bool:
    try:
        return word in " ".join(process.cmdline())
    except psutil.Error:
        return False
