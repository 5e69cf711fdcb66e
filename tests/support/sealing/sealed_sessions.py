"""A client's session and the worker that can open what it seals."""

from __future__ import annotations

from dataclasses import dataclass

from sealflow.seal.content import ContentKind, content_parts
from sealflow.seal.exchange import IncomingCall, OutgoingCall, Session, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import Envelope
from sealflow.wire.ids import ModelRef, RequestId

DIGEST = "cd" * 32
INSTANCE = RequestId("ab" * 16)
KEYS = {suite: OpeningKey.generate(suite) for suite in Suite}


def parse_envelope(data: bytes) -> Envelope:
    """Parse with room for the tests."""
    return Envelope.from_bytes(data, max_body_bytes=2**22)


@dataclass(frozen=True, kw_only=True)
class SessionPair:
    """A client's session and the worker that can open it."""

    session: Session
    key: OpeningKey
    secrets: SessionSecrets

    def call(self, text: bytes = b"{}", binary: bytes = b"", model: str = "m") -> OutgoingCall:
        """Seal a request."""
        return self.session.seal_request(
            ModelRef(name=model, version="1"),
            DIGEST,
            content_parts(ContentKind.INFER, text, [binary]),
            deadline_ms=1,
        )

    def open(self, data: bytes) -> IncomingCall:
        """Open a request."""
        return open_request(parse_envelope(data), self.key, self.secrets)

    def answer(self, data: bytes, text: bytes = b"{}", binary: bytes = b"") -> bytes:
        """Open a request and seal a reply."""
        parts = content_parts(ContentKind.INFER, text, [binary])
        return self.open(data).seal_reply(parts, model_digest=DIGEST, instance=INSTANCE)


def start_session(suite: Suite = Suite.XWING) -> SessionPair:
    """Start a session with the suite's key."""
    key = KEYS[suite]
    return SessionPair(session=Session.start(key.public_key), key=key, secrets=SessionSecrets(4))
