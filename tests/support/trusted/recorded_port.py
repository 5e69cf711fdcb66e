"""A frame port that keeps the frames that a worker sends, and opens the replies in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from sealflow.openinfer.binary import decode_response
from sealflow.seal.content import ContentKind, parse_error
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, Envelope, RefusalHeader
from sealflow.wire.frames import FrameKind, decode_batch

if TYPE_CHECKING:
    from sealflow.errors import RefusalCode
    from sealflow.openinfer.messages import InferResponse
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.port import FramePort


@dataclass(slots=True)
class RecordedPort:
    """The host, as the worker's port has it: it keeps what frames it is sent."""

    frames: list[tuple[FrameKind, bytes]] = field(default_factory=list)

    @property
    def port(self) -> FramePort:
        """Itself, for who sends through a port."""
        return cast("FramePort", self)

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Keep a frame."""
        self.frames.append((kind, bytes(payload)))

    @property
    def replies(self) -> dict[int, bytes]:
        """All envelopes by slot; a slot that was answered twice is an error."""
        found: dict[int, bytes] = {}
        for kind, payload in self.frames:
            assert kind is FrameKind.REPLIES
            for slot, envelope in decode_batch(memoryview(payload))[1]:
                assert slot not in found
                found[slot] = bytes(envelope)
        return found

    def refusal(self, slot: int) -> RefusalCode:
        """Why a slot was refused in clear."""
        header = Envelope.from_bytes(self.replies[slot], max_body_bytes=0).header
        assert isinstance(header, RefusalHeader)
        return header.code

    def response(self, slot: int, call: OutgoingCall) -> InferResponse:
        """Open a slot's reply with the call that it answers."""
        reply = Envelope.from_bytes(self.replies[slot], max_body_bytes=DEFAULT_MAX_BODY_BYTES)
        _, content = call.open_reply(reply)
        assert content.kind is ContentKind.INFER, parse_error(content)
        return decode_response(content.text, content.binary)

    def error(self, slot: int, call: OutgoingCall) -> tuple[str, str]:
        """Open a slot's reply and read code and message of the error inside."""
        reply = Envelope.from_bytes(self.replies[slot], max_body_bytes=DEFAULT_MAX_BODY_BYTES)
        _, content = call.open_reply(reply)
        assert content.kind is ContentKind.ERROR
        return parse_error(content)
