"""Host, engine: give each claimed request to a process of its model's owner.

While the published models have one owner, every process may take every request, and nothing here is
in its way. With more owners, one thread claims for all processes (`Claimer`), as a process that
waits in a claim of its own would not see what another one claimed for it. Whatever the router does,
a worker has keys for its owner's models only, and refuses all others.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import MalformedError, RefusalCode, UnavailableError
from sealflow.wire.envelope import Envelope, encode_refusal
from sealflow.wire.frames import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealflow.host.broker.redis_streams import Delivery
    from sealflow.host.broker.stream_consumer import StreamConsumer
    from sealflow.host.engine.config import EngineConfig
    from sealflow.host.engine.quarantine import Quarantine
    from sealflow.wire.envelope import RequestHeader

MAX_WAITING: Final = 4096
MAX_WAITING_BYTES: Final = 128 * 2**20
"""Limits of the requests that wait for one owner's processes; more are refused as `overloaded`."""
_CLAIM_MS: Final = 1000
_UNAVAILABLE_PAUSE_S: Final = 0.5
_log = structlog.get_logger()

Refused = list[tuple["Delivery", RefusalCode]]


def request_header(delivery: Delivery) -> RequestHeader | None:
    """Return what a request says in clear, or None if it does not parse."""
    try:
        envelope = Envelope.from_bytes(delivery.envelope, max_body_bytes=MAX_FRAME_BYTES)
        header = envelope.request_header
    except MalformedError:
        return None
    return header


def requested_digest(delivery: Delivery) -> str | None:
    """Return the digest of the model that a request names in clear; None if it does not parse."""
    header = request_header(delivery)
    return None if header is None else header.model_digest


