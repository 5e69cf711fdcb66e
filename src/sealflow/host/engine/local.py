"""Host: the engine of one machine: keeps N workers up, feeds them, ends without leaving any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.host.engine.worker_pool import WorkerPool

if TYPE_CHECKING:
    from sealflow.host.engine.config import EngineConfig

_ROUND_S: Final = 1.0


class LocalEngine:
    """Runs on the main thread until told to stop. Each worker has a thread that feeds it."""

    def __init__(self, config: EngineConfig) -> None:
        """Prepare; nothing is started yet.

        Raises: ConfigError.
        """
        self._pool = WorkerPool(config, count=config.worker_count, feeding=True)
        self._stopping = False

    def request_stop(self) -> None:
        """Ask `run_until_stopped` to drain and return; from a signal handler."""
        self._stopping = True
        self._pool.wake()

    def run_until_stopped(self) -> None:
        """Serve until stopped.

        Raises: ConfigError when workers end again and again for a reason that stays.
        """
        try:
            while not self._stopping:
                self._pool.maintain()
                self._pool.wait(_ROUND_S)
            self._pool.drain()
        finally:
            self._pool.end()
