"""Host: start a trusted process and exchange frames with it over two pipes.

The relay reads the head of a frame only; it does not interpret payloads. Spec: frames.md.
"""

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
# Closed: nothing that the host's environment has may change what the process loads.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LANG": "C.UTF-8"}
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# A worker allocates and frees megabytes for each image. Memory that malloc keeps, in huge pages,
# does not cause page faults again: 2 % less CPU time for 5 % more memory (bench/README.md).
_KEEP_MEMORY: Final = ":".join(
    (
        "glibc.malloc.arena_max=1",
        "glibc.malloc.hugetlb=1",
        f"glibc.malloc.mmap_threshold={32 * 2**20}",
        f"glibc.malloc.trim_threshold={128 * 2**20}",
    )
)


class Relay:
    """A running trusted process and its frame pipes.

    Any thread may send; one thread may receive. Create it on a thread that lives as long as the
    process must, such as the main thread: see `die_with_parent`.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        log: Path | None,
        *,
        stuck_s: float = STUCK_S,
        memory_bytes: int = 0,
    ) -> None:
        """Start `command`, as returned by `enclave_command`.

        `log`: the file to which its standard error is appended; None discards it. `stuck_s`: the
        process is killed when it reads nothing for so many seconds while a frame is being sent.
        `memory_bytes`: see `die_with_parent`.

        Raises: ConfigError when the command cannot be started.
        """
        environment = _ENVIRONMENT | {"GLIBC_TUNABLES": _KEEP_MEMORY}
        environment |= dict.fromkeys(_THREAD_VARIABLES, "1")
        try:
            with (log or Path(os.devnull)).open("ab") as errors:
                self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    die_with_parent(command, memory_bytes=memory_bytes),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    cwd="/",
                    bufsize=0,
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigError(f"cannot start {command[0]}: {error}") from error
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError("Popen returned no pipes")
        self._writer = self._process.stdin
        self._reader = io.BufferedReader(cast("io.RawIOBase", self._process.stdout), _BUFFER_BYTES)
        for pipe in (self._process.stdin, self._process.stdout):
            # The system may limit users to smaller pipes, which are only slower. Source: pipe(7).
            with suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._writer.fileno(), False)
        self._writable = select.poll()
        self._writable.register(self._writer.fileno(), select.POLLOUT)
        self._stuck_s = stuck_s
        self._sending = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> None:
        """Send one frame; wait while the pipe is full.

        Raises: WorkerGoneError when the process has ended, or was killed because it read nothing
            for `stuck_s`.
        """
        rest = memoryview(encode_frame(kind, payload))
        with self._sending:
            try:
                while rest:
                    written = self._writer.write(rest)
                    if written is None:
                        self._wait_writable()
                    else:
                        rest = rest[written:]
            except (OSError, ValueError) as error:
                raise WorkerGoneError("the enclave process has ended") from error

    def receive(self) -> tuple[FrameKind, memoryview] | None:
        """Wait for a frame and return its kind and payload; None when the process closed its end.

        Raises: WorkerGoneError when the bytes are not a frame, or end within one.
        """
        head = self._reader.read(FRAME_HEAD_LENGTH)
        if not head:
            return None
        try:
            if len(head) < FRAME_HEAD_LENGTH:
                raise MalformedError("frame: it ends within its head")  # noqa: TRY301
            kind, length = decode_head(head)
        except MalformedError as error:
            raise WorkerGoneError(
                f"frames from the enclave process are out of step: {error}"
            ) from error
        payload = self._reader.read(length)
        if len(payload) < length:
            raise WorkerGoneError("the enclave process ended within a frame")
        return kind, memoryview(payload)

    def close_input(self) -> None:
        """Close the process's input, which asks it to answer its requests in flight and exit."""
        with self._sending:
            self._close_writer()

    def wait(self, within_s: float) -> int:
        """Close its input, wait for its exit, kill it after `within_s`; return the exit code."""
        until = time.monotonic() + within_s
        # Another thread may still be sending, and hold the lock: the kill below ends its write.
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
        """Close the pipe from the process; call it when no thread receives any more."""
        self._reader.close()

    def kill(self) -> None:
        """Kill the process at once."""
        self._process.kill()

    def _close_writer(self) -> None:
        with suppress(OSError):
            self._writer.close()

    def _wait_writable(self) -> None:
        if not self._writable.poll(self._stuck_s * 1000):
            self.kill()
            raise WorkerGoneError(f"the enclave process read nothing for {self._stuck_s:g} s")
