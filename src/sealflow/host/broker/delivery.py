"""Host: what the queue hands to an engine, and how full it is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One entry of a stream, owed an answer.

    `attempt`: 1 for the first time it is handed out. `hops`: how often it was passed on.
    """

    entry_id: bytes
    envelope: bytes = field(repr=False)
    correlation: bytes
    reply_to: str
    attempt: int
    hops: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Entries that wait, and entries that some engine holds."""

    waiting: int
    in_work: int
