"""Host: the key broker's records in the broker: the leader's lease, the sealed state, the log.

All key broker instances share them. The instance that holds the lease leads; it commits state and
log records in one step, and only with a higher number. So a leader that was replaced without
noticing cannot commit. Spec: keybroker.md, section 5.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sealflow.errors import MalformedError
from sealflow.streams.keys import FIELD_ENVELOPE, LOG_ENTRIES
from sealflow.wire.fields import base64_bytes
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.redis_streams import RedisStreams
    from sealflow.streams.keys import Keyspace
    from sealflow.wire.domain import TrustDomain

_MAX_KEYS: Final = 64
DIGEST_BYTES: Final = 32

_ACQUIRE_LEASE: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Acquire or renew the lease. KEYS: leader. ARGV: this instance, lease duration in ms."""

_RELEASE_LEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

_COMMIT: Final = f"""
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'deployment') ~= ARGV[3] then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
end
local number = redis.call('HGET', KEYS[2], 'number')
if number and tonumber(number) > tonumber(ARGV[4]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'deployment', ARGV[3], 'number', ARGV[5], 'state', ARGV[6])
for i = 7, #ARGV, 3 do
  redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', {LOG_ENTRIES}, ARGV[i] .. '-1', 'e', ARGV[i + 1])
  redis.pcall('SETRANGE', KEYS[4], ARGV[i] * {DIGEST_BYTES}, ARGV[i + 2])
end
return 1
"""
"""Store a state and its log records, unless another instance leads or a newer state is stored.

KEYS: leader, state, log, log tree. ARGV: this instance, lease duration in ms, deployment digest,
number of the previous state, number of this state, the state, then number, bytes and entry digest
of each record. A state of another deployment digest is deleted first, with its log.
"""

_ADD_TO_TREE: Final = f"""
for i = 1, #ARGV, 2 do
  redis.pcall('SETRANGE', KEYS[1], ARGV[i] * {DIGEST_BYTES}, ARGV[i + 1])
end
return 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """A sealed state and its number, which is that of the newest log record."""

    number: int
    state: bytes = field(repr=False)


class KeyBrokerRecords:
    """The shared records, accessed by one key broker instance.

    Every method raises UnavailableError while the broker is unavailable.
    """

    def __init__(
        self,
        broker: RedisStreams,
        keyspace: Keyspace,
        *,
        instance: str,
        deployment_digest: str,
        domain: TrustDomain,
        lease_ms: int,
    ) -> None:
        """Set the instance that acquires the lease, and for how long.

        `deployment_digest`: SHA-256 of the deployment settings in hex. A stored state with another
        digest counts as none. `domain`: that of the deployment, for the digests of log entries.
        """
        self._broker = broker
        self._keyspace = keyspace
        self._instance = instance
        self._digest = deployment_digest
        self._domain = domain
        self._lease_ms = lease_ms

    def acquire_lease(self) -> bool:
        """Acquire or renew the lease; return False while another instance holds it."""
        arguments: list[str | bytes | int] = [self._instance, self._lease_ms]
        return bool(
            self._broker.run_script(_ACQUIRE_LEASE, [self._keyspace.keybroker_leader], arguments)
        )

    def release_lease(self) -> None:
        """Release the lease, so that another instance need not wait until it expires."""
        self._broker.run_script(_RELEASE_LEASE, [self._keyspace.keybroker_leader], [self._instance])

    def leader(self) -> str | None:
        """Return the name of the instance that holds the lease, or None when no instance does."""
        found = self._broker.get(self._keyspace.keybroker_leader)
        return None if found is None else found.decode(errors="replace")

    def commit(self, before: int, state: StoredState, records: Sequence[tuple[int, bytes]]) -> bool:
        """Store a state and its log records, and renew the lease.

        `before`: the number of the state that it replaces. Returns False when another instance
        leads or has stored a newer state; then nothing is stored.
        """
        keys = [
            self._keyspace.keybroker_leader,
            self._keyspace.keybroker_state,
            self._keyspace.log,
            self._keyspace.log_tree,
        ]
        arguments: list[str | bytes | int] = [
            self._instance,
            self._lease_ms,
            self._digest,
            before,
            state.number,
            state.state,
        ]
        for number, record in records:
            arguments += (number, record, entry_digest(record, self._domain))
        return bool(self._broker.run_script(_COMMIT, keys, arguments))

    def discard(self) -> None:
        """Delete state, sealed keys and log, so that an instance stores those of its archive."""
        keys = self._keyspace
        for each in (keys.keybroker_state, keys.keybroker_keys, keys.log, keys.log_tree):
            self._broker.delete(each)

    def stored(self) -> StoredState | None:
        """Return the stored state, or None when there is none of this deployment digest."""
        fields = self._broker.get_hash(self._keyspace.keybroker_state)
        if fields.get(b"deployment") != self._digest.encode():
            return None
        return StoredState(number=int(fields[b"number"]), state=fields[b"state"])

    def keys(self) -> list[bytes]:
        """Return the sealed copies of the state key, one for each machine; at most 64."""
        return list(self._broker.get_hash(self._keyspace.keybroker_keys).values())[:_MAX_KEYS]

    def store_key(self, machine: bytes, sealed: bytes) -> None:
        """Store the copy of the state key that is sealed for `machine`."""
        self._broker.set_hash_field(self._keyspace.keybroker_keys, machine.hex(), sealed)

    def records(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Return at most `count` log records by number, from number `after` + 1 on."""
        script = "return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"
        found = self._broker.run_script(script, [self._keyspace.log], [f"{after + 1}-1", count])
        return parse_records(found)

    def restore_records(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Append log records again after the broker lost its data; records that exist stay."""
        script = f"""
        for i = 1, #ARGV, 2 do
          local id = ARGV[i] .. '-1'
          redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', {LOG_ENTRIES}, id, 'e', ARGV[i + 1])
        end
        """
        flat: list[str | bytes | int] = [item for record in records for item in record]
        self._broker.run_script(script, [self._keyspace.log], flat)

    def tree_length(self) -> int:
        """Return how many digests of log entries the broker has, from number 0 on."""
        found = self._broker.run_script(
            "return redis.call('STRLEN', KEYS[1])", [self._keyspace.log_tree], []
        )
        return cast("int", found) // DIGEST_BYTES

    def add_to_tree(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Store the digests of log records that are stored elsewhere."""
        flat: list[str | bytes | int] = []
        for number, record in records:
            flat += (number, entry_digest(record, self._domain))
        self._broker.run_script(_ADD_TO_TREE, [self._keyspace.log_tree], flat)


def entry_digest(record: bytes, domain: TrustDomain) -> bytes:
    """Return the digest of a record's log entry; zeros if it is not a record."""
    try:
        text = parse_object(record, "log record").get("entry")
        entry = base64_bytes(text, len(record), "entry")
    except MalformedError:
        return bytes(DIGEST_BYTES)
    return hashlib.sha256(domain.label("log entry") + entry).digest()


def parse_records(entries: object) -> list[tuple[int, bytes]]:
    """Return the log records, by number, from the answer to XRANGE."""
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
