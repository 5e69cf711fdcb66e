"""Host: the broker operations of engines and key broker hosts: claim, answer, requeue, ask.

Delivery is at least once: an entry is deleted from the stream in the same step that stores its
answer. Requires Redis 6.2 or newer, or Valkey. Any thread may call; each call takes a connection
from a pool. Spec: queue.md.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import valkey

from sealflow.errors import QueueFullError
from sealflow.streams.connection import CONNECT_TIMEOUT_S, connect, redis_errors
from sealflow.streams.keys import (
    FIELD_CLASS,
    FIELD_CORRELATION,
    FIELD_ENVELOPE,
    FIELD_HOPS,
    FIELD_REPLY_TO,
    GROUP,
    request_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.streams.address import BrokerAddress


DEFAULT_REPLY_TTL_MS: Final = 600_000
MAX_BLOCKING_S: Final = 5.0
_INBOX_ENTRIES: Final = 100_000
_DEAD_LETTERS: Final = 100
_ARGUMENTS: Final = 4
_HOPS_DIGITS: Final = 2

_ANSWER: Final = f"""
for i = 3, #ARGV, {_ARGUMENTS} do
  if ARGV[i + 1] ~= '' then
    local stored = redis.pcall('XADD', ARGV[i + 1], 'MAXLEN', '~', {_INBOX_ENTRIES}, '*',
                               'e', ARGV[i + 3], 'c', ARGV[i + 2])
    if type(stored) == 'string' then
      redis.call('PEXPIRE', ARGV[i + 1], ARGV[2])
    elseif not string.find(stored.err, 'WRONGTYPE', 1, true) then
      return stored
    end
  end
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  redis.call('XDEL', KEYS[1], ARGV[i])
end
return redis.status_reply('OK')
"""
"""Store answers, and acknowledge and delete their requests, in one atomic step.

KEYS: the stream. ARGV: group, time to live of inboxes in ms; then for each answer its entry id,
inbox (empty: none), correlation, envelope. If the inbox is not a stream, the answer is dropped: its
sender chose the name. After any other error, such as a full memory, this request and those after it
stay unacknowledged.
"""

_REQUEUE: Final = """
local stored = redis.pcall('XADD', KEYS[1], '*', 'e', ARGV[3], 'c', ARGV[4], 'r', ARGV[5],
                           'h', ARGV[6])
if type(stored) == 'string' then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
  redis.call('XDEL', KEYS[1], ARGV[2])
end
return stored
"""
"""Move an entry to the end of its stream, where any consumer may claim it.

