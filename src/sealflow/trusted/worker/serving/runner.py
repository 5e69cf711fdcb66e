"""Worker: run batches, seal each reply, sign receipts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sealflow.documents.receipt import (
    MAX_RECEIPT_BYTES,
    Receipt,
    SignedReceipt,
    receipt_parts,
    salted_digest,
)
from sealflow.errors import InvalidInputError, MalformedError, ModelError
from sealflow.openinfer.binary import encode_response
from sealflow.openinfer.messages import InferResponse
from sealflow.seal.chunked import chunked_length
from sealflow.seal.content import ContentKind, content_parts, error_parts, padded_length
from sealflow.wire.frames import MAX_BATCH_BYTES, FrameKind, encode_batch, split_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.identity.identity import EnclaveIdentity
    from sealflow.trusted.port import FramePort
    from sealflow.trusted.worker.models.loader import ServedModel
    from sealflow.trusted.worker.serving.arrivals import HostClock
    from sealflow.trusted.worker.serving.batching import BatchQueue, Job


MAX_OUTPUT_BYTES: Final = MAX_BATCH_BYTES
"""What a request's slices may give together; no reply can hold more."""
NO_MEMORY: Final = "the worker has too little memory for it: send fewer rows or smaller inputs"


def add_receipt(
    call: IncomingCall,
    model_digest: str,
    parts: Sequence[bytes | memoryview],
    *,
    identity: EnclaveIdentity,
    at_ms: int,
) -> Sequence[bytes | memoryview]:
    """Return the reply with its receipt when the request asked for one, else as it is."""
    salt = call.receipt_salt
    if salt is None:
        return parts
    header, deployment, content = call.header, identity.deployment, call.content
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
    return receipt_parts(parts, SignedReceipt.sign(receipt, identity.signing, call.domain))


class ReplySender:
    """Seals replies under this worker's name and sends them. For any thread."""

    def __init__(self, port: FramePort, clock: HostClock, identity: EnclaveIdentity) -> None:
        """Take the way out and the worker in whose name replies go."""
        self._port = port
        self._clock = clock
        self._identity = identity

    def send(self, answers: Sequence[tuple[int, bytes]]) -> None:
        """Send envelopes by slot, in one frame if they fit."""
        for part in split_batch(answers):
            self._port.send(FrameKind.REPLIES, encode_batch(self._clock.now_ms, part))

    def seal(
        self, call: IncomingCall, model: ServedModel, parts: Sequence[bytes | memoryview]
    ) -> bytes:
        """Seal the one reply of a call, with a receipt if it asked for one."""
        identity, at_ms = self._identity, self._clock.now_ms
        whole = add_receipt(call, model.digest, parts, identity=identity, at_ms=at_ms)
        return call.seal_reply(whole, model_digest=model.digest, instance=identity.instance)

    def seal_error(self, call: IncomingCall, model: ServedModel, code: str, message: str) -> bytes:
        """Seal why there is no answer."""
        return self.seal(call, model, error_parts(code, message))


class BatchRunner:
    """Takes batches of jobs until there are none."""

    def __init__(self, jobs: BatchQueue, replies: ReplySender, *, max_body_bytes: int) -> None:
        """Run models in turn; refuse replies over `max_body_bytes`, like requests of that size."""
        self._jobs = jobs
        self._replies = replies
        self._max_body_bytes = max_body_bytes

    def run_batches(self) -> None:
        """Work until the jobs are closed and done."""
        while self.answer_next():
            pass

    def answer_next(self) -> bool:
        """Answer the next batch, once there is one; False when the jobs are closed and done."""
        batch = self._jobs.take_batch()
        if batch is not None:
            self._replies.send(self._answers(batch))
        return batch is not None

    def _answers(self, jobs: list[Job]) -> list[tuple[int, bytes]]:
        names = _requested_outputs(jobs)
        results = _run_or_error(jobs, names)
        if isinstance(results, ModelError):
            if len(jobs) == 1:
                return [self._error(jobs[0], results)]
            # One of them may be to blame, so each is run alone.
            return [answer for job in jobs for answer in self._answers([job])]
        return [self._answer(job, names, arrays) for job, arrays in zip(jobs, results, strict=True)]

    def _answer(
        self, job: Job, names: Sequence[str], arrays: Sequence[NDArray[Any]]
    ) -> tuple[int, bytes]:
        try:
            return job.slot, self._sealed(job, dict(zip(names, arrays, strict=True)))
        except ModelError as error:
            return self._error(job, error)
        except MalformedError as error:
            return self._error(job, ModelError(str(error)))
        except MemoryError:
            return self._error(job, ModelError(NO_MEMORY))

    def _sealed(self, job: Job, arrays: Mapping[str, NDArray[Any]]) -> bytes:
        model = job.model
        outputs = model.to_tensors(job.request, arrays)
        response = InferResponse(
            model_name=model.manifest.name,
            model_version=model.manifest.version,
            id=job.request.id,
            outputs=outputs,
        )
        parts = content_parts(ContentKind.INFER, *encode_response(response))
        room = MAX_RECEIPT_BYTES if job.call.receipt_salt is not None else 0
        length = chunked_length(padded_length(sum(map(len, parts)) + room))
        if length > self._max_body_bytes:
            message = (
                f"the reply would be {length} bytes, over the limit of {self._max_body_bytes}: "
                "ask for fewer rows or outputs, or for top classes"
            )
            raise InvalidInputError(message)
        return self._replies.seal(job.call, model, parts)

    def _error(self, job: Job, error: ModelError) -> tuple[int, bytes]:
        return job.slot, self._replies.seal_error(job.call, job.model, error.code, str(error))


