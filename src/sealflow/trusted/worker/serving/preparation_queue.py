"""Worker: prepares the inputs of opened requests; those with much work take turns.

A request of many images, or of large ones, is prepared in pieces. Between two pieces the worker
opens what has arrived, so that nobody waits for all of another's images.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import ModelError
from sealflow.trusted.worker.serving.batching import Job
from sealflow.trusted.worker.serving.runner import NO_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest
    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.batching import BatchQueue
    from sealflow.trusted.worker.serving.runner import ReplySender
    from sealflow.trusted.worker.serving.tenants import TenantAccount, TenantLedger

PIECE_WORK: Final = 100_000_000
"""About a tenth of a second; a single image may take longer."""
_MAX_WAITING_BYTES: Final = 256 * 2**20
_TOO_LATE: Final = (
    "the deadline passed before all images were decoded: send fewer or smaller images, "
    "or allow more time"
)


@dataclass(slots=True, kw_only=True)
class _OpenedRequest:
    slot: int
    call: IncomingCall = field(repr=False)
    request: InferRequest = field(repr=False)
    model: ServedModel
    steps: Generator[int, None, tuple[Mapping[str, NDArray[Any]], int]] = field(repr=False)
    account: TenantAccount | None
    started: bool = False

    @property
    def size(self) -> int:
        return sum(len(tensor.data) for tensor in self.request.inputs)


class PreparationQueue:
    """Turns opened requests into jobs. Not thread-safe.

    Two requests are in preparation at a time; others wait with what they brought.

    `make_room`: as of `RequestOpener`.
    """

    def __init__(
        self,
        jobs: BatchQueue,
        replies: ReplySender,
        clock: EnclaveClock,
        tenants: TenantLedger,
        make_room: Callable[[], object] | None,
    ) -> None:
        self._jobs = jobs
        self._replies = replies
        self._clock = clock
        self._tenants = tenants
        self._make_room = make_room
        self._waiting: deque[_OpenedRequest] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of requests that are not prepared yet."""
        return len(self._waiting)

    def add(
        self,
        slot: int,
        call: IncomingCall,
        request: InferRequest,
        model: ServedModel,
        account: TenantAccount | None,
    ) -> bytes | None:
        """Prepare a request, or queue it if that takes more than one piece.

        `account`: the tenant's, charged with the CPU time of each piece; None without tenants.

        Returns: a sealed error, or None.
        """
        opened = _OpenedRequest(
            slot=slot,
            call=call,
            request=request,
            model=model,
            steps=model.prepare(request),
            account=account,
        )
        while self._waiting and self._bytes + opened.size > _MAX_WAITING_BYTES:
            self.prepare_piece()
        return self._advance(opened)

    def prepare_piece(self) -> None:
        """Prepare a piece of the request whose turn it is."""
        opened = self._waiting.popleft()
        self._bytes -= opened.size
        answer = self._advance(opened)
        if answer is not None:
            self._replies.send([(opened.slot, answer)])

    def finish(self) -> None:
        """Prepare all that waits."""
        while self._waiting:
            self.prepare_piece()

    def _advance(self, opened: _OpenedRequest) -> bytes | None:
        """Prepare up to a piece; return a sealed error, or None."""
        call, model = opened.call, opened.model
        try:
            with self._tenants.charging(opened.account):
                prepared = self._prepare(opened)
        except ModelError as error:
            return self._replies.seal_error(call, model, error.code, str(error))
        except MemoryError:
            return self._replies.seal_error(call, model, ModelError.code, NO_MEMORY)
        if prepared is not None:
            self._add_job(opened, *prepared)
        return None

    def _prepare(self, opened: _OpenedRequest) -> tuple[Mapping[str, NDArray[Any]], int] | None:
        """Prepare up to a piece; return inputs and rows, or None after the rest was queued."""
        if self._clock.now_ms > opened.call.header.deadline_ms:
            raise ModelError(_TOO_LATE)
        left, place = PIECE_WORK, 1
        try:
            if not opened.started:
                opened.started = True
                # The first step only reckons the work of the others.
                left = 0 if next(opened.steps) > PIECE_WORK else PIECE_WORK
                place = len(self._waiting)
            while left > 0:
                left -= next(opened.steps)
        except StopIteration as end:
            done: tuple[Mapping[str, NDArray[Any]], int] = end.value
            return done
        self._waiting.insert(place, opened)
        self._bytes += opened.size
        return None

    def _add_job(
        self, opened: _OpenedRequest, inputs: Mapping[str, NDArray[Any]], rows: int
    ) -> None:
        job = Job(
            slot=opened.slot,
            call=opened.call,
            request=opened.request,
            model=opened.model,
            inputs=inputs,
            rows=rows,
            account=opened.account,
        )
        if self._make_room is not None:
            while self._jobs.full(job):
                self._make_room()
        self._jobs.put(job)
