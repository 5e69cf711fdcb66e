"""Host, engine: entries between the queue and one worker, from claim to acknowledgement.

An entry is unacknowledged until its answer is stored. When a worker ends, what it held is handed to
the next one entry by entry, so that one that ends workers is found out and dead-lettered.

In a pool whose workers differ, or that is loading a new model, some have what others lack: refusals
of a model may be requeued. Spec: queue.md, 4.11.
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
from sealflow.wire.envelope import Envelope, RefusalHeader, encode_refusal
from sealflow.wire.frames import MAX_BATCH_BYTES, MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from sealflow.host.broker.redis_streams import Delivery, RedisStreams
    from sealflow.host.engine.config import EngineConfig


MAX_HOPS: Final = 8
_FIRST_PAUSE_S: Final = 0.02
_MAX_PAUSE_S: Final = 1.0
_log = structlog.get_logger()

_MAX_RECALLED: Final = 10_000
_AGAIN_S: Final = 1.0

Answers = list[tuple["Delivery", bytes]]


def published_models(document: bytes) -> frozenset[str]:
    """Read the digests of all models from a published directory, which nobody here can verify."""
    try:
        payload = json.loads(b64decode(json.loads(document)["directory"]["payload"]))
        return frozenset(str(each["digest"]) for each in payload["models"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def pause_s(requeues: int) -> float:
    """How long to keep a request before its next pass: those that have the model may be busy."""
    return min(_FIRST_PAUSE_S * 2**requeues, _MAX_PAUSE_S) if requeues else 0.0


def should_requeue(delivery: Delivery, reply: bytes, published: AbstractSet[str]) -> bool:
    """Say whether a worker's answer is only that it does not have a model that others may have.

    A model that is not published is nowhere. An entry that a worker ended with stays where its
    tries are counted.
    """
    if delivery.attempt > 1 or delivery.requeues >= MAX_HOPS or not is_refusal(reply):
        return False
    try:
        header = Envelope.from_bytes(reply, max_body_bytes=0).header
        if not isinstance(header, RefusalHeader) or header.code is not RefusalCode.UNKNOWN_MODEL:
            return False
        asked = Envelope.from_bytes(
            delivery.envelope, max_body_bytes=MAX_FRAME_BYTES
        ).request_header
    except MalformedError:
        return False
    return asked.model_digest in published


@dataclass(slots=True)
class _Held:
    delivery: Delivery
    since_s: float


class DeliveryTracker:
    """What one consumer of the request stream owes. Safe between a feeding and a reading thread."""

    def __init__(
        self, broker: RedisStreams, stream: str, consumer: str, config: EngineConfig
    ) -> None:
        """Consume `stream` as `consumer`."""
        self._broker = broker
        self._stream = stream
        self._consumer = consumer
        self._config = config
        self._changed = threading.Condition()
        self._held: dict[int, _Held] = {}
        self._held_bytes = 0
        self._waiting: deque[Delivery] = deque()
        self._unsaved: Answers = []
        self._onward: list[Delivery] = []
        self._next_slot = 0
        self._tended_s = 0.0
        self._recalled = False
        self.published: AbstractSet[str] = frozenset()
        """Digests of the models that some worker may have; whoever reads the directory sets it."""
        self.served = 0
        self.metrics = EngineMetrics()

    @property
    def in_work(self) -> int:
        """How many entries are unacknowledged."""
        with self._changed:
            waiting = len(self._waiting) + len(self._unsaved) + len(self._onward)
            return len(self._held) + waiting

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until the worker should be given more; says whether it should.

        More is fetched by the quarter window, so that a busy queue is not asked entry by entry.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._room() > 0, timeout_s)

    def next_batch(self, wait_ms: int) -> list[tuple[int, bytes]]:
        """Return entries by slot for the worker: what waits here, suspects alone, else new ones.

        Raises: UnavailableError.
        """
        self._refresh_claims()
        with self._changed:
            room = self._room()
            if room == 0:
                return []
            waiting = self._next_waiting(room)
        if not waiting:
            waiting = self._broker.claim(self._stream, self._consumer, room, wait_ms)
        return self._hold(waiting)

    def accept_replies(self, replies: Iterable[tuple[int, bytes]]) -> None:
        """Store the worker's replies by slot; what cannot be stored now is kept for later.

        What only this worker does not know goes on to another.
        """
        now_s = time.monotonic()
        with self._changed:
            answers, onward = [], []
            for slot, reply in replies:
                held = self._held.pop(slot, None)
                if held is not None:
                    self.metrics.note_answer(reply, now_s - held.since_s)
                    if should_requeue(held.delivery, reply, self.published):
                        onward.append(held.delivery)
                        continue
                    self._held_bytes -= len(held.delivery.envelope)
                    answers.append((held.delivery, reply))
            self._unsaved += answers
            self._onward += onward
            self._changed.notify_all()
        self.flush()
        for delivery in onward:
            self._requeue_after(delivery, pause_s(delivery.requeues))

    def _requeue_after(self, delivery: Delivery, after_s: float) -> None:
        """Pass an entry on, now or later."""
        if after_s:
            # Whoever feeds the worker may wait for the broker meanwhile.
            timer = threading.Timer(after_s, self._requeue_after, (delivery, 0.0))
            timer.daemon = True
            timer.start()
            return
        try:
            self._broker.requeue(self._stream, delivery)
        except UnavailableError as error:
            _log.warning("a request cannot be requeued", error=str(error))
            self._requeue_after(delivery, _AGAIN_S)
            return
        with self._changed:
            self._onward.remove(delivery)
            self._held_bytes -= len(delivery.envelope)
            self._changed.notify_all()

    def flush(self) -> None:
        """Store the answers that are not stored yet, if the broker is there."""
        with self._changed:
            answers, self._unsaved = self._unsaved, []
        if not answers:
            return
        try:
            self._broker.answer(self._stream, answers)
            self.served += len(answers)
        except UnavailableError as error:
            _log.warning("answers wait for the broker", answers=len(answers), error=str(error))
            with self._changed:
                self._unsaved = answers + self._unsaved

    def worker_ended(self) -> None:
        """Take back what the worker held; each entry is tried alone from now on."""
        with self._changed:
            alone = [replace(held.delivery, attempt=held.delivery.attempt + 1) for held in
                        self._held.values()]  # fmt: skip
            self._held.clear()
            self._held_bytes = sum(len(each.envelope) for each in self._onward)
            self._waiting.extend(alone)
        if alone:
            _log.warning("a worker ended with requests in flight", requests=len(alone))

    def _room(self) -> int:
        first = self._waiting[0] if self._waiting else None
        alone = first is not None and first.attempt > 1
        if alone or any(each.delivery.attempt > 1 for each in self._held.values()):
            return 0 if self._held else 1
        if first is not None and not self._fits(first):
            return 0
        room = self._config.window - len(self._held) - len(self._onward)
        return room if room >= max(1, self._config.window // 4) else 0

    def _fits(self, delivery: Delivery) -> bool:
        return not self._held or self._held_bytes + len(delivery.envelope) <= MAX_BATCH_BYTES

    def _next_waiting(self, count: int) -> list[Delivery]:
        """Take out the next entry if it is a suspect, else up to `count` that are none."""
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
            self.metrics.note_batch(len(items))
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
        _log.error("dead-lettered: no worker survived it", entry=delivery.entry_id.decode())
        try:
            self._broker.dead_letter(self._stream, delivery, refusal)
        except UnavailableError:
            with self._changed:
                self._waiting.append(delivery)
            raise

    def _refuse(self, delivery: Delivery, code: RefusalCode) -> None:
        with self._changed:
            self._unsaved.append((delivery, encode_refusal(code, None)))
        self.flush()

    def _refresh_claims(self) -> None:
        """Now and then: keep own entries from looking abandoned, take over those of the dead."""
        now_s = time.monotonic()
        period_s = self._config.stale_after_s / 3
        if now_s - self._tended_s < period_s:
            return
        self._tended_s = now_s
        self.flush()
        with self._changed:
            unacknowledged = [held.delivery for held in self._held.values()]
            unacknowledged += [
                *self._onward,
                *self._waiting,
                *(delivery for delivery, _ in self._unsaved),
            ]
        mine = [delivery.entry_id for delivery in unacknowledged]
        self._broker.touch(self._stream, self._consumer, mine)
        stale_ms = int(self._config.stale_after_s * 1000)
        abandoned = self._broker.claim_stale(
            self._stream, self._consumer, stale_ms, self._config.window
        )
        if not self._recalled:
            # What an earlier process of this name had not acknowledged when it ended.
            abandoned += self._broker.claim_stale(
                self._stream, self._consumer, 0, _MAX_RECALLED, of=self._consumer
            )
            self._recalled = True
        with self._changed:
            self._waiting.extend(each for each in abandoned if each.entry_id not in mine)
        if abandoned:
            _log.warning("took over requests of a dead engine", requests=len(abandoned))
