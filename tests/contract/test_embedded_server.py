"""The embedded server belongs to its user alone, and bad addresses are said at once."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.host.broker.embedded_server import SOCKET_NAME, server_command
from sealflow.host.broker.redis_streams import RedisStreams
from tests.support.queue.streams import raw_client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.queue.server import QueueServer


def test_the_embedded_server_is_private(server: QueueServer) -> None:
    """Folder and socket belong to this user alone, and no port is open."""
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / SOCKET_NAME).stat().st_mode) == 0o700
    assert raw_client(server).config_get("port")["port"] == "0"
    assert raw_client(server).config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_bad_addresses_and_folders(tmp_path: Path) -> None:
    """They are refused before anything is started, with what to write instead."""
    for url in ("http://x", "redis", "unix://"):
        with pytest.raises(ConfigError, match="unix:///path"):
            RedisStreams(url)
    with pytest.raises(ConfigError, match="too long"):
        server_command(tmp_path / ("x" * 120), max_memory_bytes=2**26)
