"""What an engine counts: batches, round trips, refusals."""

from __future__ import annotations

from sealflow.errors import RefusalCode
from sealflow.host.engine.metrics import EngineMetrics
from sealflow.wire.envelope import encode_refusal


def test_figures() -> None:
    """Percentiles are those of what was noted; a refusal is seen, a sealed reply is not."""
    figures = EngineMetrics()
    assert (figures.batch_size(50), figures.round_trip_ms(99)) == (0, 0)
    for number in range(1, 101):
        figures.record_batch(number)
        figures.record_answer(b"SFL1\x02", number / 1000)
    figures.record_answer(encode_refusal(RefusalCode.OVERLOADED, None), 0.05)
    figures.record_answer(b"", 0.05)
    assert (figures.requests, figures.refusals) == (102, 1)
    assert figures.batch_size(50) == 51
    assert 99 <= figures.round_trip_ms(99) <= 100
