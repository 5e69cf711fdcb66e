"""Host: a trusted process and the two pipes to it. This side sees frames, never what they hold."""

from __future__ import annotations

import fcntl
import io
import os
import select
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from sealflow.errors import ConfigError, MalformedError, WorkerGoneError
from sealflow.host.enclave.die_with_parent import die_with_parent
from sealflow.wire.frames import FRAME_HEAD_LENGTH, FrameKind, decode_head, encode_frame

STUCK_S: Final = 60.0
_PIPE_BYTES: Final = 2**20
_BUFFER_BYTES: Final = 2**18
_PASSED_ON: Final = ("PATH", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH")
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# A worker makes and frees megabytes for each photo. Memory that malloc keeps, in large pages, is
# not faulted in anew each time: 2 % less CPU time for 5 % more memory (bench/README.md).
_KEEP_MEMORY: Final = ":".join(
    (
        "glibc.malloc.arena_max=1",
        "glibc.malloc.hugetlb=1",
        f"glibc.malloc.mmap_threshold={32 * 2**20}",
        f"glibc.malloc.trim_threshold={128 * 2**20}",
    )
)


class Relay:
    """Starts a trusted process, writes frames to it from any thread, reads frames on one.

    To be made on a thread that stays, such as the main thread: see `die_with_parent`.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        log: Path | None,
        *,
        stuck_s: float = STUCK_S,
        memory_bytes: int = 0,
    ) -> None:
        """Start a command of `enclave_command`; what its loader complains about goes to `log`.

        A process that takes nothing for `stuck_s` while a frame waits for it is killed.
        `memory_bytes`: see `die_with_parent`.

        Raises: ConfigError when it cannot be started.
        """
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"LANG": "C.UTF-8", "GLIBC_TUNABLES": _KEEP_MEMORY}
        environment |= dict.fromkeys(_ONE_THREAD, "1")
        try:
            with (log or Path(os.devnull)).open("ab") as errors:
                self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    die_with_parent(command, memory_bytes=memory_bytes),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    bufsize=0,
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigError(f"{command[0]} does not start: {error}") from error
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError("pipes were asked for")
        self._writer = self._process.stdin
        self._reader = io.BufferedReader(cast("io.RawIOBase", self._process.stdout), _BUFFER_BYTES)
        for pipe in (self._process.stdin, self._process.stdout):
            # A system may allow less; then it is only slower.
            with suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._writer.fileno(), False)
        self._taking = select.poll()
        self._taking.register(self._writer.fileno(), select.POLLOUT)
        self._stuck_s = stuck_s
        self._sending = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> None:
        """Write a frame whole, waiting for the process to read.

        Raises: WorkerGoneError when it has ended, or reads no more.
        """
        rest = memoryview(encode_frame(kind, payload))
        with self._sending:
            try:
                while rest:
                    written = self._writer.write(rest)
                    if written is None:
                        self._await_room()
                    else:
                        rest = rest[written:]
            except (OSError, ValueError) as error:
                raise WorkerGoneError("the enclave process has ended") from error

    def receive(self) -> tuple[FrameKind, memoryview] | None:
        """Wait for a frame; None when the process has closed its end.

        Raises: WorkerGoneError when what comes is not a frame.
        """
        head = self._reader.read(FRAME_HEAD_LENGTH)
        if not head:
            return None
        try:
            if len(head) < FRAME_HEAD_LENGTH:
                raise MalformedError("frame: ends within its head")  # noqa: TRY301
            kind, length = decode_head(head)
        except MalformedError as error:
            raise WorkerGoneError(f"the enclave process is out of step: {error}") from error
        payload = self._reader.read(length)
        if len(payload) < length:
            raise WorkerGoneError("the enclave process ended within a frame")
        return kind, memoryview(payload)

    def close_input(self) -> None:
        """Ask the process to finish what it has and end."""
        with self._sending:
            self._close_writer()

    def wait(self, within_s: float) -> int:
        """Wait for its end, ending it by force after `within_s`; returns the exit code."""
        until = time.monotonic() + within_s
        # Somebody may be writing to it still: killing it ends that, too.
        if self._sending.acquire(timeout=within_s):
            self._close_writer()
            self._sending.release()
        try:
            return self._process.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
            self.close_input()
            return code

    def release(self) -> None:
        """Close the pipe to read from, once nobody reads it any more."""
        self._reader.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _close_writer(self) -> None:
        with suppress(OSError):
            self._writer.close()

    def _await_room(self) -> None:
        if not self._taking.poll(self._stuck_s * 1000):
            self.kill()
            raise WorkerGoneError(f"the enclave process takes nothing for {self._stuck_s:g} s")
