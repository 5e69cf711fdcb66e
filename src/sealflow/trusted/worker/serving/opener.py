"""Worker: checks and opens envelopes, and prepares the inputs of their requests.

Only its thread uses the private keys. The order of the checks is that of exchange.md, 6.4. A
failure before the request is opened is answered with a refusal in clear, a later one with a sealed
error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.documents.tenant_usage import parse_order_text
from sealflow.errors import (
    EnvelopeTooLargeError,
    InvalidInputError,
    MalformedError,
    ModelError,
    OpenError,
    RefusalCode,
    RefusedError,
)
from sealflow.openinfer.binary import decode_request
from sealflow.seal.content import ContentKind
from sealflow.seal.exchange import IncomingCall, open_request
from sealflow.trusted.worker.serving.arrivals import EnvelopeBatch, ServingUpdate
from sealflow.trusted.worker.serving.keyring import Keyring
from sealflow.trusted.worker.serving.preparation_queue import PreparationQueue
from sealflow.trusted.worker.serving.runner import NO_MEMORY
from sealflow.wire.envelope import Envelope, encode_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.arrivals import ArrivalQueue, ClockTick
    from sealflow.trusted.worker.serving.batching import BatchQueue
    from sealflow.trusted.worker.serving.keyring import HeldKey
    from sealflow.trusted.worker.serving.runner import ReplySender
    from sealflow.trusted.worker.serving.tenants import TenantLedger
    from sealflow.wire.envelope import RequestHeader
    from sealflow.wire.ids import ModelRef, RequestId


class RequestOpener:
    """Opens arrived requests and adds them to the jobs. Not thread-safe.

    It refuses all requests until the first `ServingUpdate` brings keys and models.

    `max_ahead_ms`: how far ahead of the worker's clock a deadline may lie. It bounds how long a
    request id is remembered.

    `make_room`: called while there is no room for another job, to run some; None waits for another
    thread to take them.
    """

    def __init__(  # noqa: PLR0913 - it connects most parts of the worker
        self,
        arrivals: ArrivalQueue,
        jobs: BatchQueue,
        replies: ReplySender,
        clock: EnclaveClock,
        *,
        max_body_bytes: int,
        replay_capacity: int,
        max_ahead_ms: int,
        tenants: TenantLedger,
        make_room: Callable[[], object] | None = None,
    ) -> None:
        self._arrivals = arrivals
        self._jobs = jobs
        self._replies = replies
        self._clock = clock
        self._unprepared = PreparationQueue(jobs, replies, clock, tenants, make_room)
        self._max_body_bytes = max_body_bytes
        self._max_ahead_ms = max_ahead_ms
        self._tenants = tenants
        self._keys = Keyring(replay_capacity)
        self._models: Mapping[ModelRef, ServedModel] = {}

    def open_requests(self) -> None:
        """Handle arrivals until their queue is closed, then close the queue of jobs."""
        while self.handle_next():
            pass
        self._jobs.close()

    def handle_next(self) -> bool:
        """Handle the next arrival and prepare a piece of a request; return False at the end.

        Waits for an arrival only if no request is left to prepare.
        """
        if self._arrivals.waiting or not self._unprepared:
            message = self._arrivals.next()
            if message is None:
                self._unprepared.finish()
                return False
            self.handle(message)
        if self._unprepared:
            self._unprepared.prepare_piece()
        return True

    def handle(self, message: EnvelopeBatch | ServingUpdate | ClockTick) -> None:
        """Apply an update or a tick, or open the requests of a batch and add them to the jobs."""
        if isinstance(message, ServingUpdate):
            self._keys.replace(message.keys, message.lease_ms, message.use)
            self._models = message.models
            self._tenants.revoked = message.revoked_tokens
        self._keys.expire(self._clock.now_ms)
        if not self._keys:
            self._models = {}
        if isinstance(message, EnvelopeBatch):
            self._open_batch(message)

    def _open_batch(self, envelopes: EnvelopeBatch) -> None:
        now_ms = self._clock.now_ms
        answers = []
        for slot, data in envelopes.items:
            answer = self._refusal_or_job(slot, data, now_ms)
            if answer is not None:
                answers.append((slot, answer))
        if answers:
            self._replies.send(answers)

    def _refusal_or_job(self, slot: int, data: memoryview, now_ms: int) -> bytes | None:
        """Return a refusal or a sealed error, or None after the request was added to the jobs."""
        request_id: RequestId | None = None
        try:
            envelope = Envelope.from_bytes(data, max_body_bytes=self._max_body_bytes)
            header = envelope.request_header
            request_id = header.request_id
            held, model = self._admit(envelope, header, now_ms)
            call = open_request(envelope, held.key.private_key, self._keys.secrets)
            held.seen.remember(request_id, header.deadline_ms)
            self._keys.count(len(data))
        except EnvelopeTooLargeError:
            code = RefusalCode.TOO_LARGE
        except MalformedError:
            code = RefusalCode.MALFORMED
        except OpenError:
            code = RefusalCode.NOT_OPENED
        except RefusedError as error:
            code = error.code
        except MemoryError:
            code = RefusalCode.OVERLOADED
        else:
            return self._error_or_job(slot, call, model, len(data))
        return encode_refusal(code, request_id)

    def _admit(
        self, envelope: Envelope, header: RequestHeader, now_ms: int
    ) -> tuple[HeldKey, ServedModel]:
        held = self._keys.get(header.key_id)
        if held is None:
            raise RefusedError(RefusalCode.UNKNOWN_KEY if self._keys else RefusalCode.UNAVAILABLE)
        if envelope.suite != held.key.private_key.suite:
            raise OpenError
        model = self._models.get(header.model)
        if model is None or model.digest != header.model_digest:
            raise RefusedError(RefusalCode.UNKNOWN_MODEL)
        if now_ms > header.deadline_ms:
            raise RefusedError(RefusalCode.EXPIRED)
        if header.deadline_ms > now_ms + self._max_ahead_ms:
            raise RefusedError(RefusalCode.DEADLINE_FAR)
        held.seen.check(header.request_id, now_ms)
        return held, model

    def _error_or_job(
        self, slot: int, call: IncomingCall, model: ServedModel, size: int
    ) -> bytes | None:
        try:
            content = call.read()
            if content.kind is ContentKind.USAGE:
                record = self._tenants.report(parse_order_text(content), self._clock.now_ms)
                return self._replies.seal(call, model, record.parts())
            if content.kind is not ContentKind.INFER:
                msg = f"the request's content is {content.kind.name}, not INFER"
                raise InvalidInputError(msg)
            request = decode_request(content.text, content.binary)
            account = self._tenants.admit(request.parameters, size, self._clock.now_ms)
        except MalformedError as error:
            return self._replies.seal_error(call, model, InvalidInputError.code, str(error))
        except ModelError as error:
            return self._replies.seal_error(call, model, error.code, str(error))
        except MemoryError:
            return self._replies.seal_error(call, model, ModelError.code, NO_MEMORY)
        return self._unprepared.add(slot, call, request, model, account)
