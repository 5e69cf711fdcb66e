"""Host: the metrics of one worker, as the engine can measure them outside the enclave.

A round trip is the time from the frame with a request to the worker's answer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sealflow.wire.envelope import MAGIC, Kind

WINDOW_SIZE: Final = 1024
_REFUSAL: Final = bytes([Kind.REFUSAL])


class EngineMetrics:
    """The request and refusal counts of a worker, and percentiles over its last 1024 values.

    One thread may record batches and another answers; any thread may read.
    """

    def __init__(self) -> None:
        """Create all metrics at zero."""
        self.requests = 0
        self.refusals = 0
        self._batch_sizes: deque[int] = deque(maxlen=WINDOW_SIZE)
        self._round_trips_ms: deque[int] = deque(maxlen=WINDOW_SIZE)

    def record_batch(self, size: int) -> None:
        """Record the number of entries that were sent to the worker at once."""
        self._batch_sizes.append(size)

    def record_answer(self, envelope: bytes, round_trip_s: float) -> None:
        """Record a worker's answer and its round trip in seconds.

        Errors after a request was opened are sealed in its reply, so they do not count as refusals.
        """
        self.requests += 1
        self.refusals += is_refusal(envelope)
        self._round_trips_ms.append(round(round_trip_s * 1000))

    def batch_size(self, percent: int) -> int:
        """Return a percentile of the entries sent at once; 0 before the first batch."""
        return _percentile(self._batch_sizes, percent)

    def round_trip_ms(self, percent: int) -> int:
        """Return a percentile of the round trips in ms; 0 before the first answer."""
        return _percentile(self._round_trips_ms, percent)


def is_refusal(envelope: bytes) -> bool:
    """Return whether an answer is a refusal envelope."""
    return envelope[len(MAGIC) : len(MAGIC) + 1] == _REFUSAL


def _percentile(values: deque[int], percent: int) -> int:
    # Sort a copy, since another thread may append meanwhile.
    found = sorted(values.copy())
    return found[min(len(found) - 1, len(found) * percent // 100)] if found else 0
