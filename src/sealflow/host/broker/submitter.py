"""Host: append requests to streams and match their answers, many requests in one round trip.

Requests that are submitted in the same turn of the event loop are sent together, and one
connection reads all answers. While the broker is unavailable, new requests fail at once; requests
that were sent before keep waiting, since the broker's append-only file still has them.

Redis replicates asynchronously. With `min_replicas` a request fails unless so many replicas confirm
it. Source: the Redis command WAIT.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import valkey

from sealflow.backoff import Backoff
from sealflow.errors import QueueFullError, UnavailableError
from sealflow.streams.connection import ROUND_TRIP_S, close_async, connect_async, round_trip
from sealflow.streams.keys import FIELD_CORRELATION, FIELD_ENVELOPE, Keyspace, request_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sealflow.streams.address import BrokerAddress
    from sealflow.streams.keys import ControlClass


REPLICATION_MS: Final = 2000
_READ_COUNT: Final = 256
_FIRST_READ_COUNT: Final = 16
_READ_BYTES: Final = 2**24
_BLOCK_MS: Final = 5000
_FIRST_PAUSE_S: Final = 0.1
_MAX_PAUSE_S: Final = 2.0
_MAX_BATCH: Final = 256
_MAX_BATCH_BYTES: Final = 2**24
_FRESH_LENGTH_S: Final = 0.25
_GATHER_S: Final = 0.001


def require_replicas(acknowledged: object, wanted: int) -> None:
    """Check the number of replicas that the command WAIT returned.

    Raises: UnavailableError when it is below `wanted`. The request may still be served, although
        its sender will repeat it.
    """
    if not isinstance(acknowledged, int) or acknowledged < wanted:
        raise UnavailableError(
            f"{acknowledged} of the {wanted} replicas that min_replicas requires have the request: "
            "check that the broker's replicas are connected"
        )


@dataclass(slots=True, kw_only=True)
class _Submit:
    stream: str
    envelope: bytes
    correlation: bytes
    capacity: int
    future: asyncio.Future[bytes]
    kind: ControlClass | None
    sent: Callable[[], None] | None

    def release(self) -> None:
        """Forget the envelope, which has been sent or will not be."""
        self.envelope = b""
        if self.sent is not None:
            self.sent()


class Submitter:
    """A client that appends requests to streams and resolves a future with each answer.

    Use it in one event loop only.
    """

    def __init__(
        self,
        address: BrokerAddress | str,
        deployment: str,
        instance: str,
        *,
        min_replicas: int = 0,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare connections, which `start` opens.

        `instance`: the name of the inbox for all answers; no other process may use it.
        `min_replicas`: how many replicas must confirm a request; 0 does not ask them.
        `room`: waits until more answers may be read.

        Raises: ConfigError.
        """
        self._inbox = Keyspace(deployment=deployment).inbox(instance)
        self._sender: Any = connect_async(address)
        self._reader: Any = connect_async(address)
        self._min_replicas = min_replicas
        self._room = room
        self._outbox: list[_Submit] = []
        self._waiting: dict[bytes, deque[asyncio.Future[bytes]]] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._lengths: dict[str, int] = {}
        self._lengths_at = 0.0
        self._read_count = _FIRST_READ_COUNT

    def __len__(self) -> int:
        """Return how many correlation ids wait for an answer."""
        return len(self._waiting)

    async def start(self) -> None:
        """Start the tasks that send requests and read answers."""
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._read_all())]

    async def close(self) -> None:
        """Stop both tasks, delete the inbox and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with round_trip():
                await self._sender.delete(self._inbox)
        except UnavailableError:
            # The broker deletes the inbox at the end of its time to live.
            pass
        finally:
            await close_async(self._sender, self._reader)

    def submit(
        self,
        stream: str,
        envelope: bytes,
        correlation: bytes,
        *,
        capacity: int,
        sent: Callable[[], None] | None = None,
        kind: ControlClass | None = None,
    ) -> asyncio.Future[bytes]:
        """Append an envelope to a stream and return a future of its answer.

        `kind`: of a control request.

        The future fails with QueueFullError when the stream has `capacity` entries or more, and
        with UnavailableError. Cancel it to stop waiting. Several requests may wait with the same
        correlation id; they get its answers in order. `sent` is called when the envelope is no
        longer held here.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._outbox.append(
            _Submit(
                stream=stream,
                envelope=envelope,
                correlation=correlation,
                capacity=capacity,
                future=future,
                kind=kind,
                sent=sent,
            )
        )
        self._wake.set()
        return future

    def was_full(self, stream: str, capacity: int) -> bool:
        """Return whether a stream had `capacity` entries at the last look, 0.25 s ago at most."""
        fresh = asyncio.get_running_loop().time() - self._lengths_at < _FRESH_LENGTH_S
        return fresh and self._lengths.get(stream, 0) >= capacity

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._gather()
            while self._outbox:
                batch = self._next_batch()
                try:
                    await self._send([each for each in batch if not each.future.done()])
                finally:
                    for each in batch:
                        each.release()

    def _next_batch(self) -> list[_Submit]:
        """Take the oldest requests, as many as are sent at once."""
        count = size = 0
        for each in self._outbox[:_MAX_BATCH]:
            size += len(each.envelope)
            if count and size > _MAX_BATCH_BYTES:
                break
            count += 1
        batch = self._outbox[:count]
        del self._outbox[:count]
        return batch

    async def _send(self, batch: Sequence[_Submit]) -> None:
        for each in batch:
            self._add_waiter(each)
        try:
            async with round_trip():
                admitted = await self._admit(batch)
                answers = await self._append(admitted)
        except UnavailableError as error:
            for each in batch:
                self._fail(each, error)
            return
        for each, answer in zip(admitted, answers, strict=True):
            if isinstance(answer, valkey.exceptions.OutOfMemoryError):
                self._fail(each, QueueFullError("the broker's memory is full", retry_after_s=5.0))
            elif isinstance(answer, Exception):
                self._fail(each, UnavailableError(f"the broker refused the request: {answer}"))

    async def _admit(self, batch: Sequence[_Submit]) -> list[_Submit]:
        """Return the requests that their streams have room for; fail the others unsent."""
        streams = list(dict.fromkeys(each.stream for each in batch))
        async with self._sender.pipeline(transaction=False) as pipeline:
            for stream in streams:
                pipeline.xlen(stream)
            lengths = dict(zip(streams, await pipeline.execute(), strict=True))
        self._lengths = dict(lengths)
        self._lengths_at = asyncio.get_running_loop().time()
        admitted = []
        for each in batch:
            if lengths[each.stream] < each.capacity:
                lengths[each.stream] += 1
                admitted.append(each)
            else:
                self._fail(each, QueueFullError("the queue is full"))
        return admitted

    async def _append(self, batch: Sequence[_Submit]) -> list[Any]:
        if not batch:
            return []
        async with self._sender.pipeline(transaction=False) as pipeline:
            for each in batch:
                fields = request_fields(each.envelope, each.correlation, self._inbox, each.kind)
                pipeline.xadd(each.stream, fields)
            if self._min_replicas:
                pipeline.wait(self._min_replicas, REPLICATION_MS)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        if self._min_replicas:
            require_replicas(answers.pop(), self._min_replicas)
        return answers

    async def _read_all(self) -> None:
        taken: list[bytes] = []
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            try:
                if self._room is not None:
                    await self._room()
                async with round_trip(_BLOCK_MS / 1000 + ROUND_TRIP_S):
                    taken = await self._read(taken)
                backoff.reset()
                await self._gather()
            except UnavailableError:
                await asyncio.sleep(backoff.next_s())

    async def _read(self, taken: list[bytes]) -> list[bytes]:
        """Delete the entries `taken`, wait for new ones, resolve their futures, return their ids.

        Entries are deleted rather than skipped by a cursor, since a broker that lost its data
        starts its entry ids again.
        """
        async with self._reader.pipeline(transaction=False) as pipeline:
            if taken:
                pipeline.xdel(self._inbox, *taken)
            pipeline.xread({self._inbox: "0"}, count=self._read_count, block=_BLOCK_MS)
            found = (await pipeline.execute())[-1]
        entries = found[0][1] if found else []
        # The broker bounds a read by entries, not by bytes: large ones are read in smaller numbers.
        largest = max((len(fields.get(FIELD_ENVELOPE, b"")) for _, fields in entries), default=0)
        self._read_count = max(
            1, min(_READ_COUNT, 2 * self._read_count, _READ_BYTES // max(largest, 1))
        )
        for _, fields in entries:
            self._resolve(fields)
        return [entry_id for entry_id, _ in entries]

    async def _gather(self) -> None:
        """Wait 1 ms if requests wait for answers, so that more are sent or read at once."""
        if self._waiting:
            await asyncio.sleep(_GATHER_S)

    def _add_waiter(self, submit: _Submit) -> None:
        self._waiting.setdefault(submit.correlation, deque()).append(submit.future)
        submit.future.add_done_callback(lambda _: self._remove_waiter(submit))

    def _remove_waiter(self, submit: _Submit) -> None:
        waiters = self._waiting.get(submit.correlation)
        if waiters is not None and submit.future in waiters:
            waiters.remove(submit.future)
        if not waiters:
            self._waiting.pop(submit.correlation, None)

    def _resolve(self, fields: dict[bytes, bytes]) -> None:
        envelope = fields.get(FIELD_ENVELOPE)
        waiters = self._waiting.get(fields.get(FIELD_CORRELATION, b""))
        if envelope is None or not waiters:
            # A duplicate after a redelivery, or its waiter was cancelled.
            return
        future = waiters[0]
        if not future.done():
            future.set_result(envelope)
        waiters.popleft()

    def _fail(self, submit: _Submit, error: Exception) -> None:
        if not submit.future.done():
            submit.future.set_exception(error)
