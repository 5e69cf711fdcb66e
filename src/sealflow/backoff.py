"""Core, pure: exponential backoff between tries."""

from __future__ import annotations


class Backoff:
    """An exponential backoff: pauses double from `first_s` to `max_s`, both in seconds.

    It only computes pauses. The caller waits.
    """

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the pause before the next try in seconds, and double the one after it."""
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self._max_s)
        return pause_s

    def reset(self) -> None:
        """Return to the first pause; for after a successful try."""
        self._next_s = self._first_s
