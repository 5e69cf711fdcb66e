"""Host: the broker as engines and key broker hosts see it.

At least once: an entry leaves the stream in the same step that stores its answer. Redis 6.2 or
newer, or Valkey. Safe between threads: each call takes a connection of the pool.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import valkey

from sealflow.errors import QueueFullError
from sealflow.streams.connection import CONNECT_TIMEOUT_S, connect, redis_errors
from sealflow.streams.keys import (
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
"""Store answers, acknowledge and delete their requests, as one step.

KEYS: the stream. ARGV: group, time to live of inboxes in ms; then for each answer its entry id,
inbox (empty: none), correlation, envelope. An inbox that is not a stream is its sender's loss;
anything else, such as a full memory, leaves this request and those after it unacknowledged.
"""

_ONWARD: Final = """
local stored = redis.pcall('XADD', KEYS[1], '*', 'e', ARGV[3], 'c', ARGV[4], 'r', ARGV[5],
                           'h', ARGV[6])
if type(stored) == 'string' then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
  redis.call('XDEL', KEYS[1], ARGV[2])
end
return stored
"""
"""Put an entry at the end of its stream, for whoever comes next.

KEYS: the stream. ARGV: group, entry id, envelope, correlation, inbox, requeues.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One unacknowledged entry of a stream.

    `attempt`: 1 for the first time it is handed out. `requeues`: how often it was requeued.
    """

    entry_id: bytes
    envelope: bytes = field(repr=False)
    correlation: bytes
    reply_to: str
    attempt: int
    requeues: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """Entries that wait, and entries that some engine holds."""

    waiting: int
    in_work: int


class RedisStreams:
    """Streams of one broker. Every method raises UnavailableError while the broker is away."""

    def __init__(
        self, address: BrokerAddress | str, *, reply_ttl_ms: int = DEFAULT_REPLY_TTL_MS
    ) -> None:
        """Use a broker; connects when first used.

        Raises: ConfigError.
        """
        self._client = connect(address, MAX_BLOCKING_S + CONNECT_TIMEOUT_S)
        self._reply_ttl_ms = reply_ttl_ms
        self._answer = self._client.register_script(_ANSWER)
        self._onward = self._client.register_script(_ONWARD)

    def ensure_group(self, stream: str) -> None:
        """Make stream and consumer group, from the first entry on, unless they exist."""
        with redis_errors():
            try:
                self._client.xgroup_create(stream, GROUP, id="0-0", mkstream=True)
            except valkey.exceptions.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def claim(self, stream: str, consumer: str, count: int, wait_ms: int) -> list[Delivery]:
        """Take up to `count` new entries, waiting up to `wait_ms` for the first (0: not at all)."""
        block = min(wait_ms, int(MAX_BLOCKING_S * 1000)) or None
        with redis_errors():
            try:
                found = self._client.xreadgroup(
                    GROUP, consumer, {stream: ">"}, count=count, block=block
                )
            except valkey.exceptions.ResponseError as error:
                # A broker that lost its data has lost the group too.
                if "NOGROUP" not in str(error):
                    raise
                self.ensure_group(stream)
                return []
        entries = found[0][1] if found else []
        return self._deliveries(stream, [(entry_id, fields, 1) for entry_id, fields in entries])

    def touch(self, stream: str, consumer: str, entry_ids: Sequence[bytes]) -> None:
        """Say that entries are still being worked on, so that nobody takes them over."""
        if entry_ids:
            with redis_errors():
                self._client.xclaim(stream, GROUP, consumer, 0, list(entry_ids), justid=True)

    def claim_stale(
        self, stream: str, consumer: str, min_idle_ms: int, count: int, *, of: str | None = None
    ) -> list[Delivery]:
        """Take over entries that nobody has touched for `min_idle_ms`; they count one more try.

        `of`: only those of one consumer.
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
        # An entry that was deleted while it was pending comes back without fields, or not at all.
        entries = [(entry_id, fields or {}, counts[entry_id] + 1) for entry_id, fields in claimed]
        return self._deliveries(stream, entries)

    def answer(self, stream: str, answers: Sequence[tuple[Delivery, bytes]]) -> None:
        """Store answers, acknowledge and delete their requests, in one step for all of them."""
        prefix = _prefix(stream)
        arguments: list[str | bytes | int] = [GROUP, self._reply_ttl_ms]
        for delivery, envelope in answers:
            # The sender wrote the inbox's name: it may name an inbox of this deployment only.
            inbox = delivery.reply_to if delivery.reply_to.startswith(prefix) else ""
            arguments += (delivery.entry_id, inbox, delivery.correlation, envelope)
        with redis_errors():
            self._answer([stream], arguments)

    def requeue(self, stream: str, delivery: Delivery) -> None:
        """Let others have an entry, behind all that waits; it counts one hop more."""
        envelope, correlation = delivery.envelope, delivery.correlation
        asked = (delivery.entry_id, envelope, correlation, delivery.reply_to, delivery.requeues + 1)
        with redis_errors():
            self._onward([stream], [GROUP, *asked])

    def dead_letter(self, stream: str, delivery: Delivery, refusal: bytes) -> None:
        """Set a request aside in a bounded stream of its own, and answer with a refusal."""
        fields = {FIELD_ENVELOPE: delivery.envelope, FIELD_CORRELATION: delivery.correlation}
        with redis_errors():
            self._client.xadd(f"{stream}:dead", fields, maxlen=_DEAD_LETTERS)
        self.answer(stream, [(delivery, refusal)])

    def ask(self, stream: str, request: bytes, *, capacity: int, timeout_s: float) -> bytes | None:
        """Queue a request and wait for its answer; None when there is none in time.

        Raises: QueueFullError.
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
        """Count entries that wait and those in flight."""
        with redis_errors():
            length = int(self._client.xlen(stream))
            try:
                in_work = int(self._client.xpending(stream, GROUP)["pending"])
            except valkey.exceptions.ResponseError:
                in_work = 0
        return QueueDepth(waiting=max(length - in_work, 0), in_work=in_work)

    def get(self, key: str) -> bytes | None:
        """Read a string."""
        with redis_errors():
            return cast("bytes | None", self._client.get(key))

    def set(self, key: str, value: bytes, *, ttl_ms: int | None = None) -> None:
        """Write a string, for a time or for good."""
        with redis_errors():
            self._client.set(key, value, px=ttl_ms)

    def run_script(
        self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> Any:  # noqa: ANN401
        """Run a script as one step; returns what it returns."""
        with redis_errors():
            return self._client.eval(script, len(keys), *keys, *arguments)

    def get_hash(self, key: str) -> dict[bytes, bytes]:
        """Read a hash; empty when there is none."""
        with redis_errors():
            return cast("dict[bytes, bytes]", self._client.hgetall(key))

    def set_hash_field(self, key: str, field: str, value: bytes) -> None:
        """Write one field of a hash."""
        with redis_errors():
            self._client.hset(key, field, value)

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
                        requeues=_hops(fields.get(FIELD_HOPS, b"0")),
                    )
                )
            except (KeyError, UnicodeDecodeError):
                bad.append(entry_id)
        if bad:
            # Nobody could be answered.
            with redis_errors():
                self._client.xack(stream, GROUP, *bad)
                self._client.xdel(stream, *bad)
        return good


def _hops(text: bytes) -> int:
    """Read what a sender may have written, too: nonsense is as good as many."""
    return int(text) if text.isdigit() and len(text) <= _HOPS_DIGITS else 10**_HOPS_DIGITS


def _prefix(stream: str) -> str:
    return f"{stream.partition('}')[0]}}}:inbox:"