class RequestRouter:
    """The requests that were claimed and wait for a process of their owner. Thread-safe.

    An owner is its public key in hex, or None: requests for models that are not published, which
    any process may refuse.
    """

    def __init__(self, quarantine: Quarantine) -> None:
        """Refuse requests for the models that `quarantine` holds."""
        self._quarantine = quarantine
        self._changed = threading.Condition()
        self._owners: Mapping[str, str] = {}
        self._divided = False
        self._waiting: defaultdict[str | None, deque[Delivery]] = defaultdict(deque)
        self._bytes: defaultdict[str | None, int] = defaultdict(int)
        self._wanted = 0

    @property
    def divided(self) -> bool:
        """Whether the published models have several owners."""
        return self._divided

    def update(self, owners: Mapping[str, str]) -> None:
        """Set the owner of each published model, by its digest."""
        with self._changed:
            self._owners = owners
            # Not set back: with one owner left, what waits is still given out.
            self._divided = self._divided or len(set(owners.values())) > 1
            waiting = [each for queue in self._waiting.values() for each in queue]
            self._waiting.clear()
            self._bytes.clear()
            for delivery in waiting:
                self._put(delivery, requested_digest(delivery))
            self._changed.notify_all()

    def sort(self, owner: str | None, deliveries: list[Delivery]) -> tuple[list[Delivery], Refused]:
        """Return the claimed requests that a process of `owner` may take, and those to refuse.

        The others wait for `take`.
        """
        if not self._divided and not self._quarantine:
            return deliveries, []
        taken: list[Delivery] = []
        refused: Refused = []
        with self._changed:
            for delivery in deliveries:
                digest = requested_digest(delivery)
                if digest is not None and self._quarantine.holds(digest):
                    refused.append((delivery, RefusalCode.UNAVAILABLE))
                elif not self._divided or self._owners.get(digest or "", owner) == owner:
                    taken.append(delivery)
                elif not self._put(delivery, digest):
                    refused.append((delivery, RefusalCode.OVERLOADED))
            self._changed.notify_all()
        return taken, refused

    def put(self, deliveries: Iterable[Delivery]) -> Refused:
        """Have requests wait for a process of their owner; return those to refuse."""
        refused: Refused = []
        with self._changed:
            for delivery in deliveries:
                digest = requested_digest(delivery)
                if digest is not None and self._quarantine.holds(digest):
                    refused.append((delivery, RefusalCode.UNAVAILABLE))
                elif not self._put(delivery, digest):
                    refused.append((delivery, RefusalCode.OVERLOADED))
            self._changed.notify_all()
        return refused

    def take(self, owner: str | None, count: int, wait_s: float) -> list[Delivery]:
        """Return up to `count` requests for a process of `owner`; wait up to `wait_s` for one.

        A request that ended a process before is returned alone.
        """
        with self._changed:
            if not self._any(owner):
                self._wanted += count
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._any(owner), wait_s)
                self._wanted -= count
            found: list[Delivery] = []
            for name in {owner, None}:
                queue = self._waiting[name]
                while queue and len(found) < count and (queue[0].attempt == 1 or not found):
                    found.append(queue.popleft())
                    self._bytes[name] -= len(found[-1].envelope)
                    if found[-1].attempt > 1:
                        return found
            return found

    def wait_until_wanted(self, timeout_s: float) -> int:
        """Wait until a process has room and nothing waits for it; return how many it takes."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted, timeout_s)
            return self._wanted

    @property
    def waiting(self) -> list[Delivery]:
        """All waiting requests."""
        with self._changed:
            return [each for queue in self._waiting.values() for each in queue]

    def remove_expired(self, at_ms: int) -> Refused:
        """Remove and return the waiting requests whose deadline is over, at a time in Unix ms."""
        found: Refused = []
        with self._changed:
            for owner, queue in self._waiting.items():
                for delivery in list(queue):
                    header = request_header(delivery)
                    if header is not None and header.deadline_ms < at_ms:
                        queue.remove(delivery)
                        self._bytes[owner] -= len(delivery.envelope)
                        found.append((delivery, RefusalCode.EXPIRED))
        return found

    def owners_in_demand(self) -> list[str]:
        """Return the owners for whose processes requests wait."""
        with self._changed:
            return [owner for owner, queue in self._waiting.items() if queue and owner]

    def remove_all(self) -> list[Delivery]:
        """Remove and return all waiting requests."""
        with self._changed:
            found = [each for queue in self._waiting.values() for each in queue]
            self._waiting.clear()
            self._bytes.clear()
            return found

    def _any(self, owner: str | None) -> bool:
        return bool(self._waiting[owner] or self._waiting[None])

    def _put(self, delivery: Delivery, digest: str | None) -> bool:
        owner = self._owners.get(digest or "")
        length = len(delivery.envelope)
        if self._waiting[owner] and (
            len(self._waiting[owner]) >= MAX_WAITING
            or self._bytes[owner] + length > MAX_WAITING_BYTES
        ):
            return False
        self._waiting[owner].append(delivery)
        self._bytes[owner] += length
        return True


class Claimer:
    """A thread that claims for all processes of an engine, once models have several owners."""

    def __init__(
        self,
        consumer: StreamConsumer,
        config: EngineConfig,
        router: RequestRouter,
    ) -> None:
        self._consumer = consumer
        self._stale_s = config.stale_after_s
        self._router = router
        self._touched_s = 0.0
        self._recovered = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claim", daemon=True)

    def start_once(self) -> None:
        """Start the thread, unless it was started."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop claiming, and give back what waits: it goes to the end of the stream."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_CLAIM_MS / 1000 + 1)
        for delivery in self._router.remove_all():
            try:
                self._consumer.requeue(delivery)
            except UnavailableError:
                # It stays unacknowledged, and goes to another engine.
                return

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._keep()
                count = self._router.wait_until_wanted(_CLAIM_MS / 1000)
                if count:
                    self._give(self._consumer.claim(count, _CLAIM_MS))
            except UnavailableError as error:
                _log.warning("the broker is unavailable", error=str(error))
                self._stopped.wait(_UNAVAILABLE_PAUSE_S)

    def _keep(self) -> None:
        """Keep what waits from other engines; at first, recover what an earlier process had."""
        now_s = time.monotonic()
        if now_s - self._touched_s < self._stale_s / 3:
            return
        self._touched_s = now_s
        waiting = [delivery.entry_id for delivery in self._router.waiting]
        self._consumer.touch(waiting)
        self._refuse(self._router.remove_expired(now_ms()))
        if not self._recovered:
            self._recovered = True
            self._give(self._consumer.recover())

    def _give(self, deliveries: list[Delivery]) -> None:
        self._refuse(self._router.put(deliveries))

    def _refuse(self, refused: Refused) -> None:
        answers = [(delivery, encode_refusal(code, None)) for delivery, code in refused]
        if answers:
            self._consumer.answer(answers)
