"""Worker, pure but for its lock: a queue of opened requests, which gives them out in batches.

A batch is whole requests to one model whose rows have the same shapes, first come first taken, up
to the model's `max_rows`. Models take turns. Nothing waits for company unless told to.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest
    from sealflow.seal.exchange import IncomingCall
    from sealflow.trusted.worker.models.loader import ServedModel


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
