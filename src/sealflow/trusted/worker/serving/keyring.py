"""Worker: epoch keys with their sessions, and the filter against replays."""

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


class ReplayFilter:
    """Remembers ids in bounded memory, and refuses when full rather than forget one too early.

    An id may go once its deadline is past: by a clock that never goes back, its request would be
    refused as expired before anyone asks here. Not for several threads.
    """

    def __init__(self, capacity: int, end_ms: int) -> None:
        """Hold at most `capacity` ids, of about 130 bytes each.

        `end_ms`: when the key goes. An id whose deadline is later goes with the key, so that far
        deadlines take no more memory than near ones.
        """
        self._capacity = capacity
        self._end_ms = end_ms
        self._seen: set[bytes] = set()
        self._buckets: dict[int, list[bytes]] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        """How many ids are held."""
        return len(self._seen)

    def check(self, request_id: RequestId, now_ms: int) -> None:
        """Let a new id pass; it counts as seen only after `remember`.

        `now_ms`: the worker's clock, which must never go back.

        Raises: RefusedError with REPLAYED, or with OVERLOADED when there is no room for it.
        """
        self._forget(now_ms)
        if bytes.fromhex(request_id) in self._seen:
            raise RefusedError(RefusalCode.REPLAYED)
        if len(self._seen) >= self._capacity:
            raise RefusedError(RefusalCode.OVERLOADED)

    def remember(self, request_id: RequestId, deadline_ms: int) -> None:
        """Take the id of a request that opened, so that its deadline is genuine."""
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

    def _forget(self, now_ms: int) -> None:
        while self._order and (self._order[0] + 1) * _BUCKET_MS <= now_ms:
            self._seen.difference_update(self._buckets.pop(heapq.heappop(self._order)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEpochKey:
    """A key and the time, in Unix milliseconds, at which it must be gone."""

    opening: OpeningKey
    destroy_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key in use and the ids seen under it, which go when it goes."""

    key: HeldEpochKey
    seen: ReplayFilter = field(repr=False)


class Keyring:
    """Holds keys by their id. Not for several threads."""

    def __init__(self, replay_capacity: int) -> None:
        """Remember at most so many request ids for each key."""
        self._replay_capacity = replay_capacity
        self._held: dict[KeyId, HeldKey] = {}
        self._lease_ms = 0
        self.secrets = SessionSecrets(_SESSIONS)

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._held)

    def get(self, key_id: KeyId) -> HeldKey | None:
        """Find a key that may still be used."""
        return self._held.get(key_id)

    def replace(self, keys: Iterable[HeldEpochKey], lease_ms: int) -> None:
        """Hold exactly these keys until `lease_ms`; those that stay keep what they have seen."""
        granted = {key.opening.sealing.key_id: key for key in keys}
        for key_id in [key_id for key_id in self._held if key_id not in granted]:
            self._drop(key_id)
        for key_id, key in granted.items():
            held = self._held.get(key_id)
            seen = held.seen if held else ReplayFilter(self._replay_capacity, key.destroy_ms)
            self._held[key_id] = HeldKey(key=key, seen=seen)
        self._lease_ms = lease_ms

    def expire(self, now_ms: int) -> None:
        """Drop the keys whose time is over, and all of them when the lease is."""
        over = now_ms >= self._lease_ms
        for key_id in [
            key_id for key_id, held in self._held.items() if over or now_ms >= held.key.destroy_ms
        ]:
            self._drop(key_id)

    def _drop(self, key_id: KeyId) -> None:
        del self._held[key_id]
        self.secrets.forget(key_id)
