"""Worker: starts the worker's threads and reads the host's frames.

The main thread reads frames and never waits for another thread. The lease thread enrolls, another
loads models. The serving thread opens requests, prepares inputs, runs models and seals replies.

With several threads a model, or a batch wait time, the serving thread is two: one opens requests,
one runs models. With one thread a model, a second serving thread would compete for the same core's
cache and cost a hand-over for each request.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.errors import MalformedError, RefusalCode
from sealflow.trusted.clock import EnclaveClock
from sealflow.trusted.confinement import confine
from sealflow.trusted.port import FatalError
from sealflow.trusted.process import first_frame, load_identity
from sealflow.trusted.worker.lease.enrollment import Enrollment
from sealflow.trusted.worker.lease.host_requests import HostRequests
from sealflow.trusted.worker.lease.keeper import LeaseKeeper
from sealflow.trusted.worker.models.loader import ModelLoader
from sealflow.trusted.worker.models.work_limit import WorkLimit
from sealflow.trusted.worker.serving.arrivals import (
    ArrivalQueue,
    ClockTick,
    EnvelopeBatch,
)
from sealflow.trusted.worker.serving.batching import BatchQueue
from sealflow.trusted.worker.serving.opener import RequestOpener
from sealflow.trusted.worker.serving.runner import BatchRunner, ReplySender
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.wire.envelope import encode_refusal
from sealflow.wire.frame_payloads import Event, Fatal, WorkerBoot, split_tick
from sealflow.wire.frames import FrameKind, decode_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.trusted.port import EventJournal, FramePort


_MAX_ENVELOPES: Final = 4096
_MAX_ENVELOPE_BYTES: Final = 256 * 2**20
_MAX_JOBS: Final = 256
_MAX_JOB_BYTES: Final = 256 * 2**20
_OWNER_BYTES: Final = 32


class SingleThreadLoop:
    """Opens requests and runs batches on one thread.

    It opens what has arrived, until a batch is full or no arrival waits, and then runs the batch.
    """

    def __init__(
        self,
        arrivals: ArrivalQueue,
        opener: RequestOpener,
        jobs: BatchQueue,
        runner: BatchRunner,
    ) -> None:
        self._arrivals = arrivals
        self._opener = opener
        self._jobs = jobs
        self._runner = runner

    def run(self) -> None:
        """Serve until the arrival queue is closed and all its requests are answered."""
        while self._opener.handle_next():
            while self._jobs.batch_full or (self._jobs and not self._arrivals.waiting):
                self._runner.answer_next()
        self._jobs.close()
        self._runner.run_batches()


def serve(port: FramePort, journal: EventJournal) -> None:
    """Run the worker until the host closes the pipe, then answer the remaining requests and return.

    Raises: FatalError with BOOT when the first frame is not a valid BOOT frame, with FRAME for a
    frame of a kind that a worker does not take, and as `load_identity`; MalformedError when the
    bytes are not a frame.
    """
    try:
        settings = WorkerBoot.from_bytes(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    identity = load_identity(Role.WORKER, settings.deployment, settings.simulated_platform, port)
    confine(identity.deployment.tee)
    clock = EnclaveClock(settings.now_ms)
    arrivals = ArrivalQueue(max_items=_MAX_ENVELOPES, max_bytes=_MAX_ENVELOPE_BYTES)
    jobs = BatchQueue(
        max_jobs=_MAX_JOBS, max_bytes=_MAX_JOB_BYTES, max_wait_ms=settings.max_wait_ms
    )
    replies = ReplySender(port, clock, identity)
    host = HostRequests(port)
    limits = WorkLimit("load", settings.load_s), WorkLimit("run", settings.run_s)
    enrollment = Enrollment(identity, host)
    if settings.serves is not None:
        enrollment.serve(settings.serves)
    keeper = LeaseKeeper(
        identity,
        enrollment,
        host,
        ModelLoader(
            runtime=settings.runtime,
            threads=settings.threads,
            max_batch=settings.max_batch,
            max_pixels=settings.max_pixels,
            max_body_bytes=settings.max_body_bytes,
            share_batch=identity.deployment.share_batch,
            loads=limits[0],
            runs=limits[1],
        ),
        arrivals,
        clock,
        port,
        journal,
        threads=settings.threads,
        load_first=settings.load_first,
    )
    tenants = TenantLedger(identity.deployment, _MAX_JOBS, clock.now_ms)
    runner = BatchRunner(jobs, replies, max_body_bytes=settings.max_body_bytes, tenants=tenants)
    # To wait for more requests of a batch, the runner needs a thread of its own.
    single_thread = settings.threads == 1 and settings.max_wait_ms == 0
    opener = RequestOpener(
        arrivals,
        jobs,
        replies,
        clock,
        max_body_bytes=settings.max_body_bytes,
        replay_capacity=settings.replay_capacity,
        max_ahead_ms=1000 * (identity.deployment.deadline_s + identity.deployment.clock_skew_s),
        tenants=tenants,
        make_room=runner.answer_next if single_thread else None,
    )
    loops = {"lease": keeper.keep_lease, "models": keeper.models.load_models}
    if single_thread:
        loops["serving"] = SingleThreadLoop(arrivals, opener, jobs, runner).run
    else:
        loops |= {"opener": opener.open_requests, "runner": runner.run_batches}
    threads = [threading.Thread(target=loop, name=name) for name, loop in loops.items()]
    for thread in threads:
        thread.start()
    FrameReader(port, clock, arrivals, replies, host, keeper, journal, limits).read_frames()
    keeper.close()
    arrivals.put(None)
    for thread in threads:
        thread.join()


class FrameReader:
    """Reads frames and passes each to its consumer; waits for nothing but the next frame."""

    def __init__(  # noqa: PLR0913, PLR0917 - it feeds most parts of the worker
        self,
        port: FramePort,
        clock: EnclaveClock,
        arrivals: ArrivalQueue,
        replies: ReplySender,
        host: HostRequests,
        keeper: LeaseKeeper,
        journal: EventJournal,
        limits: Sequence[WorkLimit],
    ) -> None:
        self._port = port
        self._clock = clock
        self._arrivals = arrivals
        self._replies = replies
        self._host = host
        self._keeper = keeper
        self._journal = journal
        self._limits = limits
        self._ticked_ms = clock.now_ms

    def read_frames(self) -> None:
        """Read frames until the host closes the pipe.

        Raises: MalformedError when the bytes are not a frame or a payload does not parse;
        FatalError with FRAME for a frame of a kind that a worker does not take, with HUNG when a
        model's load or run does not end.
        """
        while (frame := self._port.receive()) is not None:
            kind, payload = frame
            match kind:
                case FrameKind.BATCH:
                    self._queue_batch(payload)
                case FrameKind.TICK:
                    self._advance(payload)
                case FrameKind.CONTROL | FrameKind.PACKAGE:
                    self._host.deliver_answer(kind, payload)
                case FrameKind.COLLATERAL:
                    self._keeper.update_collateral(bytes(payload))
                case FrameKind.SERVE if len(payload) == _OWNER_BYTES:
                    if not self._keeper.serve(payload.hex()):
                        raise FatalError(Fatal.FRAME)
                case _:
                    raise FatalError(Fatal.FRAME)

    def _queue_batch(self, payload: memoryview) -> None:
        now_ms, items = decode_batch(payload)
        self._clock.advance(now_ms)
        if not self._arrivals.offer(EnvelopeBatch(items=items)):
            overloaded = encode_refusal(RefusalCode.OVERLOADED, None)
            self._replies.send([(slot, overloaded) for slot, _ in items])

    def _advance(self, payload: memoryview) -> None:
        now_ms, document = split_tick(payload)
        before_ms, self._ticked_ms = self._ticked_ms, self._clock.advance(now_ms)
        for limit in self._limits:
            stopped = limit.advance(self._ticked_ms - before_ms)
            if stopped is not None:
                self._journal.record(Event.MODEL_STOPPED, digest=stopped)
        self._arrivals.put(ClockTick())
        self._keeper.update_directory(document)
