"""Worker: a bounded queue of opened requests, from which batches are taken.

A batch consists of whole requests for one model whose rows have the same shapes, oldest first, up
to the model's `max_rows`. They are of one session, because a model can mix the rows of a batch;
or all of clients who agreed to share. The groups of requests that could be a batch take turns. A
batch waits for more requests only if `max_wait_ms` is set and no other group waits.
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
    from sealflow.trusted.worker.serving.tenants import TenantAccount


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """An opened request with its inputs prepared.

    `slot`: the host's number of the request. `inputs`: arrays by name, each with `rows` as its
    first size if the model takes batches. `weight`: their bytes, held while the job waits.
    `account`: the tenant's, or None without tenants.
    """

    slot: int
    call: IncomingCall = field(repr=False)
    request: InferRequest = field(repr=False)
    model: ServedModel
    inputs: Mapping[str, NDArray[Any]] = field(repr=False)
    rows: int
    account: TenantAccount | None = None
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        """Set the weight."""
        weight = sum(array.nbytes for array in self.inputs.values())
        object.__setattr__(self, "weight", weight)

    @property
    def group(self) -> tuple[object, ...]:
        """A key that is equal for jobs which may run in one batch."""
        if not self.model.batched:
            return (id(self),)
        shared = self.model.share_batch and self.request.share_batch
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(self.inputs.items()))
        return (self.model.digest, None if shared else self.call.session, shapes)


class BatchQueue:
    """A bounded queue between the thread that opens requests and the one that runs models.

    `max_jobs`, `max_bytes`: limits of the waiting jobs; an empty queue accepts a job of any size.
    `max_wait_ms`: how long a batch that is not full waits for more jobs.
    """

    def __init__(self, *, max_jobs: int, max_bytes: int, max_wait_ms: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_ms / 1000
        self._changed = threading.Condition()
        self._groups: OrderedDict[tuple[object, ...], deque[Job]] = OrderedDict()
        self._jobs = 0
        self._bytes = 0
        self._closed = False
        self._now = 0.0
        self._has_tenants = False

    def __len__(self) -> int:
        """Return the number of waiting jobs."""
        return self._jobs

    def full(self, job: Job) -> bool:
        """Return whether `put` would wait. With one thread that calls `put`, False stays true."""
        return self._jobs > 0 and (
            self._jobs >= self._max_jobs or self._bytes + job.weight > self._max_bytes
        )

    @property
    def batch_full(self) -> bool:
        """Whether the next batch has as many rows or jobs as it can have."""
        with self._changed:
            return bool(self._groups) and self._is_full(self._next_group())

    def put(self, job: Job) -> None:
        """Add a job; wait while there is no room for it."""
        weight = job.weight
        with self._changed:
            while self.full(job):
                self._changed.wait()
            self._groups.setdefault(job.group, deque()).append(job)
            self._jobs += 1
            self._bytes += weight
            self._has_tenants = job.account is not None
            self._changed.notify_all()

    def close(self) -> None:
        """Mark the end: no job will be added."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take_batch(self) -> list[Job] | None:
        """Wait for jobs and return the next batch; None when the queue is closed and empty."""
        with self._changed:
            while not self._groups:
                if self._closed:
                    return None
                self._changed.wait()
            group = self._next_group()
            if self._max_wait_s and not self._closed:
                self._changed.wait_for(
                    lambda: self._closed or len(self._groups) > 1 or self._is_full(group),
                    self._max_wait_s,
                )
            return self._pop_batch(group)

    def take_waiting(self) -> list[Job] | None:
        """Return the next batch without waiting; None if no job waits, or jobs wait for others."""
        with self._changed:
            if not self._groups or self._max_wait_s:
                return None
            return self._pop_batch(self._next_group())

    def _next_group(self) -> tuple[object, ...]:
        """Return the group whose turn it is. Groups take turns, and tenants share by weight.

        Source: start-time fair queueing (Goyal, Vin, Cheng 1996), with rows as the cost.
        """
        if not self._has_tenants:
            return next(iter(self._groups))
        return min(self._groups, key=lambda group: self._start(self._groups[group][0]))

    def _start(self, job: Job) -> float:
        return self._now if job.account is None else max(self._now, job.account.finish)

    def _count_turn(self, batch: list[Job]) -> None:
        self._now = self._start(batch[0])
        for job in batch:
            if job.account is not None:
                job.account.finish = self._start(job) + job.rows / job.account.weight

    def _is_full(self, group: tuple[object, ...]) -> bool:
        jobs = self._groups[group]
        return (
            sum(job.rows for job in jobs) >= jobs[0].model.max_rows or self._jobs >= self._max_jobs
        )

    def _pop_batch(self, group: tuple[object, ...]) -> list[Job]:
        jobs = self._groups.pop(group)
        batch = [jobs.popleft()]
        room = batch[0].model.max_rows - batch[0].rows
        while jobs and jobs[0].rows <= room:
            room -= jobs[0].rows
            batch.append(jobs.popleft())
        if jobs:
            self._groups[group] = jobs
        if self._has_tenants:
            self._count_turn(batch)
        self._jobs -= len(batch)
        self._bytes -= sum(job.weight for job in batch)
        self._changed.notify_all()
        return batch
