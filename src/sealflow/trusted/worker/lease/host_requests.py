"""Worker: sends requests to the host and waits for the answers that the frame reader delivers."""

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
    """The host has closed the pipe, so no answer will arrive."""


class HostRequests:
    """Requests to the host: one thread asks the key broker, another for packages.

    The frame reader's thread delivers the answers. All answers are untrusted.
    """

    def __init__(self, port: FramePort) -> None:
        self._port = port
        self._answers: dict[FrameKind, queue.SimpleQueue[memoryview | None]] = {
            kind: queue.SimpleQueue() for kind in (FrameKind.CONTROL, FrameKind.PACKAGE)
        }

    def deliver_answer(self, kind: FrameKind, payload: memoryview) -> None:
        """Pass a CONTROL or PACKAGE frame to the requesting thread."""
        self._answers[kind].put(payload)

    def close(self) -> None:
        """Make the present or the next requests fail with ClosedError."""
        for answers in self._answers.values():
            answers.put(None)

    def ask_key_broker(self, request: dict[str, object]) -> dict[str, object]:
        """Send one control request to the key broker and return its answer.

        Raises: UnavailableError when the host cannot reach the key broker or does not answer within
        `ANSWER_TIMEOUT_S`; ClosedError; MalformedError when the answer is not a JSON object.
        """
        self._drop_late_answers(FrameKind.CONTROL)
        self._port.send(FrameKind.CONTROL, canonical_json(request))
        answer = self._next(FrameKind.CONTROL)
        if not answer:
            raise UnavailableError("the host could not reach the key broker")
        return parse_object(answer, "answer of the key broker")

    def fetch_package(self, digest: str) -> bytearray | None:
        """Return a model package, received in pieces; None when the host does not have it.

        Memory grows with the received bytes, not with the total that the host announces.

        `digest`: of the package, in hex; the content is not checked here.

        Raises: UnavailableError when the host does not send the next piece within
        `ANSWER_TIMEOUT_S`; ClosedError; MalformedError when the pieces have gaps, are empty, or
        come to more than the largest package.
        """
        self._drop_late_answers(FrameKind.PACKAGE)
        self._port.send(FrameKind.WANT, bytes.fromhex(digest))
        package = bytearray()
        while True:
            got, offset, total, piece = decode_chunk(self._next(FrameKind.PACKAGE))
            if got.hex() != digest or offset != len(package):
                raise MalformedError("package: a piece is out of place")
            if total > MAX_MODEL_BYTES + _PACKAGE_OVERHEAD_BYTES:
                raise MalformedError(f"package: {total} bytes are over the limit")
            if total == 0:
                return None
            if not piece:
                raise MalformedError("package: an empty piece")
            package += piece
            if len(package) == total:
                return package

    def _next(self, wanted: FrameKind) -> memoryview:
        try:
            answer = self._answers[wanted].get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty as error:
            message = f"the host does not answer within {ANSWER_TIMEOUT_S:g} s"
            raise UnavailableError(message) from error
        if answer is None:
            raise ClosedError("the host has closed the pipe")
        return answer

    def _drop_late_answers(self, kind: FrameKind) -> None:
        # An answer that arrived after its request timed out must not answer the next request.
        answers = self._answers[kind]
        while not answers.empty():
            if answers.get() is None:
                answers.put(None)
                raise ClosedError("the host has closed the pipe")
