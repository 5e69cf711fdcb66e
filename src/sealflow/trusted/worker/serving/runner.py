"""Worker: runs batches, seals each reply, and signs receipts.

Spec: content.md, section 7; receipt.md.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sealflow.documents.receipt import (
    Receipt,
    SignedReceipt,
    receipt_bytes,
    receipt_parts,
    salted_digest,
)
from sealflow.errors import InvalidInputError, MalformedError, ModelError
from sealflow.openinfer.binary import encode_response
from sealflow.openinfer.messages import InferResponse
from sealflow.seal.chunked import chunked_length
from sealflow.seal.content import (
    ERROR_BYTES,
    ContentKind,
    content_parts,
    error_parts,
    lengthen,
    padded_length,
)
from sealflow.wire.frames import MAX_BATCH_BYTES, FrameKind, encode_batch, split_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.port import FramePort
    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.batching import BatchQueue, Job
    from sealflow.trusted.worker.serving.tenants import TenantLedger


MAX_OUTPUT_BYTES: Final = MAX_BATCH_BYTES
"""Limit of the outputs of a request that is run in slices; no reply can be larger."""
_GATHER_S: Final = 0.005
"""How long the answer to a batch waits for the next batches; it changes no answer."""
NO_MEMORY: Final = (
    "the worker has too little memory for this request: send fewer rows or smaller inputs"
)


def add_receipt(
    call: IncomingCall,
    model_digest: str,
    parts: Sequence[bytes | memoryview],
    *,
    identity: EnclaveIdentity,
    at_ms: int,
    length: int = 0,
) -> Sequence[bytes | memoryview]:
    """Return the parts of a reply, with a signed receipt if the request asked for one.

    It is as long without a receipt as with one. `parts`, `length`: of the reply's content, and the
    least bytes that it is to have. `at_ms`: the time in the receipt, in Unix ms.
    """
    room = receipt_bytes(identity.deployment.name, call.header.model)
    salt, content = call.receipt_salt, call.content
    if salt is None or content is None:
        return lengthen(parts, max(length, sum(map(len, parts))) + room)
    parts = lengthen(parts, length)
    header, deployment = call.header, identity.deployment
    request = [*content_parts(content.kind, bytes(content.text)), content.binary]
    receipt = Receipt(
        deployment=deployment.name,
        manifest_digest=deployment.digest,
        instance=identity.instance,
        key_id=header.key_id,
        request_id=header.request_id,
        model=header.model,
        model_digest=model_digest,
        request_digest=salted_digest(call.domain, "request", salt, request),
        reply_digest=salted_digest(call.domain, "reply", salt, parts),
        at_ms=at_ms,
    )
    signed = SignedReceipt.sign(receipt, identity.signing, call.domain)
    return receipt_parts(parts, signed, identity.signing.public_key().public_bytes_raw(), room)


class ReplySender:
    """Seals replies with this worker's instance id and sends them; thread-safe."""

    def __init__(self, port: FramePort, clock: EnclaveClock, identity: EnclaveIdentity) -> None:
        self._port = port
        self._clock = clock
        self._identity = identity
        self.deployment = identity.deployment.name

    def send(self, answers: Sequence[tuple[int, bytes]]) -> None:
        """Send envelopes, each with its slot, in as few REPLIES frames as hold them."""
        for part in split_batch(answers):
            self._port.send(FrameKind.REPLIES, encode_batch(self._clock.now_ms, part))

    def seal(
        self,
        call: IncomingCall,
        model: ServedModel,
        parts: Sequence[bytes | memoryview],
        length: int = 0,
    ) -> bytes:
        """Return the sealed reply to a call, with a receipt if the request asked for one.

        A call has one reply only, which may be an error. `length`: the least bytes of `parts`.
        """
        identity, at_ms = self._identity, self._clock.now_ms
        with_receipt = add_receipt(
            call, model.digest, parts, identity=identity, at_ms=at_ms, length=length
        )
        return call.seal_reply(with_receipt, model_digest=model.digest, instance=identity.instance)

    def seal_error(self, call: IncomingCall, model: ServedModel, code: str, message: str) -> bytes:
        """Return a sealed error as the reply to a call, as long as any other of the model."""
        length = max(ERROR_BYTES, model.manifest.reply_bytes)
        return self.seal(call, model, error_parts(code, message), length)