def _run_or_error(
    jobs: Sequence[Job], names: Sequence[str]
) -> list[list[NDArray[Any]]] | ModelError:
    try:
        return run_batch(jobs, names)
    except ModelError as error:
        # Another, as the caught one keeps alive all that was in memory when it was raised.
        return type(error)(str(error))


def _requested_outputs(jobs: Sequence[Job]) -> list[str]:
    """The outputs that some job asks for; who names none asks for all."""
    if all(job.request.outputs for job in jobs):
        return list(dict.fromkeys(asked.name for job in jobs for asked in job.request.outputs))
    return [spec.name for spec in jobs[0].model.manifest.outputs]


def run_batch(jobs: Sequence[Job], outputs: Sequence[str]) -> list[list[NDArray[Any]]]:
    """Run jobs of one group together and give each exactly its own rows of the outputs.

    A single job with more rows than its model's `max_rows` is run in slices.

    Raises: ModelError, also for want of memory, which then concerns all of them.
    """
    try:
        return _run(jobs, outputs)
    except MemoryError as error:
        raise ModelError(NO_MEMORY) from error


def _run(jobs: Sequence[Job], outputs: Sequence[str]) -> list[list[NDArray[Any]]]:
    model = jobs[0].model
    if not model.batched:
        return [model.run(job.inputs, outputs) for job in jobs]
    names = list(jobs[0].inputs)
    joined = {name: _joined([job.inputs[name] for job in jobs]) for name in names}
    rows = sum(job.rows for job in jobs)
    pieces: list[list[NDArray[Any]]] = []
    held_bytes = 0
    known_bytes = rows * _row_bytes(model, outputs)
    for start in range(0, rows, model.max_rows):
        # The first slice goes through whatever it gives; then all is known that can be.
        if start and max(held_bytes, known_bytes) > MAX_OUTPUT_BYTES:
            msg = f"its outputs are over {MAX_OUTPUT_BYTES} bytes: ask for fewer rows or outputs"
            raise InvalidInputError(msg)
        stop = min(rows, start + model.max_rows)
        piece = {name: array[start:stop] for name, array in joined.items()}
        pieces.append(_checked(model.run(piece, outputs), outputs, stop - start))
        held_bytes += sum(array.nbytes for array in pieces[-1])
    whole = [_joined(list(parts)) for parts in zip(*pieces, strict=True)]
    return [[array[span] for array in whole] for span in _spans(jobs)]


def _row_bytes(model: ServedModel, outputs: Sequence[str]) -> int:
    """Bytes of a row of the outputs, as far as the manifest fixes their sizes."""
    return sum(
        math.prod(spec.shape[1:]) * (spec.datatype.size or 0)
        for spec in model.manifest.outputs
        if spec.name in outputs and -1 not in spec.shape[1:]
    )


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _checked(arrays: list[NDArray[Any]], names: Sequence[str], rows: int) -> list[NDArray[Any]]:
    for name, array in zip(names, arrays, strict=True):
        if array.shape[:1] != (rows,):
            msg = f"output {name}: shape {list(array.shape)} for a batch of {rows} rows"
            raise ModelError(msg)
    return arrays


def _spans(jobs: Sequence[Job]) -> Iterator[slice]:
    start = 0
    for job in jobs:
        yield slice(start, start + job.rows)
        start += job.rows
