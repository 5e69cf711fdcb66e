"""Host, gateway: one budget for all bytes of bodies and replies that the process holds.

Bytes count when they have arrived, not when they are announced, as an announcement costs a client
nothing. The next piece of a body is read only while there is room, and none overflows the reserve.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sealflow.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_BYTES: Final = 2**16
"""Bodies up to this size may also use the reserve of a quarter above the limit."""
_PIECE_BYTES: Final = 2**18
"""The most that arrives at once: the event loop's read buffer."""
_PATIENCE_S: Final = 1.0
_NEXT_END_S: Final = 0.05


class CrowdedError(UnavailableError):
    """The process holds as many bytes as it may, and this body is the largest of them."""


class Holding:
    """The bytes that one request or connection holds. Close it in any case."""

    __slots__ = ("_budget", "bytes", "end", "peer")

    def __init__(self, budget: HeldBytes, peer: str) -> None:
        """Start without bytes, as a part of `budget`."""
        self._budget = budget
        self.peer = peer
        self.bytes = 0
        self.end: Callable[[], None] | None = None
        """Ends what holds the bytes, to make room; None where that is not possible."""

    def add(self, count: int) -> None:
        """Count bytes that are held from now on."""
        self.bytes += count
        self._budget.change(self, count)

    def drop(self, count: int) -> None:
        """Count off released bytes, at most all."""
        count = min(count, self.bytes)
        self.bytes -= count
        self._budget.change(self, -count)

    def close(self) -> None:
        """Hold no bytes any more."""
        self.end = None
        self.drop(self.bytes)

    async def room(self) -> None:
        """Wait until this holding may grow by another piece.

        Raises: CrowdedError when it must end, to make room for others.
        """
        await self._budget.room(self)


class HeldBytes:
    """The bytes that all requests of a process hold. Use it in one event loop only."""

    def __init__(self, limit: int, peer_share: float) -> None:
        """Set the limit in bytes, and the part of it that one peer may take, up to 1."""
        self._limit = limit
        self._peer_limit = int(limit * peer_share)
        self._peers: dict[str, int] = {}
        self._held: set[Holding] = set()
        self._waiting: dict[Holding, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.total = 0

    def holding(self, peer: str) -> Holding:
        """Return a new holding of a peer."""
        return Holding(self, peer)

    def change(self, holding: Holding, count: int) -> None:
        """Count bytes of a holding, which `Holding` calls."""
        if not count:
            return
        self.total += count
        left = self._peers.get(holding.peer, 0) + count
        if left:
            self._peers[holding.peer] = left
        else:
            del self._peers[holding.peer]
        if holding.bytes:
            self._held.add(holding)
        else:
            self._held.discard(holding)
        if count < 0 and self._waiting:
            self._wake()

    def overflows(self, holding: Holding, count: int) -> bool:
        """Return whether `count` more bytes of a holding must be refused at once."""
        reserve = self._limit // 4 if holding.bytes + count <= SMALL_BYTES else self._limit // 8
        return self.total + count > self._limit + reserve

    async def room(self, holding: Holding) -> None:
        """Wait until a holding may grow, as `Holding.room` says."""
        if not self._crowded(holding):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting[holding] = future
        self._start_timer(_PATIENCE_S)
        try:
            await future
        finally:
            self._waiting.pop(holding, None)
            # Its exception refers to this frame, and so to the frames with the body.
            del future

    def _crowded(self, holding: Holding) -> bool:
        if holding.bytes < SMALL_BYTES:
            return self.overflows(holding, 0)
        return self.total > self._limit or self._peers.get(holding.peer, 0) > self._peer_limit

    def _wake(self) -> None:
        places = max(1, (self._limit - self.total) // _PIECE_BYTES)
        for holding, future in list(self._waiting.items()):
            if places and not future.done() and not self._crowded(holding):
                future.set_result(None)
                places -= 1

    def _start_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._end_largest)

    def _end_largest(self) -> None:
        self._timer = None
        self._wake()
        blocked = [each for each, future in self._waiting.items() if not future.done()]
        if not blocked:
            return
        # Where a peer is over its share, one of its own holdings ends.
        full = self.total > self._limit
        peers = None if full else {each.peer for each in blocked}
        ending = [
            each
            for each in self._held
            if (each.end or each in self._waiting) and (peers is None or each.peer in peers)
        ]
        if ending:
            self._end(max(ending, key=lambda each: (self._peers.get(each.peer, 0), each.bytes)))
        self._start_timer(_NEXT_END_S)

    def _end(self, holding: Holding) -> None:
        future = self._waiting.get(holding)
        if future is not None and not future.done():
            future.set_exception(CrowdedError("the gateway holds as many bytes as it may"))
        elif holding.end is not None:
            end, holding.end = holding.end, None
            end()
