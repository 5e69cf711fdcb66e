"""Host: the engine of one machine, which runs a pool of workers until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.host.engine.worker_pool import WorkerPool

if TYPE_CHECKING:
    from sealflow.host.engine.config import EngineConfig

_ROUND_S: Final = 1.0


class LocalEngine:
    """An engine that runs on the main thread; each worker has a thread that feeds it."""

    def __init__(self, config: EngineConfig) -> None:
        """Prepare the pool; workers are started by `run_until_stopped`.

        Raises: ConfigError.
        """
        self._pool = WorkerPool(config, count=config.worker_count, feeding=True)
        self._stopping = False

    def request_stop(self) -> None:
        """Have `run_until_stopped` drain and return. A signal handler may call it."""
        self._stopping = True
        self._pool.wake()

    def run_until_stopped(self) -> None:
        """Serve until `request_stop` is called, then drain and end all workers.

        Raises: ConfigError when workers failed to start several times for a lasting reason.
        """
        try:
            while not self._stopping:
                self._pool.maintain()
                self._pool.wait(_ROUND_S)
            self._pool.drain()
        finally:
            self._pool.end()
