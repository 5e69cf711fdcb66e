"""Worker, pure: the request ids seen under one key. Spec: exchange.md, 6.4 and 6.5."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from sealflow.errors import RefusalCode, RefusedError

if TYPE_CHECKING:
    from sealflow.wire.ids import RequestId

_BUCKET_MS: Final = 1000


class SeenIds:
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
