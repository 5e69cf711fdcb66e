"""Core: this machine's time. Never in enclaves, whose hosts tell them the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the system's time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def utc_text(unix_ms: int) -> str:
    """Write a time for people, in UTC, to the second."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
