"""CLI: ports on this machine."""

from __future__ import annotations

import socket

from sealflow.errors import ConfigError


def free_port(host: str, wanted: int) -> int:
    """Check that a port is free, or with 0 let the system choose one, which it gives nobody soon.

    Raises: ConfigError when it is taken, or `host` is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, wanted), family=family) as listening:
            port: int = listening.getsockname()[1]
            return port
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{wanted}: {error.strerror}; use another --port"
        ) from error


def near_port(host: str, wanted: int) -> int:
    """Give the wanted port, or any free one when that is taken.

    Raises: ConfigError when there is none.
    """
    try:
        return free_port(host, wanted)
    except ConfigError:
        return free_port(host, 0)
