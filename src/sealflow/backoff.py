"""Core, pure: pauses that grow between tries."""

from __future__ import annotations


class Backoff:
    """Pauses in seconds that double from `first_s` to `max_s`. It neither waits nor tells time."""

    def __init__(self, first_s: float, max_s: float) -> None:
        """Begin with `first_s`."""
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the pause before the next try; the one after it is longer."""
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self._max_s)
        return pause_s

    def reset(self) -> None:
        """Begin anew, after a try that succeeded."""
        self._next_s = self._first_s
