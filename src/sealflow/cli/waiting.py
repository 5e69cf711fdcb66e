"""CLI: wait until a part of a cluster that starts on this machine is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealflow.host.cluster import Cluster

_POLL_S: Final = 0.1


def await_ready(
    who: str, attempt: Callable[[], object], timeout_s: float, *, cluster: Cluster, logs: Path
) -> None:
    """Try until it works, and meanwhile start again what dies of the cluster.

    `who`: what is waited for, and `logs` where to look, for people.
    Raises: ConfigError when it does not within `timeout_s`, or a process ends again and again.
    """
    until = time.monotonic() + timeout_s
    while True:
        cluster.supervise()
        try:
            attempt()
        except UnavailableError as error:
            if time.monotonic() >= until:
                raise ConfigError(
                    f"{who}: not ready in {timeout_s:g} s: {error}; see {logs}"
                ) from error
            time.sleep(_POLL_S)
        else:
            return
