"""Worker: the thread-safe way to ask the host for something and wait for the answer."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.package.statement import MAX_MODEL_BYTES
from sealflow.wire.frames import FrameKind, decode_chunk
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from sealflow.trusted.port import FramePort

ANSWER_TIMEOUT_S: Final = 30.0
_PACKAGE_OVERHEAD_BYTES: Final = 16 * 2**20


class ClosedError(UnavailableError):
    """The host has closed the pipe; nothing more will come."""


class HostRequests:
    """One question at a time, for one asking thread; the reading thread hands answers in."""

    def __init__(self, port: FramePort) -> None:
        """Ask through the frame port."""
        self._port = port
        self._answers: queue.SimpleQueue[tuple[FrameKind, memoryview] | None] = queue.SimpleQueue()

    def deliver_answer(self, kind: FrameKind, payload: memoryview) -> None:
        """Take a CONTROL or PACKAGE frame from the host."""
        self._answers.put((kind, payload))

    def close(self) -> None:
        """Say that nothing will follow."""
        self._answers.put(None)

    def ask_key_broker(self, request: dict[str, object]) -> dict[str, object]:
        """Send one control request and give the answer, untrusted.

        Raises: UnavailableError when the key broker could not be reached, MalformedError.
        """
        self._drop_old()
        self._port.send(FrameKind.CONTROL, canonical_json(request))
        answer = self._next(FrameKind.CONTROL)
        if not answer:
            raise UnavailableError("the host could not reach the key broker")
        return parse_object(answer, "answer of the key broker")

    def fetch_package(self, digest: str) -> bytearray | None:
        """Receive a model package piece by piece; None when the host does not have it.

        Memory grows with what really came, never by what was announced.

        Raises: UnavailableError, MalformedError when pieces do not follow each other.
        """
        self._drop_old()
        self._port.send(FrameKind.WANT, bytes.fromhex(digest))
        package = bytearray()
        while True:
            got, offset, total, piece = decode_chunk(self._next(FrameKind.PACKAGE))
            if got.hex() != digest or offset != len(package):
                raise MalformedError("package: a piece is out of place")
            if total > MAX_MODEL_BYTES + _PACKAGE_OVERHEAD_BYTES:
                raise MalformedError("package: over the limit")
            if total == 0:
                return None
            if not piece:
                raise MalformedError("package: an empty piece")
            package += piece
            if len(package) == total:
                return package

    def _next(self, wanted: FrameKind) -> memoryview:
        try:
            answer = self._answers.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty as error:
            raise UnavailableError("the host does not answer") from error
        if answer is None:
            raise ClosedError("the host has closed the pipe")
        kind, payload = answer
        if kind is not wanted:
            raise MalformedError("the host answered something else")
        return payload

    def _drop_old(self) -> None:
        # What came after its question was given up belongs to nobody.
        while not self._answers.empty():
            if self._answers.get() is None:
                self._answers.put(None)
                raise ClosedError("the host has closed the pipe")
