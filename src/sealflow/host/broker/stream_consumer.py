"""Host, broker: one consumer of a stream of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.host.broker.redis_streams import Delivery, RedisStreams

_MAX_RECOVERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConsumer:
    """A consumer of the stream `stream`, which claims entries under `name`. Thread-safe.

    Every method raises UnavailableError.
    """

    broker: RedisStreams
    stream: str
    name: str

    def claim(self, count: int, wait_ms: int) -> list[Delivery]:
        """Claim new entries; see `RedisStreams.claim`."""
        return self.broker.claim(self.stream, self.name, count, wait_ms)

    def claim_stale(self, min_idle_ms: int, count: int) -> list[Delivery]:
        """Claim entries in flight of any consumer; see `RedisStreams.claim_stale`."""
        return self.broker.claim_stale(self.stream, self.name, min_idle_ms, count)

    def recover(self) -> list[Delivery]:
        """Claim what an earlier process of this name had in flight when it ended."""
        return self.broker.claim_stale(self.stream, self.name, 0, _MAX_RECOVERED, of=self.name)

    def touch(self, entry_ids: Sequence[bytes]) -> None:
        """Reset the idle time of entries in flight, so that no other consumer claims them."""
        self.broker.touch(self.stream, self.name, entry_ids)

    def answer(self, answers: Sequence[tuple[Delivery, bytes]]) -> None:
        """Store answers, and acknowledge and delete the requests; see `RedisStreams.answer`."""
        self.broker.answer(self.stream, answers)

    def requeue(self, delivery: Delivery) -> None:
        """Move an entry to the end of the stream, and raise its number of requeues by one."""
        self.broker.requeue(self.stream, delivery)

    def dead_letter(self, delivery: Delivery, refusal: bytes) -> None:
        """Set a request aside, and answer it with `refusal`; see `RedisStreams.dead_letter`."""
        self.broker.dead_letter(self.stream, delivery, refusal)
