"""Trusted: the frame port to the host, and the events and fatal codes that it sends in clear.

The pipes are moved away from descriptors 0 and 1, so that no library can write into them: Gramine
copies an enclave's standard error to the host's standard output. Spec: frames.md.
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
_MAX_DEFERRED_BYTES: Final = 16 * 2**20


class FramePort:
    """An enclave's connection to its host: one thread receives frames, any thread sends them.

    `reader`, `writer`: file descriptors of two pipes, which the port owns from then on.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = io.BufferedReader(io.FileIO(reader, "rb"), _BUFFER_BYTES)
        self._writer = writer
        self._send_lock = threading.Lock()
        self._deferred: deque[tuple[FrameKind, memoryview]] = deque()

    @classmethod
    def from_stdio(cls) -> FramePort:
        """Move the frame pipes away from stdin and stdout, and point those at /dev/null."""
        reader, writer = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        return cls(reader, writer)

    def receive(self) -> tuple[FrameKind, memoryview] | None:
        """Wait for the next frame and return it; return None when the host has closed the pipe.

        Raises: MalformedError when the bytes are not a frame; the port cannot be used after that.
        """
        if self._deferred:
            return self._deferred.popleft()
        return self._read_frame()

    def await_kind(self, wanted: FrameKind) -> memoryview:
        """Wait for the next frame of one kind and return its payload.

        Frames of other kinds that arrive before it are kept; `receive` returns them in order.

        Raises: MalformedError when the bytes are not a frame, when the pipe ends, or when more than
        16 MiB of other frames arrive first.
        """
        deferred_bytes = 0
        while (frame := self._read_frame()) is not None:
            kind, payload = frame
            if kind is wanted:
                return payload
            deferred_bytes += FRAME_HEAD_LENGTH + len(payload)
            if deferred_bytes > _MAX_DEFERRED_BYTES:
                break
            self._deferred.append(frame)
        raise MalformedError(f"frame: the host did not send {wanted.name}")

    def _read_frame(self) -> tuple[FrameKind, memoryview] | None:
        head = self._read_exactly(FRAME_HEAD_LENGTH)
        if head is None:
            return None
        kind, length = decode_head(head)
        payload = self._read_exactly(length)
        if payload is None and length:
            raise MalformedError("frame: the pipe ended within a frame")
        return kind, memoryview(payload or b"")

    def send(self, kind: FrameKind, payload: bytes | bytearray | memoryview = b"") -> None:
        """Send one frame, uninterrupted by frames of other threads.

        The frame is dropped without an error when the host has closed the pipe.

        Raises: MalformedError when the payload is over `MAX_FRAME_BYTES`.
        """
        rest = memoryview(encode_frame(kind, payload))
        with self._send_lock:
            try:
                while rest:
                    rest = rest[os.write(self._writer, rest) :]
            except BrokenPipeError:
                return

    def _read_exactly(self, count: int) -> bytearray | None:
        data = bytearray(count)
        got = self._reader.readinto(data)
        if got == 0 and count:
            return None
        if got != count:
            raise MalformedError("frame: the pipe ended within a frame")
        return data


class FatalError(SealflowError):
    """Ends the process; `code` is the payload of its FATAL frame."""

    code: Fatal

    def __init__(self, code: Fatal) -> None:
        super().__init__(code.value)
        self.code = code


class EventJournal:
    """Sends EVENT and FATAL frames to the host; thread-safe."""

    def __init__(self, port: FramePort) -> None:
        self._port = port

    def record(self, event: Event, *, digest: str = "", **numbers: int) -> None:
        """Send an EVENT frame.

        `digest`: of the model package that the event is about, in hex. `numbers`: further fields.
        """
        content: dict[str, object] = {"event": event.value, **numbers}
        if digest:
            content["digest"] = digest
        self._port.send(FrameKind.EVENT, canonical_json(content))

    def fatal(self, code: Fatal) -> None:
        """Send the FATAL frame, the last one before the process ends."""
        self._port.send(FrameKind.FATAL, code.value.encode())
