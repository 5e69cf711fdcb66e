"""Host, engine: track entries between queue and worker, from claim to acknowledgement.

An entry is unacknowledged until its answer is stored. After a worker has ended, each entry that it
had in flight is retried alone. One that then ends a second worker is dead-lettered.

Workers may have different models, and load new ones at different times. So a request that was
refused with `unknown_model` may be requeued for another worker. Spec: queue.md, 4.11.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.errors import MalformedError, RefusalCode, UnavailableError
from sealflow.host.engine.metrics import EngineMetrics, is_refusal
from sealflow.host.engine.routing import requested_digest
from sealflow.wire.envelope import Envelope, RefusalHeader, encode_refusal
from sealflow.wire.frames import MAX_BATCH_BYTES, MAX_FRAME_BYTES
from sealflow.wire.ids import parse_digest

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from sealflow.host.broker.redis_streams import Delivery
    from sealflow.host.broker.stream_consumer import StreamConsumer
    from sealflow.host.engine.config import EngineConfig
    from sealflow.host.engine.routing import RequestRouter


MAX_REQUEUES: Final = 8
"""How often an entry may be requeued."""
_FIRST_PAUSE_S: Final = 0.02
_MAX_PAUSE_S: Final = 1.0
_log = structlog.get_logger()

_RETRY_S: Final = 1.0

Answers = list[tuple["Delivery", bytes]]


def published_models(document: bytes) -> dict[str, str]:
    """Return the owners of a published directory's models by digest; the engine verifies nothing.

    A directory whose owners are not keys counts as empty.
    """
    try:
        payload = json.loads(b64decode(json.loads(document)["directory"]["payload"]))
        found = {str(each["digest"]): str(each["owner"]) for each in payload["models"]}
        return {digest: parse_digest(owner) for digest, owner in found.items()}
    except (ValueError, TypeError, KeyError, RecursionError, MalformedError):
        return {}


def pause_s(requeues: int) -> float:
    """Return how many seconds to hold a request before it is requeued once more.

    `requeues` is how often it was requeued before: 0 s for none, then 0.04 s, doubling up to 1 s,
    since the workers that have its model may be busy.
    """
    return min(_FIRST_PAUSE_S * 2**requeues, _MAX_PAUSE_S) if requeues else 0.0


def should_requeue(delivery: Delivery, reply: bytes, published: Container[str]) -> bool:
    """Return whether a worker refused a request because it lacks a published model.

    A model that is not published is on no worker. An entry that has ended a worker is not requeued,
    since requeueing would reset its attempts. `MAX_REQUEUES` limits the requeues of an entry.
    """
    if delivery.attempt > 1 or delivery.requeues >= MAX_REQUEUES or not is_refusal(reply):
        return False
    try:
        header = Envelope.from_bytes(reply, max_body_bytes=0).header
        if not isinstance(header, RefusalHeader) or header.code is not RefusalCode.UNKNOWN_MODEL:
            return False
        request = Envelope.from_bytes(
            delivery.envelope, max_body_bytes=MAX_FRAME_BYTES
        ).request_header
    except MalformedError:
        return False
    return request.model_digest in published


@dataclass(slots=True)
class _Held:
    delivery: Delivery
    since_s: float


class DeliveryTracker:
    """The entries that one consumer has claimed and not yet acknowledged.

    The thread that feeds the worker and the one that reads from it may share it.
    """

    def __init__(
        self,
        consumer: StreamConsumer,
        config: EngineConfig,
        router: RequestRouter,
    ) -> None:
        self._consumer = consumer
        self._config = config
        self._router = router
        self._changed = threading.Condition()
        self._held: dict[int, _Held] = {}
        self._held_bytes = 0
        self._waiting: deque[Delivery] = deque()
        self._unsaved: Answers = []
        self._requeueing: list[Delivery] = []
        self._next_slot = 0
        self._refreshed_s = 0.0
        self._recovered = False
        self.published: Container[str] = ()
        """Digests of the published models. The worker pool sets it when it reads the directory."""
        self.owner: str | None = None
        """The owner whose models the worker has."""
        self.served = 0
        self.metrics = EngineMetrics()

    @property
    def in_work(self) -> int:
        """The number of unacknowledged entries."""
        with self._changed:
            waiting = len(self._waiting) + len(self._unsaved) + len(self._requeueing)
            return len(self._held) + waiting

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until the worker has room for more entries; return whether it has.

        It has room once a quarter of its window is free, so that entries are not claimed one by
        one. A retried entry needs a worker without other entries.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._room() > 0, timeout_s)

    def next_batch(self, wait_ms: int) -> list[tuple[int, bytes]]:
        """Return the next envelopes for the worker, as (slot, envelope); the list may be empty.

        `accept_replies` takes the worker's reply to each slot. Until then the entry is in work. If
        this process ends, the broker delivers it to another one. Spec: queue.md, section 4.

        The list is the first of these:

        1. empty, if the worker has no room (see `wait_for_room`);
        2. one retried entry, which runs alone, because it may have ended a worker before;
        3. entries that this tracker has claimed already, such as those that did not fit;
        4. new entries of the broker, or of the router once models have several owners; either waits
           up to `wait_ms` milliseconds for the first one.

        Entries over `max_attempts` are dead-lettered, and too large ones refused; they are not in
        the list.

        Raises: UnavailableError when the broker does not answer.
        """
        self._refresh_claims()
        with self._changed:
            room = self._room()
            if room == 0:
                return []
            waiting = self._next_waiting(room)
        if not waiting:
            waiting = self._claim(room, wait_ms)
        return self._hold(waiting)

    def accept_replies(self, replies: Iterable[tuple[int, bytes]]) -> None:
        """Store the worker's replies, given by slot.

        Replies that cannot be stored are kept for `flush`. Requests for which `should_requeue`
        holds are requeued instead, after `pause_s`.
        """
        now_s = time.monotonic()
        with self._changed:
            answers, to_requeue = [], []
            for slot, reply in replies:
                held = self._held.pop(slot, None)
                if held is not None:
                    self.metrics.record_answer(reply, now_s - held.since_s)
                    if should_requeue(held.delivery, reply, self.published):
                        to_requeue.append(held.delivery)
                        continue
                    self._held_bytes -= len(held.delivery.envelope)
                    answers.append((held.delivery, reply))
            self._unsaved += answers
            self._requeueing += to_requeue
            self._changed.notify_all()
        self.flush()
        for delivery in to_requeue:
            self._requeue_after(delivery, pause_s(delivery.requeues))

    def _requeue_after(self, delivery: Delivery, after_s: float) -> None:
        """Requeue an entry after `after_s`; repeat every second while the broker is unavailable."""
        if after_s:
            # A timer, because the feeding thread may be blocked in a claim.
            timer = threading.Timer(after_s, self._requeue_after, (delivery, 0.0))
            timer.daemon = True
            timer.start()
            return
        try:
            self._consumer.requeue(delivery)
        except UnavailableError as error:
            _log.warning("a request cannot be requeued", error=str(error))
            self._requeue_after(delivery, _RETRY_S)
            return
        with self._changed:
            self._requeueing.remove(delivery)
            self._held_bytes -= len(delivery.envelope)
            self._changed.notify_all()

    def flush(self) -> None:
        """Store the answers that are not stored yet; keep them if the broker is unavailable."""
        with self._changed:
            answers, self._unsaved = self._unsaved, []
        if not answers:
            return
        try:
            self._consumer.answer(answers)
            self.served += len(answers)
        except UnavailableError as error:
            _log.warning("answers wait for the broker", answers=len(answers), error=str(error))
            with self._changed:
                self._unsaved = answers + self._unsaved

    def _claim(self, room: int, wait_ms: int) -> list[Delivery]:
        if not self._router.divided:
            found = self._consumer.claim(room, wait_ms)
            return self._sort(found)
        found = self._router.take(self.owner, room, wait_ms / 1000)
        with self._changed:
            if found and found[0].attempt > 1 and self._held:
                self._waiting.extend(found)
                return []
        return found

    def _sort(self, found: list[Delivery]) -> list[Delivery]:
        taken, refused = self._router.sort(self.owner, found)
        for delivery, code in refused:
            self._refuse(delivery, code)
        return taken

    @property
    def requested(self) -> frozenset[str | None]:
        """The digests of the models of the worker's requests."""
        with self._changed:
            held = [each.delivery for each in self._held.values()]
        return frozenset(map(requested_digest, held))

    def give_back(self) -> None:
        """Have what waits for this worker go to any process of its owner."""
        with self._changed:
            waiting, self._waiting = list(self._waiting), deque()
        for delivery, code in self._router.put(waiting):
            self._refuse(delivery, code)

    def worker_ended(self) -> None:
        """Queue the worker's entries for a retry, each alone and with its attempt raised by one.

        An entry that was alone has ended the worker, so it gets no other try. Spec: queue.md, 4.5.
        """
        with self._changed:
            alone = [self._tried(held.delivery) for held in self._held.values()]
            self._held.clear()
            self._held_bytes = sum(len(each.envelope) for each in self._requeueing)
            self._waiting.extend(alone)
        if alone:
            _log.warning("a worker ended with requests in flight", requests=len(alone))

    def _tried(self, delivery: Delivery) -> Delivery:
        least = self._config.max_attempts if delivery.attempt > 1 else 1
        return replace(delivery, attempt=max(delivery.attempt, least) + 1)

    def _room(self) -> int:
        first = self._waiting[0] if self._waiting else None
        alone = first is not None and first.attempt > 1
        if alone or any(each.delivery.attempt > 1 for each in self._held.values()):
            return 0 if self._held else 1
        if first is not None and not self._fits(first):
            return 0
        room = self._config.window - len(self._held) - len(self._requeueing)
        return room if room >= max(1, self._config.window // 4) else 0

    def _fits(self, delivery: Delivery) -> bool:
        return not self._held or self._held_bytes + len(delivery.envelope) <= MAX_BATCH_BYTES

    def _next_waiting(self, count: int) -> list[Delivery]:
        """Remove and return the next entry if it is a retry, else up to `count` that are not."""
        if self._waiting and self._waiting[0].attempt > 1:
            return [self._waiting.popleft()]
        found: list[Delivery] = []
        while self._waiting and self._waiting[0].attempt == 1 and len(found) < count:
            found.append(self._waiting.popleft())
        return found

    def _hold(self, deliveries: list[Delivery]) -> list[tuple[int, bytes]]:
        items = []
        late: list[Delivery] = []
        for delivery in deliveries:
            if delivery.attempt > self._config.max_attempts:
                self._dead_letter(delivery)
                continue
            if len(delivery.envelope) > MAX_BATCH_BYTES:
                self._refuse(delivery, RefusalCode.TOO_LARGE)
                continue
            with self._changed:
                if late or not self._fits(delivery):
                    late.append(delivery)
                    continue
                slot, self._next_slot = self._next_slot, self._next_slot + 1
                self._held[slot] = _Held(delivery, time.monotonic())
                self._held_bytes += len(delivery.envelope)
            items.append((slot, delivery.envelope))
        with self._changed:
            self._waiting.extendleft(reversed(late))
        if items:
            self.metrics.record_batch(len(items))
        return items

    def _dead_letter(self, delivery: Delivery) -> None:
        refusal = encode_refusal(RefusalCode.UNDELIVERABLE, None)
        try:
            header = Envelope.from_bytes(
                delivery.envelope, max_body_bytes=MAX_FRAME_BYTES
            ).request_header
            refusal = encode_refusal(RefusalCode.UNDELIVERABLE, header.request_id)
        except MalformedError:
            pass
        _log.error(
            "dead-lettered: no worker survived the request", entry=delivery.entry_id.decode()
        )
        try:
            self._consumer.dead_letter(delivery, refusal)
        except UnavailableError:
            with self._changed:
                self._waiting.append(delivery)
            raise

    def _refuse(self, delivery: Delivery, code: RefusalCode) -> None:
        with self._changed:
            self._unsaved.append((delivery, encode_refusal(code, None)))
        self.flush()

    def _refresh_claims(self) -> None:
        """Every third of `stale_after_s`: reset the idle time of own entries, claim abandoned ones.

        The first time, entries of an earlier process with this consumer name are claimed, too.
        """
        now_s = time.monotonic()
        period_s = self._config.stale_after_s / 3
        if now_s - self._refreshed_s < period_s:
            return
        self._refreshed_s = now_s
        self.flush()
        with self._changed:
            unacknowledged = [held.delivery for held in self._held.values()]
            unacknowledged += [
                *self._requeueing,
                *self._waiting,
                *(delivery for delivery, _ in self._unsaved),
            ]
        mine = [delivery.entry_id for delivery in unacknowledged]
        self._consumer.touch(mine)
        stale_ms = int(self._config.stale_after_s * 1000)
        abandoned = self._consumer.claim_stale(stale_ms, self._config.window)
        if not self._recovered:
            abandoned += self._consumer.recover()
            self._recovered = True
        mine_now = self._sort([each for each in abandoned if each.entry_id not in mine])
        with self._changed:
            self._waiting.extend(mine_now)
        if abandoned:
            _log.warning("claimed the requests of an ended engine", requests=len(abandoned))
