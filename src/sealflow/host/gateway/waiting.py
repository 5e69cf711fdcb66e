"""Host: wait for a reply as long as it can be of use, at the price of one timer.

A task that watches for the client's end is started only for requests that take longer than
`NOTICE_S`, so that quick ones do not pay for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sealflow.errors import DeadlineError, SealflowError
from sealflow.host.gateway.request import ClientGoneError

if TYPE_CHECKING:
    from sealflow.host.gateway.request import Request

NOTICE_S: Final = 0.25


class WaitingRoom:
    """All requests that wait for a reply in this process."""

    def __init__(self) -> None:
        """Start empty."""
        self._waits: set[_Wait] = set()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waits)

    async def wait(self, reply: asyncio.Future[bytes], request: Request, timeout_s: float) -> bytes:
        """Give the reply, and leave the future cancelled when it comes to nothing.

        Raises: DeadlineError, ClientGoneError, what the future raises, what `dismiss` was given.
        """
        if reply.done():
            return reply.result()
        wait = _Wait(reply, request, timeout_s)
        self._waits.add(wait)
        try:
            return await reply
        except asyncio.CancelledError:
            if wait.outcome is None:
                raise
            raise wait.outcome from None
        finally:
            self._waits.discard(wait)
            wait.end()

    def dismiss(self, error: SealflowError) -> None:
        """End all waits with an error."""
        for wait in list(self._waits):
            wait.give_up(error)


class _Wait:
    __slots__ = ("_loop", "_reply", "_request", "_timer", "_until", "_watcher", "outcome")

    def __init__(self, reply: asyncio.Future[bytes], request: Request, timeout_s: float) -> None:
        self._loop = reply.get_loop()
        self._reply = reply
        self._request = request
        self._until = self._loop.time() + timeout_s
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(min(timeout_s, NOTICE_S), self._notice)
        self.outcome: Exception | None = None

    def give_up(self, error: Exception) -> None:
        if not self._reply.done():
            self.outcome = error
            self._reply.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _notice(self) -> None:
        if self._loop.time() >= self._until:
            self._expire()
            return
        self._watcher = self._loop.create_task(self._watch())
        self._timer = self._loop.call_at(self._until, self._expire)

    def _expire(self) -> None:
        self.give_up(DeadlineError("no reply in time"))

    async def _watch(self) -> None:
        await self._request.gone()
        self.give_up(ClientGoneError())
