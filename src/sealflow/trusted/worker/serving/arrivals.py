"""Worker: a bounded queue from the frame reader to the request opener."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.keyring import HeldEpochKey
    from sealflow.wire.ids import ModelRef


class HostClock:
    """The worker's time in Unix milliseconds: as the host tells it, but never backwards."""

    def __init__(self, now_ms: int) -> None:
        """Start at a time."""
        self._lock = threading.Lock()
        self._now_ms = now_ms

    @property
    def now_ms(self) -> int:
        """The latest time known."""
        return self._now_ms

    def advance(self, now_ms: int) -> int:
        """Move to a later time, if it is one, and give the time."""
        with self._lock:
            self._now_ms = max(self._now_ms, now_ms)
            return self._now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeBatch:
    """One BATCH frame: envelopes by slot."""

    items: Sequence[tuple[int, memoryview]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingUpdate:
    """What may be opened and run from now on; replaces what was."""

    keys: Sequence[HeldEpochKey]
    lease_ms: int
    models: Mapping[ModelRef, ServedModel]


class ClockTick:
    """Time moved; keys may be over."""


class ArrivalQueue:
    """A queue that refuses envelopes over its bound instead of making the reader wait.

    The reader must never wait for the model: the time and new keys come through the same pipe.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        """Hold at most so many envelopes and bytes of them."""
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._items = 0
        self._bytes = 0
        self._queue: SimpleQueue[EnvelopeBatch | ServingUpdate | ClockTick | None] = SimpleQueue()

    def offer(self, envelopes: EnvelopeBatch) -> bool:
        """Queue a frame's envelopes, or say that there is no room for them."""
        size = _size(envelopes)
        with self._lock:
            if self._items and (
                self._items + len(envelopes.items) > self._max_items
                or self._bytes + size > self._max_bytes
            ):
                return False
            self._items += len(envelopes.items)
            self._bytes += size
        self._queue.put(envelopes)
        return True

    def put(self, message: ServingUpdate | ClockTick | None) -> None:
        """Queue news; None says that nothing will follow."""
        self._queue.put(message)

    @property
    def waiting(self) -> bool:
        """Whether `next` would give something at once."""
        return not self._queue.empty()

    def next(self) -> EnvelopeBatch | ServingUpdate | ClockTick | None:
        """Wait for what came first."""
        message = self._queue.get()
        if isinstance(message, EnvelopeBatch):
            with self._lock:
                self._items -= len(message.items)
                self._bytes -= _size(message)
        return message


def _size(envelopes: EnvelopeBatch) -> int:
    return sum(len(envelope) for _, envelope in envelopes.items)