class BatchRunner:
    """Takes batches from the queue, runs them and sends the replies. Not thread-safe.

    `max_body_bytes`: limit of a reply's sealed body; an error replaces a larger one.
    `tenants`: is charged for rows and CPU time.
    """

    def __init__(
        self,
        jobs: BatchQueue,
        replies: ReplySender,
        *,
        max_body_bytes: int,
        tenants: TenantLedger,
    ) -> None:
        self._jobs = jobs
        self._replies = replies
        self._tenants = tenants
        self._max_body_bytes = max_body_bytes

    def run_batches(self) -> None:
        """Answer batches until the queue is closed and empty."""
        while self.answer_next():
            pass

    def answer_next(self) -> bool:
        """Wait for a batch and answer it, and others that wait, as far as they run in 5 ms.

        Return False when the queue is closed and empty.
        """
        batch = self._jobs.take_batch()
        if batch is None:
            return False
        # Small batches of several sessions are answered in one frame: a frame costs the host more.
        answers, until_s = [], time.monotonic() + _GATHER_S
        while batch is not None:
            answers += self._answer_and_charge(batch)
            more = self._jobs and time.monotonic() < until_s
            batch = self._jobs.take_waiting() if more else None
        self._replies.send(answers)
        return True

    def _answer_and_charge(self, jobs: list[Job]) -> list[tuple[int, bytes]]:
        started = time.thread_time()
        answers = self._answer_batch(jobs)
        row_s = (time.thread_time() - started) / max(1, sum(job.rows for job in jobs))
        for job in jobs:
            self._tenants.charge(job.account, job.rows, row_s * job.rows, done=True)
        return answers

    def _answer_batch(self, jobs: list[Job]) -> list[tuple[int, bytes]]:
        names = _requested_outputs(jobs)
        results = _run_or_error(jobs, names)
        if isinstance(results, ModelError):
            if len(jobs) == 1:
                return [self._seal_error(jobs[0], results)]
            # One request may have caused the error for all, so each is run alone.
            return [answer for job in jobs for answer in self._answer_batch([job])]
        return [self._answer(job, names, arrays) for job, arrays in zip(jobs, results, strict=True)]

    def _answer(
        self, job: Job, names: Sequence[str], arrays: Sequence[NDArray[Any]]
    ) -> tuple[int, bytes]:
        try:
            return job.slot, self._seal_response(job, dict(zip(names, arrays, strict=True)))
        except ModelError as error:
            return self._seal_error(job, error)
        except MalformedError as error:
            return self._seal_error(job, ModelError(str(error)))
        except MemoryError:
            return self._seal_error(job, ModelError(NO_MEMORY))

    def _seal_response(self, job: Job, arrays: Mapping[str, NDArray[Any]]) -> bytes:
        model = job.model
        outputs = model.to_tensors(job.request, arrays)
        response = InferResponse(
            model_name=model.manifest.name,
            model_version=model.manifest.version,
            id=job.request.id,
            outputs=outputs,
        )
        parts = content_parts(ContentKind.INFER, *encode_response(response))
        content_bytes = sum(map(len, parts))
        if 0 < model.manifest.reply_bytes < content_bytes:
            message = (
                f"the reply has {content_bytes} bytes, over reply_bytes of the model, "
                f"{model.manifest.reply_bytes}"
            )
            raise ModelError(message)
        longest = content_bytes + model.spare_bytes(job.request, outputs, arrays)
        least = model.manifest.reply_bytes or longest
        room = receipt_bytes(self._replies.deployment, job.call.header.model)
        length = chunked_length(padded_length(least + room))
        if length > self._max_body_bytes:
            message = (
                f"the reply would be {length} bytes, over the limit of {self._max_body_bytes}: "
                "ask for fewer rows or outputs, or for top classes"
            )
            raise InvalidInputError(message)
        return self._replies.seal(job.call, model, parts, least)

    def _seal_error(self, job: Job, error: ModelError) -> tuple[int, bytes]:
        return job.slot, self._replies.seal_error(job.call, job.model, error.code, str(error))


