"""Worker: stops loads and runs of models that take too long.

A graph is its owner's program, which may never end. Ticks of the host are the only clock.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sealflow.errors import ModelError
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRACE_MS: Final = 10_000
"""How long the runtime may take to stop, before the process is ended."""
MAX_STEP_MS: Final = 5_000
"""What one tick counts for at most, so that a clock that leaps ends nothing."""


class WorkLimit:
    """The time that one load or run may take; one thread works, another calls `advance`.

    `what`: of a limit, for messages. `limit_s`: in seconds.
    """

    def __init__(self, what: str, limit_s: int) -> None:
        self._what = what
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._digest = ""
        self._spent_ms = 0
        self._stopped = False

    @contextmanager
    def work(self, digest: str, stop: Callable[[], None]) -> Iterator[None]:
        """Allow what is done within it the limit's time.

        `digest`: of the model's package. `stop`: asks the runtime to stop, from another thread.

        Raises: ModelError when it was stopped.
        """
        with self._lock:
            self._stop, self._digest, self._spent_ms, self._stopped = stop, digest, 0, False
        try:
            yield
        finally:
            with self._lock:
                self._stop = None
            if self._stopped:
                msg = f"the {self._what} was stopped after {self._limit_s} s"
                raise ModelError(msg)

    def advance(self, by_ms: int) -> str | None:
        """Count time; stop what is over the limit and return its digest.

        Raises: FatalError with HUNG when it goes on for `GRACE_MS` after that.
        """
        with self._lock:
            if self._stop is None:
                return None
            self._spent_ms += min(by_ms, MAX_STEP_MS)
            over_ms = self._spent_ms - 1000 * self._limit_s
            if over_ms >= GRACE_MS:
                raise FatalError(Fatal.HUNG)
            if over_ms < 0 or self._stopped:
                return None
            self._stopped = True
            self._stop()
            return self._digest
