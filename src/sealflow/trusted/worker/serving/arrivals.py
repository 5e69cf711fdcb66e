"""Worker: a bounded queue from the frame reader to the request opener."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from sealflow.trusted.worker.serving.keyring import LeaseUse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.keyring import EpochPrivateKey
    from sealflow.wire.ids import ModelRef


_LOOK_S: Final = 1.0
"""The longest wait for a message: keys end in time also when nothing arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeBatch:
    """The envelopes of one BATCH frame, each with its slot."""

    items: Sequence[tuple[int, memoryview]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingUpdate:
    """The keys, lease and models of the newest grant; it replaces those of the one before.

    `lease_ms`: end of the lease, in Unix ms. `use`: of this lease so far. `revoked_tokens`: the ids
    of tenant tokens that are not served.
    """

    keys: Sequence[EpochPrivateKey]
    lease_ms: int
    use: LeaseUse = field(default_factory=LeaseUse)
    models: Mapping[ModelRef, ServedModel]
    revoked_tokens: Collection[str] = ()


class ClockTick:
    """Time has passed, so that keys may have expired."""


class ArrivalQueue:
    """A queue that refuses envelopes over its limits instead of blocking the frame reader.

    The reader must never wait for a model, as clock ticks and new keys come through the same pipe.

    `max_items`, `max_bytes`: limits of the waiting envelopes. If none waits, a batch of any size is
    accepted.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._items = 0
        self._bytes = 0
        self._queue: SimpleQueue[EnvelopeBatch | ServingUpdate | ClockTick | None] = SimpleQueue()

    def offer(self, envelopes: EnvelopeBatch) -> bool:
        """Queue a frame's envelopes; return False if there is no room for them."""
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
        """Queue an update, a tick, or None as the last message."""
        self._queue.put(message)

    @property
    def waiting(self) -> bool:
        """Whether `next` would return without waiting."""
        return not self._queue.empty()

    def next(self) -> EnvelopeBatch | ServingUpdate | ClockTick | None:
        """Wait for the oldest message and return it; None means that the queue is closed.

        A tick is returned when none arrives for a second.
        """
        try:
            message = self._queue.get(timeout=_LOOK_S)
        except Empty:
            return ClockTick()
        if isinstance(message, EnvelopeBatch):
            with self._lock:
                self._items -= len(message.items)
                self._bytes -= _size(message)
        return message


def _size(envelopes: EnvelopeBatch) -> int:
    return sum(len(envelope) for _, envelope in envelopes.items)
