"""This machine's time."""

from __future__ import annotations

import time

from sealflow.clock import now_ms, utc_text


def test_now() -> None:
    """The time is Unix time in milliseconds."""
    before = time.time_ns() // 1_000_000
    assert before <= now_ms() <= time.time_ns() // 1_000_000


def test_text() -> None:
    """A time is written for people, in UTC."""
    assert utc_text(1_790_000_000_999) == "2026-09-21 14:13:20 UTC"
