"""Trusted: the frame port to the host, and the words that may leave in clear through it.

The pipes are moved away from descriptors 0 and 1, so that nothing else can write into them: inside
Gramine, whatever goes to standard error comes out on the host's standard output.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, SealflowError
from sealflow.wire.frames import FRAME_HEAD_LENGTH, FrameKind, decode_head, encode_frame
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.wire.frame_payloads import Event, Fatal


_BUFFER_BYTES: Final = 256 * 1024
_MAX_WAITING_BYTES: Final = 16 * 2**20


class FramePort:
    """Receives on one thread, sends from any."""

    def __init__(self, reader: int, writer: int) -> None:
        """Own two descriptors of pipes."""
        self._reader = io.BufferedReader(io.FileIO(reader, "rb"), _BUFFER_BYTES)
        self._writer = writer
        self._sending = threading.Lock()
        self._waiting: deque[tuple[FrameKind, memoryview]] = deque()

    @classmethod
    def from_stdio(cls) -> FramePort:
        """Move the frame pipes away from stdin and stdout, and point those at /dev/null."""
        reader, writer = os.dup(0), os.dup(1)
        void = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(void, standard)
        os.close(void)
        return cls(reader, writer)

    def receive(self) -> tuple[FrameKind, memoryview] | None:
        """Wait for a frame; None when the host has closed the pipe.

        Raises: MalformedError when the pipe is out of step; there is no way on from there.
        """
        if self._waiting:
            return self._waiting.popleft()
        return self._next()

    def await_kind(self, wanted: FrameKind) -> memoryview:
        """Wait for a frame of one kind; others that come before are received later, in order.

        Raises: MalformedError when the pipe is out of step, ends, or brings too much else.
        """
        waiting_bytes = 0
        while (frame := self._next()) is not None:
            kind, payload = frame
            if kind is wanted:
                return payload
            waiting_bytes += FRAME_HEAD_LENGTH + len(payload)
            if waiting_bytes > _MAX_WAITING_BYTES:
                break
            self._waiting.append(frame)
        raise MalformedError(f"frame: no {wanted.name} came")

    def _next(self) -> tuple[FrameKind, memoryview] | None:
        head = self._exactly(FRAME_HEAD_LENGTH)
        if head is None:
            return None
        kind, length = decode_head(head)
        payload = self._exactly(length)
        if payload is None and length:
            raise MalformedError("frame: the pipe ended within a frame")
        return kind, memoryview(payload or b"")

    def send(self, kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> None:
        """Send a frame whole; silently lost when the host no longer reads, since nobody is left.

        Raises: MalformedError when the payload is over the limit of frames.
        """
        rest = memoryview(encode_frame(kind, payload))
        with self._sending:
            try:
                while rest:
                    rest = rest[os.write(self._writer, rest) :]
            except BrokenPipeError:
                return

    def _exactly(self, count: int) -> bytearray | None:
        data = bytearray(count)
        got = self._reader.readinto(data)
        if got == 0 and count:
            return None
        if got != count:
            raise MalformedError("frame: the pipe ended within a frame")
        return data


class FatalError(SealflowError):
    """Ends the process with a code of the closed list."""

    code: Fatal

    def __init__(self, code: Fatal) -> None:
        """Keep the code."""
        super().__init__(code.value)
        self.code = code


class EventJournal:
    """Writes events and the last word. For any thread."""

    def __init__(self, port: FramePort) -> None:
        """Write to the frame port."""
        self._port = port

    def record(self, event: Event, *, digest: str = "", **numbers: int) -> None:
        """Say that something happened; `digest` names a model package."""
        content: dict[str, object] = {"event": event.value, **numbers}
        if digest:
            content["digest"] = digest
        self._port.send(FrameKind.EVENT, canonical_json(content))

    def fatal(self, code: Fatal) -> None:
        """Say why this process ends."""
        self._port.send(FrameKind.FATAL, code.value.encode())