def _run_or_error(
    jobs: Sequence[Job], names: Sequence[str]
) -> list[list[NDArray[Any]]] | ModelError:
    try:
        return run_batch(jobs, names)
    except ModelError as error:
        # A new error, as the traceback of the caught one refers to the arrays of the batch.
        return type(error)(str(error))


def _requested_outputs(jobs: Sequence[Job]) -> list[str]:
    """Return the names of the outputs that any job requests; a job that names none requests all."""
    if all(job.request.outputs for job in jobs):
        requested = (output.name for job in jobs for output in job.request.outputs)
        return list(dict.fromkeys(requested))
    return [spec.name for spec in jobs[0].model.manifest.outputs]


def run_batch(jobs: Sequence[Job], outputs: Sequence[str]) -> list[list[NDArray[Any]]]:
    """Run jobs of one group together and return, for each job, its own rows of the outputs.

    Rows over the model's `max_rows` are run in slices, which only a single large job needs.

    Raises: ModelError when the runtime fails, the outputs do not have the batch's rows, or the
    memory does not suffice; InvalidInputError when the outputs of a job that is run in slices are
    over `MAX_OUTPUT_BYTES`.
    """
    try:
        return _run_jobs(jobs, outputs)
    except MemoryError as error:
        raise ModelError(NO_MEMORY) from error


def _run_jobs(jobs: Sequence[Job], outputs: Sequence[str]) -> list[list[NDArray[Any]]]:
    model = jobs[0].model
    if not model.batched:
        return [model.run(job.inputs, outputs) for job in jobs]
    if len(jobs) == 1 and jobs[0].rows <= model.max_rows:
        return [_check_rows(model.run(jobs[0].inputs, outputs), outputs, jobs[0].rows)]
    names = list(jobs[0].inputs)
    joined = {name: _concatenate([job.inputs[name] for job in jobs]) for name in names}
    rows = sum(job.rows for job in jobs)
    slices: list[list[NDArray[Any]]] = []
    held_bytes = 0
    known_bytes = rows * _row_bytes(model, outputs)
    for start in range(0, rows, model.max_rows):
        # Checked after the first slice: a request that fits one batch is never refused here.
        if start and max(held_bytes, known_bytes) > MAX_OUTPUT_BYTES:
            msg = (
                f"the outputs of the request are over {MAX_OUTPUT_BYTES} bytes: "
                "ask for fewer rows or outputs"
            )
            raise InvalidInputError(msg)
        stop = min(rows, start + model.max_rows)
        batch = {name: array[start:stop] for name, array in joined.items()}
        slices.append(_check_rows(model.run(batch, outputs), outputs, stop - start))
        held_bytes += sum(array.nbytes for array in slices[-1])
    whole = [_concatenate(list(parts)) for parts in zip(*slices, strict=True)]
    return [[array[span] for array in whole] for span in _row_slices(jobs)]


def _row_bytes(model: ServedModel, outputs: Sequence[str]) -> int:
    """Return the bytes of one row of those outputs whose sizes the manifest fixes."""
    return sum(
        math.prod(spec.shape[1:]) * (spec.datatype.size or 0)
        for spec in model.manifest.outputs
        if spec.name in outputs and -1 not in spec.shape[1:]
    )


def _concatenate(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _check_rows(arrays: list[NDArray[Any]], names: Sequence[str], rows: int) -> list[NDArray[Any]]:
    for name, array in zip(names, arrays, strict=True):
        if array.shape[:1] != (rows,):
            msg = f"output {name}: shape {list(array.shape)} for a batch of {rows} rows"
            raise ModelError(msg)
    return arrays


def _row_slices(jobs: Sequence[Job]) -> Iterator[slice]:
    start = 0
    for job in jobs:
        yield slice(start, start + job.rows)
        start += job.rows
