"""Worker, pure but for its lock: what waits for the models, handed over in batches.

A batch is whole requests to one model whose rows have the same shapes, first come first taken, up
to the model's `max_rows`. Models take turns. Nothing waits for company unless told to.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sealflow.errors import InvalidInputError, ModelError
from sealflow.wire.frames import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest
    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.worker.models.loader import ServedModel

MAX_OUTPUT_BYTES: Final = MAX_BATCH_BYTES
"""What a request's slices may give together; no reply can hold more."""
NO_MEMORY: Final = "the worker has too little memory for it: send fewer rows or smaller inputs"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """An opened request with its inputs prepared.

    `inputs`: arrays by name, each with `rows` as its first size when the model takes batches.
    """

    slot: int
    call: IncomingCall = field(repr=False)
    request: InferRequest = field(repr=False)
    model: ServedModel
    inputs: Mapping[str, NDArray[Any]] = field(repr=False)
    rows: int

    @property
    def weight(self) -> int:
        """Bytes that the job holds while it waits."""
        return sum(array.nbytes for array in self.inputs.values())

    @property
    def group(self) -> tuple[object, ...]:
        """What jobs must share to run together."""
        if not self.model.batched:
            return (id(self),)
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(self.inputs.items()))
        return (self.model.digest, shapes)


class BatchQueue:
    """Bounded hand-over from the thread that opens requests to the one that runs models."""

    def __init__(self, *, max_jobs: int, max_bytes: int, max_wait_ms: int) -> None:
        """Hold at most so many jobs and bytes; one job is always let in."""
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_ms / 1000
        self._changed = threading.Condition()
        self._groups: OrderedDict[tuple[object, ...], deque[Job]] = OrderedDict()
        self._jobs = 0
        self._bytes = 0
        self._closed = False

    def __len__(self) -> int:
        """How many jobs wait."""
        return self._jobs

    def full(self, job: Job) -> bool:
        """Whether `put` would wait; with one thread that puts, a no stays true."""
        return self._jobs > 0 and (
            self._jobs >= self._max_jobs or self._bytes + job.weight > self._max_bytes
        )

    @property
    def batch_full(self) -> bool:
        """Whether the next batch would not grow any more by waiting."""
        with self._changed:
            return bool(self._groups) and self._full(next(iter(self._groups)))

    def put(self, job: Job) -> None:
        """Add a job, once there is room for it."""
        weight = job.weight
        with self._changed:
            while self.full(job):
                self._changed.wait()
            self._groups.setdefault(job.group, deque()).append(job)
            self._jobs += 1
            self._bytes += weight
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no job will follow."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take_batch(self) -> list[Job] | None:
        """Wait for jobs and give what makes the next batch; None when closed and empty."""
        with self._changed:
            while not self._groups:
                if self._closed:
                    return None
                self._changed.wait()
            group = next(iter(self._groups))
            if self._max_wait_s and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._full(group), self._max_wait_s)
            batch = self._pop(group)
            self._jobs -= len(batch)
            self._bytes -= sum(job.weight for job in batch)
            self._changed.notify_all()
            return batch

    def _full(self, group: tuple[object, ...]) -> bool:
        jobs = self._groups[group]
        return (
            sum(job.rows for job in jobs) >= jobs[0].model.max_rows or self._jobs >= self._max_jobs
        )

    def _pop(self, group: tuple[object, ...]) -> list[Job]:
        jobs = self._groups.pop(group)
        batch = [jobs.popleft()]
        room = batch[0].model.max_rows - batch[0].rows
        while jobs and jobs[0].rows <= room:
            room -= jobs[0].rows
            batch.append(jobs.popleft())
        if jobs:
            self._groups[group] = jobs
        return batch


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