KEYS: the stream. ARGV: group, entry id, envelope, correlation, inbox, number of requeues.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An unacknowledged entry of a stream.

    `attempt`: 1 for its first delivery. `requeues`: how often it was requeued. `kind`: of a control
    request from outside; empty for one of a host.
    """

    entry_id: bytes
    envelope: bytes = field(repr=False)
    correlation: bytes
    reply_to: str
    attempt: int
    requeues: int = 0
    kind: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """The number of entries that wait, and of those that an engine has in flight."""

    waiting: int
    in_work: int


class RedisStreams:
    """The streams, strings and hashes of one broker.

    Every method raises UnavailableError while the broker is unavailable.
    """

    def __init__(
        self, address: BrokerAddress | str, *, reply_ttl_ms: int = DEFAULT_REPLY_TTL_MS
    ) -> None:
        """Prepare a connection pool; connections are opened at first use.

        `reply_ttl_ms`: the time to live of an inbox after its latest answer.

        Raises: ConfigError.
        """
        self._client = connect(address, MAX_BLOCKING_S + CONNECT_TIMEOUT_S)
        self._reply_ttl_ms = reply_ttl_ms
        self._answer = self._client.register_script(_ANSWER)
        self._requeue = self._client.register_script(_REQUEUE)

    def ensure_group(self, stream: str) -> None:
        """Create the stream and its consumer group, which starts at the first entry, if missing."""
        with redis_errors():
            try:
                self._client.xgroup_create(stream, GROUP, id="0-0", mkstream=True)
            except valkey.exceptions.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def claim(self, stream: str, consumer: str, count: int, wait_ms: int) -> list[Delivery]:
        """Claim up to `count` new entries; wait up to `wait_ms` for the first (0: do not wait).

        The wait is at most `MAX_BLOCKING_S`. Malformed entries are deleted.
        """
        block = min(wait_ms, int(MAX_BLOCKING_S * 1000)) or None
        with redis_errors():
            try:
                found = self._client.xreadgroup(
                    GROUP, consumer, {stream: ">"}, count=count, block=block
                )
            except valkey.exceptions.ResponseError as error:
                # A broker that lost its data has lost the consumer group, too.
                if "NOGROUP" not in str(error):
                    raise
                self.ensure_group(stream)
                return []
        entries = found[0][1] if found else []
        return self._deliveries(stream, [(entry_id, fields, 1) for entry_id, fields in entries])

    def touch(self, stream: str, consumer: str, entry_ids: Sequence[bytes]) -> None:
        """Reset the idle time of entries in flight, so that no other consumer claims them."""
        if entry_ids:
            with redis_errors():
                self._client.xclaim(stream, GROUP, consumer, 0, list(entry_ids), justid=True)

    def claim_stale(
        self, stream: str, consumer: str, min_idle_ms: int, count: int, *, of: str | None = None
    ) -> list[Delivery]:
        """Claim up to `count` entries in flight that have been idle for `min_idle_ms`.

        Their attempt is one higher. `of`: claim from this consumer only.
        """
        with redis_errors():
            try:
                pending = self._client.xpending_range(
                    stream, GROUP, "-", "+", count, consumername=of, idle=min_idle_ms or None
                )
            except valkey.exceptions.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                return []
            if not pending:
                return []
            counts = {each["message_id"]: each["times_delivered"] for each in pending}
            claimed = self._client.xclaim(stream, GROUP, consumer, min_idle_ms, list(counts))
        # XCLAIM returns an entry that was deleted while pending without fields, or not at all.
        entries = [(entry_id, fields or {}, counts[entry_id] + 1) for entry_id, fields in claimed]
        return self._deliveries(stream, entries)

    def answer(self, stream: str, answers: Sequence[tuple[Delivery, bytes]]) -> None:
        """Store answers in their inboxes, and acknowledge and delete the requests, in one step.

        An answer without an inbox of this deployment is dropped.
        """
        prefix = _prefix(stream)
        arguments: list[str | bytes | int] = [GROUP, self._reply_ttl_ms]
        for delivery, envelope in answers:
            # The sender chose reply_to. Only inboxes of this deployment are written, no other keys.
            inbox = delivery.reply_to if delivery.reply_to.startswith(prefix) else ""
            arguments += (delivery.entry_id, inbox, delivery.correlation, envelope)
        with redis_errors():
            self._answer([stream], arguments)

    def requeue(self, stream: str, delivery: Delivery) -> None:
        """Move an entry to the end of its stream, and raise its number of requeues by one."""
        envelope, correlation = delivery.envelope, delivery.correlation
        moved = (delivery.entry_id, envelope, correlation, delivery.reply_to, delivery.requeues + 1)
        with redis_errors():
            self._requeue([stream], [GROUP, *moved])

    def dead_letter(self, stream: str, delivery: Delivery, refusal: bytes) -> None:
        """Append a request to the stream of dead letters, and answer it with `refusal`.

        The newest 100 dead letters are kept.
        """
        fields = {FIELD_ENVELOPE: delivery.envelope, FIELD_CORRELATION: delivery.correlation}
        with redis_errors():
            self._client.xadd(f"{stream}:dead", fields, maxlen=_DEAD_LETTERS)
        self.answer(stream, [(delivery, refusal)])

    def ask(self, stream: str, request: bytes, *, capacity: int, timeout_s: float) -> bytes | None:
        """Append a request and wait for its answer; return None when none comes in `timeout_s`.

        Raises: QueueFullError when the stream has `capacity` entries or more.
        """
        correlation = secrets.token_hex(16)
        inbox = f"{_prefix(stream)}{correlation}"
        with redis_errors():
            if self._client.xlen(stream) >= capacity:
                raise QueueFullError("the queue is full")
            self._client.xadd(stream, request_fields(request, correlation, inbox))
            waited_s = 0.0
            while waited_s < timeout_s:
                step_s = min(MAX_BLOCKING_S, timeout_s - waited_s)
                found = self._client.xread({inbox: "0"}, count=1, block=max(1, int(step_s * 1000)))
                if found:
                    self._client.delete(inbox)
                    return cast("bytes | None", found[0][1][0][1].get(FIELD_ENVELOPE))
                waited_s += step_s
        return None

    def depth(self, stream: str) -> QueueDepth:
        """Count the entries of a stream that wait and those in flight."""
        with redis_errors():
            length = int(self._client.xlen(stream))
            try:
                in_work = int(self._client.xpending(stream, GROUP)["pending"])
            except valkey.exceptions.ResponseError:
                in_work = 0
        return QueueDepth(waiting=max(length - in_work, 0), in_work=in_work)

    def get(self, key: str) -> bytes | None:
        """Return the string at a key, or None when there is none."""
        with redis_errors():
            return cast("bytes | None", self._client.get(key))

    def set(self, key: str, value: bytes, *, ttl_ms: int | None = None) -> None:
        """Set a string; it expires after `ttl_ms`, or never."""
        with redis_errors():
            self._client.set(key, value, px=ttl_ms)

    def run_script(
        self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> Any:  # noqa: ANN401
        """Run a Lua script atomically and return its result."""
        with redis_errors():
            return self._client.eval(script, len(keys), *keys, *arguments)

    def get_hash(self, key: str) -> dict[bytes, bytes]:
        """Return the fields of a hash, empty when there is none."""
        with redis_errors():
            return cast("dict[bytes, bytes]", self._client.hgetall(key))

    def set_hash_field(self, key: str, field: str, value: bytes) -> None:
        """Set one field of a hash."""
        with redis_errors():
            self._client.hset(key, field, value)

    def delete_hash_field(self, key: str, field: str) -> bool:
        """Delete one field of a hash; return False if it was not there."""
        with redis_errors():
            return bool(self._client.hdel(key, field))

    def delete(self, key: str) -> None:
        """Delete a key."""
        with redis_errors():
            self._client.delete(key)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _deliveries(
        self, stream: str, entries: Sequence[tuple[bytes, dict[bytes, bytes], int]]
    ) -> list[Delivery]:
        good, bad = [], []
        for entry_id, fields, attempt in entries:
            try:
                good.append(
                    Delivery(
                        entry_id=entry_id,
                        envelope=fields[FIELD_ENVELOPE],
                        correlation=fields[FIELD_CORRELATION],
                        reply_to=fields[FIELD_REPLY_TO].decode(),
                        attempt=attempt,
                        requeues=_parse_requeues(fields.get(FIELD_HOPS, b"0")),
                        kind=fields.get(FIELD_CLASS, b""),
                    )
                )
            except (KeyError, UnicodeDecodeError):
                bad.append(entry_id)
        if bad:
            # Without inbox and correlation they cannot be answered.
            with redis_errors():
                self._client.xack(stream, GROUP, *bad)
                self._client.xdel(stream, *bad)
        return good


def _parse_requeues(text: bytes) -> int:
    """Parse the number of requeues. Senders may set the field: an invalid one counts as 100."""
    return int(text) if text.isdigit() and len(text) <= _HOPS_DIGITS else 10**_HOPS_DIGITS


def _prefix(stream: str) -> str:
    return f"{stream.partition('}')[0]}}}:inbox:"
