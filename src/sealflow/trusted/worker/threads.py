"""Worker: which threads there are, and what each of them does.

Three threads: the main one reads frames; one opens requests, prepares their inputs, runs models and
seals replies; one keeps the lease. Only the main one waits for the host. With more threads for a
model, a fourth opens requests beside it; with one, a fourth would only push the others out of the
core's cache, at the price of hand-overs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.errors import MalformedError, RefusalCode
from sealflow.trusted.port import FatalError
from sealflow.trusted.process import first_frame, load_identity
from sealflow.trusted.worker.lease.enrollment import Enrollment
from sealflow.trusted.worker.lease.host_requests import HostRequests
from sealflow.trusted.worker.lease.keeper import LeaseKeeper
from sealflow.trusted.worker.models.loader import ModelLoader
from sealflow.trusted.worker.serving.arrivals import (
    ArrivalQueue,
    ClockTick,
    EnvelopeBatch,
    HostClock,
)
from sealflow.trusted.worker.serving.batching import BatchQueue
from sealflow.trusted.worker.serving.opener import RequestOpener
from sealflow.trusted.worker.serving.runner import BatchRunner, ReplySender
from sealflow.wire.envelope import encode_refusal
from sealflow.wire.frame_payloads import Fatal, WorkerBoot, split_tick
from sealflow.wire.frames import FrameKind, decode_batch

if TYPE_CHECKING:
    from sealflow.trusted.port import EventJournal, FramePort


_MAX_WAITING: Final = 4096
_MAX_WAITING_BYTES: Final = 256 * 2**20
_MAX_JOBS: Final = 256
_MAX_JOB_BYTES: Final = 256 * 2**20


class SingleThreadLoop:
    """Opens what has arrived, up to a full batch, runs it, and looks again."""

    def __init__(
        self,
        arrivals: ArrivalQueue,
        opener: RequestOpener,
        jobs: BatchQueue,
        runner: BatchRunner,
    ) -> None:
        """Work with these."""
        self._arrivals = arrivals
        self._opener = opener
        self._jobs = jobs
        self._runner = runner

    def run(self) -> None:
        """Work until the arrivals end and all jobs are answered."""
        while (message := self._arrivals.next()) is not None:
            self._opener.handle(message)
            while self._jobs.batch_full or (self._jobs and not self._arrivals.waiting):
                self._runner.answer_next()
        self._jobs.close()
        self._runner.run_batches()


def serve(port: FramePort, journal: EventJournal) -> None:
    """Work until the host closes the pipe, then answer what came before that, and return.

    Raises: FatalError, MalformedError when the host's frames are out of step.
    """
    try:
        settings = WorkerBoot.from_bytes(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    identity = load_identity(Role.WORKER, settings.deployment, settings.simulated_platform, port)
    clock = HostClock(settings.now_ms)
    arrivals = ArrivalQueue(max_items=_MAX_WAITING, max_bytes=_MAX_WAITING_BYTES)
    jobs = BatchQueue(
        max_jobs=_MAX_JOBS, max_bytes=_MAX_JOB_BYTES, max_wait_ms=settings.max_wait_ms
    )
    replies = ReplySender(port, clock, identity)
    host = HostRequests(port)
    keeper = LeaseKeeper(
        identity,
        Enrollment(identity, host),
        host,
        ModelLoader(
            runtime=settings.runtime,
            threads=settings.threads,
            max_batch=settings.max_batch,
            max_pixels=settings.max_pixels,
        ),
        arrivals,
        clock,
        port,
        journal,
        threads=settings.threads,
    )
    runner = BatchRunner(jobs, replies, max_body_bytes=settings.max_body_bytes)
    # Who waits for company needs a thread that waits.
    single_thread = settings.threads == 1 and settings.max_wait_ms == 0
    opener = RequestOpener(
        arrivals,
        jobs,
        replies,
        clock,
        max_body_bytes=settings.max_body_bytes,
        replay_capacity=settings.replay_capacity,
        make_room=runner.answer_next if single_thread else None,
    )
    loops = {"lease": keeper.keep_lease}
    if single_thread:
        loops["serving"] = SingleThreadLoop(arrivals, opener, jobs, runner).run
    else:
        loops |= {"opener": opener.open_requests, "runner": runner.run_batches}
    threads = [threading.Thread(target=loop, name=name) for name, loop in loops.items()]
    for thread in threads:
        thread.start()
    FrameReader(port, clock, arrivals, replies, host, keeper).read_frames()
    keeper.close()
    arrivals.put(None)
    for thread in threads:
        thread.join()


class FrameReader:
    """Takes frames as they come and never waits for anything else."""

    def __init__(
        self,
        port: FramePort,
        clock: HostClock,
        arrivals: ArrivalQueue,
        replies: ReplySender,
        host: HostRequests,
        keeper: LeaseKeeper,
    ) -> None:
        """Hand frames on to these."""
        self._port = port
        self._clock = clock
        self._arrivals = arrivals
        self._replies = replies
        self._host = host
        self._keeper = keeper

    def read_frames(self) -> None:
        """Read until the pipe ends.

        Raises: MalformedError for a frame that breaks the rules.
        """
        while (frame := self._port.receive()) is not None:
            kind, payload = frame
            match kind:
                case FrameKind.BATCH:
                    self._take(payload)
                case FrameKind.TICK:
                    self._tick(payload)
                case FrameKind.CONTROL | FrameKind.PACKAGE:
                    self._host.deliver_answer(kind, payload)
                case FrameKind.COLLATERAL:
                    self._keeper.note_collateral(bytes(payload))
                case _:
                    raise FatalError(Fatal.FRAME)

    def _take(self, payload: memoryview) -> None:
        now_ms, items = decode_batch(payload)
        self._clock.advance(now_ms)
        if not self._arrivals.offer(EnvelopeBatch(items=items)):
            full = encode_refusal(RefusalCode.OVERLOADED, None)
            self._replies.send([(slot, full) for slot, _ in items])

    def _tick(self, payload: memoryview) -> None:
        now_ms, document = split_tick(payload)
        self._clock.advance(now_ms)
        self._arrivals.put(ClockTick())
        self._keeper.note_directory(document)
