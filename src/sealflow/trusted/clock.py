"""Trusted: an enclave's clock, which its host sets ahead and which moves on by itself.

In TDX and SEV-SNP guests the counter behind it is the hardware's. In SGX the host owns that, too:
there it hides a frozen or silent host no more than the host wants (docs/spec/keybroker.md, 1.5).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _own_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class EnclaveClock:
    """The time in Unix ms: the latest that was told, or more by what passed since. Thread-safe.

    It never goes back, and stands still for no host.

    `now_ms`: the host's time at the start. `own_ms`: returns ms from any fixed moment.
    """

    def __init__(self, now_ms: int, own_ms: Callable[[], int] = _own_ms) -> None:
        self._lock = threading.Lock()
        self._own_ms = own_ms
        self._latest_ms = now_ms
        self._offset_ms = now_ms - own_ms()

    @property
    def now_ms(self) -> int:
        """The present time."""
        return self.advance(0)

    def advance(self, now_ms: int) -> int:
        """Set the clock to the host's `now_ms`, unless that is earlier, and return its time.

        A host that leaps ahead and comes back finds the clock waiting where it leapt to, until the
        time since the start has caught up.
        """
        with self._lock:
            self._latest_ms = max(self._latest_ms, now_ms, self._offset_ms + self._own_ms())
            return self._latest_ms

    def count_from(self, now_ms: int) -> None:
        """Move on from `now_ms` at least, a time that an enclave vouches for and not the host."""
        with self._lock:
            self._offset_ms = max(self._offset_ms, now_ms - self._own_ms())
