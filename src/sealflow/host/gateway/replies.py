"""Host, gateway: requests that wait for their replies, here or in an inbox.

A task that watches for the client's end is started only for requests that take longer than
`NOTICE_S`, so that quick ones do not pay for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.errors import DeadlineError, SealflowError, UnavailableError
from sealflow.host.gateway.http import ClientGoneError
from sealflow.host.gateway.status_codes import http_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.gateway_records import GatewayRecords, InboxEntry
    from sealflow.host.gateway.http import Request


_FIRST: Final = b"0"
_ROUND_MS: Final = 100
_RETRY_S: Final = 0.5
_OK: Final = 200
NOTICE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class StoredPending:
    """The request is queued or in flight; past `cursor` its reply will stand."""

    cursor: bytes


@dataclass(slots=True)
class _Wait:
    cursor: bytes
    future: asyncio.Future[bytes]


class StoredReplies:
    """Reads inboxes, and lets any number of clients wait on any of them over one connection."""

    def __init__(self, records: GatewayRecords) -> None:
        """Read by way of `records`."""
        self._records = records
        self._waits: dict[str, list[_Wait]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def fetch(self, request_id: str) -> bytes | StoredPending | None:
        """Return the reply, or say that it is pending, or None for a request unknown here.

        Raises: UnavailableError.
        """
        found = await self._records.inboxes({request_id: _FIRST})
        if request_id not in found:
            return None
        entries = found[request_id]
        return _sealed_first(entries) or StoredPending(entries[-1].cursor)

    def watch(self, request_id: str, pending: StoredPending) -> asyncio.Future[bytes]:
        """Return a future of the reply; whoever stops waiting cancels it."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(request_id, []).append(_Wait(pending.cursor, future))
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_all())
        return future

    async def close(self) -> None:
        """Stop waiting."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_all(self) -> None:
        # Ends when nobody waits, so that an idle gateway asks nothing.
        while self._forget_the_done():
            cursors = {each: waits[0].cursor for each, waits in self._waits.items()}
            try:
                found = await self._records.inboxes(cursors, block_ms=_ROUND_MS)
            except UnavailableError:
                await asyncio.sleep(_RETRY_S)
                continue
            for request_id, entries in found.items():
                reply = _sealed_first(entries)
                if reply is not None:
                    for wait in self._waits.pop(request_id, []):
                        if not wait.future.done():
                            wait.future.set_result(reply)

    def _forget_the_done(self) -> bool:
        for request_id, waits in list(self._waits.items()):
            waits[:] = [wait for wait in waits if not wait.future.done()]
            if not waits:
                del self._waits[request_id]
        return bool(self._waits)


def _sealed_first(entries: Sequence[InboxEntry]) -> bytes | None:
    """A redelivered request may have a refusal beside its genuine reply: that one goes first."""
    replies = [entry.reply for entry in entries if entry.reply is not None]
    sealed = (reply for reply in replies if http_status(reply) == _OK)
    return next(sealed, replies[0] if replies else None)


class PendingReplies:
    """All requests that wait for a reply in this process."""

    def __init__(self) -> None:
        """Start empty."""
        self._waits: set[_Waiting] = set()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waits)

    async def wait(self, reply: asyncio.Future[bytes], request: Request, timeout_s: float) -> bytes:
        """Return the reply, and leave the future cancelled when it comes to nothing.

        Raises: DeadlineError, ClientGoneError, what the future raises, what `fail_all` was given.
        """
        if reply.done():
            return reply.result()
        wait = _Waiting(reply, request, timeout_s)
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

    def fail_all(self, error: SealflowError) -> None:
        """End all waits with an error."""
        for wait in list(self._waits):
            wait.give_up(error)


class _Waiting:
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
