"""Host: the gateway's records in the broker: directory, log, statuses, asynchronous requests.

Each asynchronous request has an inbox of its own. Requests that a client waits for go through
`submitter` instead. Spec: queue.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import valkey

from sealflow.errors import QueueFullError
from sealflow.host.broker.keybroker_records import DIGEST_BYTES
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
"""Append a request to its stream unless its inbox exists; start the inbox with a pending marker.

KEYS: requests, inbox. ARGV: capacity, envelope, request id, the inbox's time to live in ms.
Returns 0 when the queue is full, 1 when the request was appended, 2 when it is known already.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """An entry of an asynchronous request's inbox.

    `cursor`: its entry id. `reply`: None for the pending marker.
    """

    cursor: bytes
    reply: bytes | None


class GatewayRecords:
    """The records of one deployment.

    Every method raises UnavailableError while the broker is unavailable.
    """

    def __init__(
        self, address: BrokerAddress | str, deployment: str, *, min_replicas: int = 0
    ) -> None:
        """Prepare connections, which are opened at first use. `min_replicas`: as in `Submitter`.

        Raises: ConfigError when the URL is not valid.
        """
        self._keyspace = Keyspace(deployment=deployment)
        self._min_replicas = min_replicas
        self._client = connect_async(address)
        self._blocking = connect_async(address)

    async def directory(self) -> bytes | None:
        """Return the published directory, or None when none is published."""
        async with round_trip():
            return cast("bytes | None", await self._client.get(self._keyspace.directory))

    async def log(self, first: int, count: int) -> list[bytes]:
        """Return at most `count` log records, from number `first` on."""
        async with round_trip():
            entries = await self._client.xrange(self._keyspace.log, f"{first}-1", "+", count)
            return [fields.get(FIELD_ENVELOPE, b"") for _, fields in entries]

    async def log_digests(self, first: int, count: int) -> bytes:
        """Return the digests of at most `count` log entries, 32 bytes each, from a number on."""
        begin, end = first * DIGEST_BYTES, (first + count) * DIGEST_BYTES - 1
        async with round_trip():
            return cast("bytes", await self._client.getrange(self._keyspace.log_tree, begin, end))

    async def statuses(self) -> list[bytes]:
        """Return the published statuses of the running processes, in JSON; at most 1000."""
        async with round_trip():
            pattern = self._keyspace.status_pattern
            found = self._client.scan_iter(match=pattern, count=_SCAN_COUNT)
            keys = [key async for key in found][:_MAX_STATUSES]
            values = await self._client.mget(keys) if keys else []
        return [value for value in values if value is not None]

    async def publish_status(self, component: str, instance: str, text: bytes, ttl_ms: int) -> None:
        """Publish the status of this process; it expires after `ttl_ms`."""
        async with round_trip():
            await self._client.set(self._keyspace.status(component, instance), text, px=ttl_ms)

    async def withdraw_status(self, component: str, instance: str) -> None:
        """Delete the published status of this process."""
        async with round_trip():
            await self._client.delete(self._keyspace.status(component, instance))

    async def depth(self) -> QueueDepth:
        """Count the requests that wait and those in flight."""
        stream = self._keyspace.requests
        async with round_trip():
            length = int(await self._client.xlen(stream))
            try:
                summary = await self._client.xpending(stream, GROUP)
            except valkey.exceptions.ResponseError:
                # No engine has created the consumer group yet.
                return QueueDepth(waiting=length, in_work=0)
        in_work = int(summary["pending"])
        return QueueDepth(waiting=max(length - in_work, 0), in_work=in_work)

    async def submit_once(
        self, request_id: str, envelope: bytes, *, capacity: int, ttl_ms: int
    ) -> bool:
        """Append a request whose reply goes to an inbox of its own.

        Returns False when the request id is known already. `capacity`: the stream length from which
        requests are refused. `ttl_ms`: the time to live of the inbox.

        Raises: QueueFullError; UnavailableError also when too few replicas have the request.
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
        """Read the inboxes of asynchronous requests by request id.

        `cursors`: the entry id after which to read each inbox; `b"0"` reads from the start. A
        request without an inbox or without newer entries is absent from the result; a pending one
        has only its marker. Up to 8 entries are read from each inbox. `block_ms`: how long to wait
        for the first new entry in any of them.
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
