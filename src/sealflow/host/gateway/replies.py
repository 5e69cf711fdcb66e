"""Host, gateway: requests that wait for their replies, in this process or in an inbox.

A task that detects a closed client connection is started only for requests that take longer than
`NOTICE_S`, so that faster ones do not pay for it.
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


_START: Final = b"0"
_BLOCK_MS: Final = 100
_RETRY_S: Final = 0.5
_OK: Final = 200
NOTICE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class StoredPending:
    """The state of a request that is queued or in flight: its reply will come after `cursor`."""

    cursor: bytes


@dataclass(slots=True)
class _StoredWait:
    cursor: bytes
    future: asyncio.Future[bytes]


class StoredReplies:
    """A reader of inboxes; all waits for replies share one connection to the broker."""

    def __init__(self, records: GatewayRecords) -> None:
        """Set the records that contain the inboxes."""
        self._records = records
        self._waits: dict[str, list[_StoredWait]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def fetch(self, request_id: str) -> bytes | StoredPending | None:
        """Return the stored reply, a `StoredPending`, or None when the request is not known.

        Raises: UnavailableError.
        """
        found = await self._records.inboxes({request_id: _START})
        if request_id not in found:
            return None
        entries = found[request_id]
        return _sealed_first(entries) or StoredPending(entries[-1].cursor)

    def watch(self, request_id: str, pending: StoredPending) -> asyncio.Future[bytes]:
        """Return a future of the reply to a pending request. Cancel it to stop waiting."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(request_id, []).append(_StoredWait(pending.cursor, future))
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_all())
        return future

    async def close(self) -> None:
        """Stop reading inboxes. Futures that are not resolved stay so."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_all(self) -> None:
        # The task ends when no request waits, so that an idle gateway does not query the broker.
        while self._drop_done_waits():
            cursors = {each: waits[0].cursor for each, waits in self._waits.items()}
            try:
                found = await self._records.inboxes(cursors, block_ms=_BLOCK_MS)
            except UnavailableError:
                await asyncio.sleep(_RETRY_S)
                continue
            for request_id, entries in found.items():
                reply = _sealed_first(entries)
                if reply is not None:
                    for wait in self._waits.pop(request_id, []):
                        if not wait.future.done():
                            wait.future.set_result(reply)

    def _drop_done_waits(self) -> bool:
        for request_id, waits in list(self._waits.items()):
            waits[:] = [wait for wait in waits if not wait.future.done()]
            if not waits:
                del self._waits[request_id]
        return bool(self._waits)


def _sealed_first(entries: Sequence[InboxEntry]) -> bytes | None:
    """Return the sealed reply if there is one, else the first refusal, or None.

    The inbox of a redelivered request may contain both.
    """
    replies = [entry.reply for entry in entries if entry.reply is not None]
    sealed = (reply for reply in replies if http_status(reply) == _OK)
    return next(sealed, replies[0] if replies else None)


class PendingReplies:
    """The requests that wait for a reply in this process."""

    def __init__(self) -> None:
        """Start without requests."""
        self._waits: set[_PendingWait] = set()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._waits)

    async def wait(self, reply: asyncio.Future[bytes], request: Request, timeout_s: float) -> bytes:
        """Wait for the reply to `request` and return it. Otherwise cancel the future.

        Raises: DeadlineError after `timeout_s`; ClientGoneError when the client closes the
            connection; the exception of the future, or the one given to `fail_all`.
        """
        if reply.done():
            return reply.result()
        wait = _PendingWait(reply, request, timeout_s)
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
        """End all waits; each of them raises `error`."""
        for wait in list(self._waits):
            wait.fail(error)


class _PendingWait:
    __slots__ = ("_loop", "_reply", "_request", "_timer", "_until", "_watcher", "outcome")

    def __init__(self, reply: asyncio.Future[bytes], request: Request, timeout_s: float) -> None:
        self._loop = reply.get_loop()
        self._reply = reply
        self._request = request
        self._until = self._loop.time() + timeout_s
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(min(timeout_s, NOTICE_S), self._start_watching)
        self.outcome: Exception | None = None

    def fail(self, error: Exception) -> None:
        if not self._reply.done():
            self.outcome = error
            self._reply.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start_watching(self) -> None:
        if self._loop.time() >= self._until:
            self._expire()
            return
        self._watcher = self._loop.create_task(self._watch())
        self._timer = self._loop.call_at(self._until, self._expire)

    def _expire(self) -> None:
        self.fail(DeadlineError("no reply came in time"))

    async def _watch(self) -> None:
        await self._request.gone()
        self.fail(ClientGoneError())
