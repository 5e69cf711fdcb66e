"""Pauses grow between tries, to a bound."""

from __future__ import annotations

from sealflow.backoff import Backoff


def test_growth() -> None:
    """Each pause is twice the one before, up to the longest; after a success they begin anew."""
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_s() == 0.5
