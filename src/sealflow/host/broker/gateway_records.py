"""Host: what a gateway keeps in and reads from the broker besides the requests that it waits for.

The published directory, the status of every process, and one inbox for each asynchronous request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import valkey

from sealflow.errors import QueueFullError
from sealflow.host.broker.redis_streams import QueueDepth
from sealflow.host.broker.submitter import REPLICATION_MS, require_replicas
from sealflow.streams.connection import ROUND_TRIP_S, close_async, connect_async, round_trip
from sealflow.streams.keys import FIELD_ENVELOPE, GROUP, Keyspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.streams.address import BrokerAddress

_SCAN_COUNT: Final = 1000
_MAX_STATUSES: Final = 1000
_INBOX_READ_COUNT: Final = 8

_SUBMIT_ONCE: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 2 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'e', ARGV[2], 'c', ARGV[3], 'r', KEYS[2])
redis.call('XADD', KEYS[2], '*', 'p', '1')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
"""
"""Queue a request unless its inbox exists already; the inbox starts with a marker: pending.

KEYS: requests, inbox. ARGV: capacity, envelope, request id, the inbox's time to live in ms.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """An entry of an asynchronous request's inbox; the marker that it is pending has no reply."""

    cursor: bytes
    reply: bytes | None


class GatewayRecords:
    """One deployment's records. Every method raises UnavailableError while the broker is away."""

    def __init__(
        self, address: BrokerAddress | str, deployment: str, *, min_replicas: int = 0
    ) -> None:
        """Use a broker; connects when first used. `min_replicas`: as in `Submitter`.

        Raises: ConfigError when the URL is none.
        """
        self._keyspace = Keyspace(deployment=deployment)
        self._min_replicas = min_replicas
        self._client = connect_async(address)
        self._blocking = connect_async(address)

    async def directory(self) -> bytes | None:
        """Fetch the published directory; None while there is none."""
        async with round_trip():
            return cast("bytes | None", await self._client.get(self._keyspace.directory))

    async def log(self, first: int, count: int) -> list[bytes]:
        """Fetch at most `count` log records from number `first` on."""
        async with round_trip():
            entries = await self._client.xrange(self._keyspace.log, f"{first}-1", "+", count)
            return [fields.get(FIELD_ENVELOPE, b"") for _, fields in entries]

    async def statuses(self) -> list[bytes]:
        """Fetch what every running process says of itself, as JSON."""
        async with round_trip():
            pattern = self._keyspace.status_pattern
            found = self._client.scan_iter(match=pattern, count=_SCAN_COUNT)
            keys = [key async for key in found][:_MAX_STATUSES]
            values = await self._client.mget(keys) if keys else []
        return [value for value in values if value is not None]

    async def publish_status(self, component: str, instance: str, text: bytes, ttl_ms: int) -> None:
        """Say how this process does, for `ttl_ms`."""
        async with round_trip():
            await self._client.set(self._keyspace.status(component, instance), text, px=ttl_ms)

    async def withdraw_status(self, component: str, instance: str) -> None:
        """Take back what `publish_status` said."""
        async with round_trip():
            await self._client.delete(self._keyspace.status(component, instance))

    async def depth(self) -> QueueDepth:
        """Count entries that wait and those in flight."""
        stream = self._keyspace.requests
        async with round_trip():
            length = int(await self._client.xlen(stream))
            try:
                summary = await self._client.xpending(stream, GROUP)
            except valkey.exceptions.ResponseError:
                # No engine has made the group yet.
                return QueueDepth(waiting=length, in_work=0)
        in_work = int(summary["pending"])
        return QueueDepth(waiting=max(length - in_work, 0), in_work=in_work)

    async def submit_once(
        self, request_id: str, envelope: bytes, *, capacity: int, ttl_ms: int
    ) -> bool:
        """Queue a request whose reply goes to an inbox of its own; False when it was known already.

        Raises: QueueFullError.
        """
        keys = (self._keyspace.requests, self._keyspace.inbox(request_id))
        async with round_trip():
            outcome = await self._client.eval(
                _SUBMIT_ONCE,
                len(keys),
                *keys,
                str(capacity),
                envelope,
                request_id,
                str(ttl_ms),
            )
            if self._min_replicas and outcome:
                replicas = await self._client.wait(self._min_replicas, REPLICATION_MS)
                require_replicas(replicas, self._min_replicas)
        if outcome == 0:
            msg = "the queue is full"
            raise QueueFullError(msg)
        return bool(outcome == 1)

    async def inboxes(
        self, cursors: Mapping[str, bytes], *, block_ms: int | None = None
    ) -> dict[str, list[InboxEntry]]:
        """Read inboxes of asynchronous requests, each past its cursor (`b"0"`: from the start).

        An unknown request is absent, a pending one has its marker alone (see `InboxEntry`).
        `block_ms`: wait that long for the first entry of any.
        """
        streams = {self._keyspace.inbox(each): cursor for each, cursor in cursors.items()}
        names = dict(zip((each.encode() for each in streams), cursors, strict=True))
        client = self._client if block_ms is None else self._blocking
        async with round_trip(ROUND_TRIP_S + (block_ms or 0) / 1000):
            found = await client.xread(streams, count=_INBOX_READ_COUNT, block=block_ms)
        return {
            names[inbox]: [
                InboxEntry(cursor=cursor, reply=fields.get(FIELD_ENVELOPE))
                for cursor, fields in entries
            ]
            for inbox, entries in found
        }

    async def close(self) -> None:
        """Close the connections."""
        await close_async(self._client, self._blocking)
