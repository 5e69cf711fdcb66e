"""Worker: holds epoch keys with their sessions, and detects replayed requests."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import RefusalCode, RefusedError
from sealflow.seal.exchange import SessionSecrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.seal.keys import OpeningKey
    from sealflow.wire.ids import KeyId, RequestId


_BUCKET_MS: Final = 1000
_SESSIONS: Final = 4096
LEASE_REQUESTS: Final = 1_000_000
LEASE_BYTES: Final = 64 * 2**30


class ReplayFilter:
    """The request ids seen under one key, in bounded memory. Not thread-safe.

    An id is removed when its request's deadline is past: the request would be refused as expired
    before this filter is asked, as the clock never goes back. A full filter refuses new requests
    rather than remove an id too early.

    `capacity`: number of ids, of about 130 bytes each. Deadlines are bounded before this filter is
    asked, so that many ids are those of a few minutes. `end_ms`: when the key is destroyed, in Unix
    ms. Ids with a later deadline are removed with the key.
    """

    def __init__(self, capacity: int, end_ms: int) -> None:
        self._capacity = capacity
        self._end_ms = end_ms
        self._seen: set[bytes] = set()
        self._buckets: dict[int, list[bytes]] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        """Return the number of held ids."""
        return len(self._seen)

    def check(self, request_id: RequestId, now_ms: int) -> None:
        """Check that an id is new and that there is room for it; `remember` stores it.

        `now_ms`: the worker's clock, which must never go back.

        Raises: RefusedError with REPLAYED when the id was seen, with OVERLOADED when the filter is
        full.
        """
        self._remove_expired(now_ms)
        if bytes.fromhex(request_id) in self._seen:
            raise RefusedError(RefusalCode.REPLAYED)
        if len(self._seen) >= self._capacity:
            raise RefusedError(RefusalCode.OVERLOADED)

    def remember(self, request_id: RequestId, deadline_ms: int) -> None:
        """Store the id of a request that was opened, whose deadline is thus authentic."""
        raw = bytes.fromhex(request_id)
        self._seen.add(raw)
        if deadline_ms >= self._end_ms:
            return
        bucket = deadline_ms // _BUCKET_MS
        ids = self._buckets.get(bucket)
        if ids is None:
            self._buckets[bucket] = [raw]
            heapq.heappush(self._order, bucket)
        else:
            ids.append(raw)

    def _remove_expired(self, now_ms: int) -> None:
        while self._order and (self._order[0] + 1) * _BUCKET_MS <= now_ms:
            self._seen.difference_update(self._buckets.pop(heapq.heappop(self._order)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPrivateKey:
    """The private key of an epoch, and when it must be destroyed, in Unix ms."""

    private_key: OpeningKey
    destroy_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key in use, and the request ids seen under it, which are removed with it."""

    key: EpochPrivateKey
    seen: ReplayFilter = field(repr=False)


class LeaseUse:
    """The requests opened under one lease: a bound that holds whatever the clock says.

    The opener counts; the lease thread renews a lease whose half is used.
    """

    def __init__(self, most_requests: int = LEASE_REQUESTS, most_bytes: int = LEASE_BYTES) -> None:
        self._most = most_requests, most_bytes
        self._requests = self._bytes = 0

    def count(self, size: int) -> None:
        """Count an opened request of `size` bytes."""
        self._requests += 1
        self._bytes += size

    def is_used(self, parts: int = 1) -> bool:
        """Return whether a `parts`-th part of the lease is used, by requests or by bytes."""
        requests, most_bytes = self._most
        return self._requests * parts >= requests or self._bytes * parts >= most_bytes


class Keyring:
    """The epoch keys of the present lease by key id. Not thread-safe.

    `replay_capacity`: request ids to remember for each key.
    """

    def __init__(self, replay_capacity: int) -> None:
        self._replay_capacity = replay_capacity
        self._held: dict[KeyId, HeldKey] = {}
        self._lease_ms = 0
        self._use = LeaseUse()
        self.secrets = SessionSecrets(_SESSIONS)

    def __len__(self) -> int:
        """Return the number of held keys."""
        return len(self._held)

    def get(self, key_id: KeyId) -> HeldKey | None:
        """Return a held key, or None. Call `expire` before, which drops keys past their time."""
        return self._held.get(key_id)

    def replace(self, keys: Iterable[EpochPrivateKey], lease_ms: int, use: LeaseUse) -> None:
        """Hold exactly these keys until the lease ends; keys held before keep their request ids."""
        granted = {key.private_key.public_key.key_id: key for key in keys}
        for key_id in [key_id for key_id in self._held if key_id not in granted]:
            self._drop(key_id)
        for key_id, key in granted.items():
            held = self._held.get(key_id)
            seen = held.seen if held else ReplayFilter(self._replay_capacity, key.destroy_ms)
            self._held[key_id] = HeldKey(key=key, seen=seen)
        self._lease_ms, self._use = lease_ms, use

    def count(self, size: int) -> None:
        """Count an opened request of `size` bytes; drop all keys after the last of a lease."""
        self._use.count(size)
        if self._use.is_used():
            self.expire(self._lease_ms)

    def expire(self, now_ms: int) -> None:
        """Drop keys past `destroy_ms`, and all keys when the lease has ended."""
        ended = now_ms >= self._lease_ms or self._use.is_used()
        for key_id in [
            key_id for key_id, held in self._held.items() if ended or now_ms >= held.key.destroy_ms
        ]:
            self._drop(key_id)

    def _drop(self, key_id: KeyId) -> None:
        del self._held[key_id]
        self.secrets.forget(key_id)
