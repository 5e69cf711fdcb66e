"""Run functions in forked copies of this process, two at a time."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

PARALLEL: Final = 2
HUNG: Final = "hung"
CRASHED: Final = "crashed"
_POLL_S: Final = 1.0

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Job(Generic[_Key]):
    """A function to be run in a child. Its result must be picklable."""

    key: _Key
    function: Callable[[], Any]
    limit_s: float


@dataclass(frozen=True, slots=True)
class Done(Generic[_Key]):
    """A job that ended. `failure`: why there is no result: `HUNG`, `CRASHED`, or a traceback."""

    key: _Key
    result: Any = None
    failure: str | None = None


class _Child(Generic[_Key]):
    """A running child, which leads a process group of its own."""

    def __init__(self, job: Job[_Key]) -> None:
        self._job = job
        self._end_s = time.monotonic() + job.limit_s
        self._folder = tempfile.mkdtemp(prefix="mutate-")
        self.connection, writer = Pipe(duplex=False)
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; those of libraries for arithmetic are idle.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            _run(job, writer, self._folder)
        writer.close()

    def poll(self) -> Done[_Key] | None:
        """Return the ended job, or None while it runs."""
        if self.connection.poll():
            try:
                found: Done[_Key] = self.connection.recv()
            except (EOFError, pickle.UnpicklingError):
                found = Done(self._job.key, failure=CRASHED)
        elif time.monotonic() >= self._end_s:
            found = Done(self._job.key, failure=HUNG)
        else:
            return None
        self.end()
        return found

    def end(self) -> None:
        """End the child with all processes that it started."""
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self.connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def run_jobs(jobs: Iterable[Job[_Key]]) -> Iterator[Done[_Key]]:
    """Run each job in its own child; yield them as they end."""
    waiting, running = iter(jobs), list[_Child[_Key]]()
    try:
        while True:
            while len(running) < PARALLEL and (job := next(waiting, None)) is not None:
                running.append(_Child(job))
            if not running:
                return
            wait([child.connection for child in running], _POLL_S)
            for child in tuple(running):
                done = child.poll()
                if done is not None:
                    running.remove(child)
                    yield done
    finally:
        for child in running:
            child.end()


def _run(job: Job[_Key], writer: Connection, folder: str) -> None:
    """Run a job and leave the process, without what Python does at its end."""
    try:
        os.setpgid(0, 0)
        for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR"):
            os.environ[name] = folder
        tempfile.tempdir = folder
        silence = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(silence, descriptor)
        try:
            writer.send(Done(job.key, job.function()))
        except BaseException:  # noqa: BLE001 - nothing may leave the child
            writer.send(Done(job.key, failure=traceback.format_exc()))
    finally:
        os._exit(0)
