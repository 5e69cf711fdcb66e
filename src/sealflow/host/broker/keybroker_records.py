"""Host: what key broker instances share by the broker: who leads, the sealed state, the log.

One instance leads, by a lease. It commits state and log records in one step, and only forwards: so
a leader that was replaced without knowing commits nothing any more. Spec: keybroker.md, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sealflow.streams.keys import FIELD_ENVELOPE, LOG_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.streams.keys import Keyspace

_MAX_KEYS: Final = 64

_LEAD: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Take or keep the lease. KEYS: leader. ARGV: this instance, milliseconds."""

_RESIGN: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

_COMMIT: Final = f"""
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'deployment') ~= ARGV[3] then redis.call('DEL', KEYS[2], KEYS[3]) end
local number = redis.call('HGET', KEYS[2], 'number')
if number and tonumber(number) > tonumber(ARGV[4]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'deployment', ARGV[3], 'number', ARGV[5], 'state', ARGV[6])
for i = 7, #ARGV, 2 do
  redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', {LOG_ENTRIES}, ARGV[i] .. '-1', 'e', ARGV[i + 1])
end
return 1
"""
"""Keep a state and its log records, unless another instance leads or a newer state is there.

KEYS: leader, state, log. ARGV: this instance, milliseconds, deployment digest, the number of the
state before, the number of this one, the state, then each record's number and the record.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """A sealed state and its number: that of the newest log record."""

    number: int
    state: bytes = field(repr=False)


class KeyBrokerRecords:
    """One instance's view. Every method raises UnavailableError while the broker is away."""

    def __init__(
        self,
        broker: RedisStreams,
        keyspace: Keyspace,
        *,
        instance: str,
        deployment_digest: str,
        lease_ms: int,
    ) -> None:
        """Speak as `instance`. A state under other settings, by their SHA-256, counts as none."""
        self._broker = broker
        self._keyspace = keyspace
        self._instance = instance
        self._digest = deployment_digest
        self._lease_ms = lease_ms

    def lead(self) -> bool:
        """Take the lease, or keep it; False while another instance has it."""
        arguments: list[str | bytes | int] = [self._instance, self._lease_ms]
        return bool(self._broker.run_script(_LEAD, [self._keyspace.keybroker_leader], arguments))

    def resign(self) -> None:
        """Return the lease back, so that another need not wait for its end."""
        self._broker.run_script(_RESIGN, [self._keyspace.keybroker_leader], [self._instance])

    def leader(self) -> str | None:
        """The instance that has the lease."""
        found = self._broker.get(self._keyspace.keybroker_leader)
        return None if found is None else found.decode(errors="replace")

    def commit(self, before: int, kept: StoredState, records: Sequence[tuple[int, bytes]]) -> bool:
        """Keep the state that follows number `before`; False when this instance leads no more."""
        keys = [
            self._keyspace.keybroker_leader,
            self._keyspace.keybroker_state,
            self._keyspace.log,
        ]
        arguments: list[str | bytes | int] = [
            self._instance,
            self._lease_ms,
            self._digest,
            before,
            kept.number,
            kept.state,
        ]
        for number, record in records:
            arguments += (number, record)
        return bool(self._broker.run_script(_COMMIT, keys, arguments))

    def stored(self) -> StoredState | None:
        """The newest state."""
        fields = self._broker.get_hash(self._keyspace.keybroker_state)
        if fields.get(b"deployment") != self._digest.encode():
            return None
        return StoredState(number=int(fields[b"number"]), state=fields[b"state"])

    def keys(self) -> list[bytes]:
        """The state's keys that were sealed for some machine."""
        return list(self._broker.get_hash(self._keyspace.keybroker_keys).values())[:_MAX_KEYS]

    def store_key(self, machine: bytes, sealed: bytes) -> None:
        """Keep the state's key that was sealed for one machine."""
        self._broker.set_hash_field(self._keyspace.keybroker_keys, machine.hex(), sealed)

    def records(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """The log records from number `after` + 1 on, at most `count` of them."""
        script = "return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"
        found = self._broker.run_script(script, [self._keyspace.log], [f"{after + 1}-1", count])
        return parse_records(found)

    def restore_records(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Put records back that a broker without memory lost; those that are there stay."""
        script = f"""
        for i = 1, #ARGV, 2 do
          local id = ARGV[i] .. '-1'
          redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', {LOG_ENTRIES}, id, 'e', ARGV[i + 1])
        end
        """
        flat: list[str | bytes | int] = [item for record in records for item in record]
        self._broker.run_script(script, [self._keyspace.log], flat)


def parse_records(entries: object) -> list[tuple[int, bytes]]:
    """Read what XRANGE gives of the log: records by number."""
    found = cast("list[tuple[bytes, Any]]", entries or [])
    records = []
    for entry_id, fields in found:
        pairs = (
            fields
            if isinstance(fields, dict)
            else dict(zip(fields[::2], fields[1::2], strict=True))
        )
        records.append((int(entry_id.partition(b"-")[0]), pairs.get(FIELD_ENVELOPE, b"")))
    return records
