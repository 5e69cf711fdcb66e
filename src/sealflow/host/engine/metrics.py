"""Host: what one consumer of the queue did, in figures for those who watch it.

Seen from outside the enclave: a round trip is from the frame to a worker until its answer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sealflow.wire.envelope import MAGIC, Kind

REMEMBERED: Final = 1024
_REFUSAL: Final = bytes([Kind.REFUSAL])


class EngineMetrics:
    """Counts, and percentiles over the last 1024. Written by one thread at a time."""

    def __init__(self) -> None:
        """Nothing was done yet."""
        self.requests = 0
        self.refusals = 0
        self._batch_sizes: deque[int] = deque(maxlen=REMEMBERED)
        self._round_trips_ms: deque[int] = deque(maxlen=REMEMBERED)

    def note_batch(self, size: int) -> None:
        """Note how many entries a worker was given at once."""
        self._batch_sizes.append(size)

    def note_answer(self, envelope: bytes, round_trip_s: float) -> None:
        """Note a worker's answer. What went wrong after opening is sealed, and not seen here."""
        self.requests += 1
        self.refusals += is_refusal(envelope)
        self._round_trips_ms.append(round(round_trip_s * 1000))

    def batch_size(self, percent: int) -> int:
        """A percentile of the entries given at once; 0 before the first."""
        return _percentile(self._batch_sizes, percent)

    def round_trip_ms(self, percent: int) -> int:
        """A percentile of the workers' times to answer; 0 before the first."""
        return _percentile(self._round_trips_ms, percent)


def is_refusal(envelope: bytes) -> bool:
    """Whether an answer says in clear that it is none."""
    return envelope[len(MAGIC) : len(MAGIC) + 1] == _REFUSAL


def _percentile(values: deque[int], percent: int) -> int:
    # A copy: the other thread may append meanwhile.
    found = sorted(values.copy())
    return found[min(len(found) - 1, len(found) * percent // 100)] if found else 0
