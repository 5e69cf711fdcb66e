"""Core: the system clock. Not for enclaves, which get the time from their hosts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

MAX_CLOCK_SKEW_MS: Final = 300_000
"""How far the clocks of two parties may differ."""


def now_ms() -> int:
    """Return the current system time in Unix ms."""
    return time.time_ns() // 1_000_000


def utc_text(unix_ms: int) -> str:
    """Return a time as text in UTC, to the second, such as `2026-12-31 23:59:59 UTC`."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
