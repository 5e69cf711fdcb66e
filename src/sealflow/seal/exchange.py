"""Core: seal a request, open it, seal its reply, open that. Spec: exchange.md, sections 5 to 7.

What must happen in order cannot be written out of order: `Session.seal_request` returns the only
object that opens the reply, `open_request` the only one that seals it, and each does so once.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.errors import OpenError
from sealflow.seal.chunked import chunked_length, open_chunked, seal_chunked
from sealflow.seal.content import (
    Content,
    Parts,
    padding_for,
    parse_content,
    split_receipt_request,
    unpad,
)
from sealflow.wire.domain import TrustDomain, length_prefixed
from sealflow.wire.envelope import Envelope, Kind, ReplyHeader, RequestHeader, encode_start
from sealflow.wire.ids import ModelRef, RequestId, SessionId, new_request_id, new_session_id

if TYPE_CHECKING:
    from sealflow.seal.keys import OpeningKey, SealingKey
    from sealflow.wire.ids import KeyId


SECRET_BYTES: Final = 32
NONCE_BYTES: Final = 32
_SHA256: Final = SHA256()


class SessionSecrets:
    """The worker's bounded memory of session secrets: saves the KEM for all but the first request.

    Keyed by key, session and blob, so that nobody can plant a secret under another's session.
    """

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` secrets, the least recently used go first."""
        self._capacity = capacity
        self._secrets: OrderedDict[tuple[KeyId, SessionId, bytes], bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many secrets are kept."""
        return len(self._secrets)

    def open_or_recall(self, key: OpeningKey, session_id: SessionId, blob: bytes) -> bytes:
        """Open the session's blob, or remember it.

        Raises: OpenError.
        """
        kid = key.sealing.key_id
        index = (kid, session_id, blob)
        secret = self._secrets.get(index)
        if secret is None:
            secret = key.open(blob, session_info(key.suite.domain, kid, session_id))
            if len(secret) != SECRET_BYTES:
                raise OpenError
            self._secrets[index] = secret
            if len(self._secrets) > self._capacity:
                self._secrets.popitem(last=False)
        else:
            self._secrets.move_to_end(index)
        return secret

    def forget(self, key_id: KeyId) -> None:
        """Drop all secrets that came sealed to a key, when the key goes."""
        for index in [index for index in self._secrets if index[0] == key_id]:
            del self._secrets[index]


def session_info(domain: TrustDomain, kid: KeyId, session_id: SessionId) -> bytes:
    """What a session's secret is sealed for: its trust domain, its key and its own id."""
    return domain.label("session") + length_prefixed(kid.encode(), session_id.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The owner's side of a run of requests that share one sealed secret.

    Any worker that holds the key can open any request of it; workers keep no state that matters.
    """

    key: SealingKey
    session_id: SessionId
    key_blob: bytes
    _secret: bytes = field(repr=False)

    @classmethod
    def start(cls, key: SealingKey) -> Session:
        """Draw a secret and seal it to the key, which must come from a verified directory."""
        secret = os.urandom(SECRET_BYTES)
        session_id = new_session_id()
        blob = key.seal(secret, session_info(key.suite.domain, key.key_id, session_id))
        return cls(key=key, session_id=session_id, key_blob=blob, _secret=secret)

    def seal_request(
        self, model: ModelRef, model_digest: str, parts: Parts, *, deadline_ms: int
    ) -> OutgoingCall:
        """Seal one request for one version of one model.

        `parts`: see `content_parts`. `deadline_ms`: Unix time after which workers drop it.
        """
        domain = self.key.suite.domain
        header = RequestHeader(
            key_id=self.key.key_id,
            session_id=self.session_id,
            request_id=new_request_id(),
            model=model,
            model_digest=model_digest,
            deadline_ms=deadline_ms,
        )
        padded, length = _padded(parts)
        start = encode_start(Kind.REQUEST, self.key.suite, header.to_bytes(), self.key_blob, length)
        transcript = _transcript(domain, "request", start, self.key_blob)
        salt = bytes.fromhex(header.request_id)
        key = _derive(self._secret, salt, domain.label("request key") + transcript)
        body = seal_chunked(key, transcript, padded)
        return OutgoingCall(
            envelope=b"".join((start, self.key_blob, body)),
            header=header,
            suite=self.key.suite,
            domain=domain,
            request_digest=_request_digest(domain, transcript, body),
            _secret=self._secret,
        )


@dataclass(slots=True, kw_only=True)
class OutgoingCall:
    """A sealed request on its way, and the only thing that opens its reply."""

    envelope: bytes = field(repr=False)
    header: RequestHeader
    suite: int
    domain: TrustDomain
    request_digest: bytes = field(repr=False)
    _secret: bytes | None = field(repr=False)

    @property
    def request_id(self) -> RequestId:
        """The request's id."""
        return self.header.request_id

    def open_reply(self, reply: Envelope) -> tuple[ReplyHeader, Content]:
        """Open the reply to exactly this request, once.

        Raises: OpenError when it is not the genuine reply to this request from the model asked
        for; the call then still waits for the genuine one. MalformedError when the worker wrote
        nonsense.
        """
        header = reply.header
        if (
            self._secret is None
            or not isinstance(header, ReplyHeader)
            or reply.suite != self.suite
            or header.request_id != self.request_id
            or header.key_id != self.header.key_id
            or header.model_digest != self.header.model_digest
            or header.request_digest != self.request_digest.hex()
            or header.simulated is not (self.domain is TrustDomain.SIMULATED)
        ):
            raise OpenError
        transcript = _transcript(self.domain, "reply", reply.prefix_and_header, b"")
        key = _reply_key(self._secret, self.domain, header, transcript, self.request_digest)
        content = _open_body(key, transcript, reply.body)
        self._secret = None
        return header, content


def open_request(envelope: Envelope, key: OpeningKey, secrets: SessionSecrets) -> IncomingCall:
    """Open one request with the key that its header names.

    Raises: OpenError, for whatever reason; MalformedError when what opened is nonsense.
    """
    header = envelope.request_header
    domain = key.suite.domain
    if envelope.suite != key.suite or header.key_id != key.sealing.key_id:
        raise OpenError
    secret = secrets.open_or_recall(key, header.session_id, envelope.key_blob)
    transcript = _transcript(domain, "request", envelope.prefix_and_header, envelope.key_blob)
    salt = bytes.fromhex(header.request_id)
    request_key = _derive(secret, salt, domain.label("request key") + transcript)
    content, receipt_salt = split_receipt_request(
        _open_body(request_key, transcript, envelope.body)
    )
    return IncomingCall(
        header=header,
        content=content,
        receipt_salt=receipt_salt,
        suite=envelope.suite,
        domain=domain,
        request_digest=_request_digest(domain, transcript, envelope.body),
        _secret=secret,
    )


@dataclass(slots=True, kw_only=True)
class IncomingCall:
    """An opened request, and the only thing that seals its reply.

    `receipt_salt`: 64 hex digits when the request asks for a receipt.
    """

    header: RequestHeader
    content: Content = field(repr=False)
    receipt_salt: str | None = field(default=None, repr=False)
    suite: int
    domain: TrustDomain
    request_digest: bytes = field(repr=False)
    _secret: bytes | None = field(repr=False)

    def seal_reply(self, parts: Parts, *, model_digest: str, instance: RequestId) -> bytes:
        """Seal the reply, once, bound to the request's ciphertext and the model that answered.

        Raises: OpenError when a reply was sealed already.
        """
        secret = self._secret
        if secret is None:
            raise OpenError
        header = ReplyHeader(
            request_id=self.header.request_id,
            request_digest=self.request_digest.hex(),
            key_id=self.header.key_id,
            model_digest=model_digest,
            instance=instance,
            nonce=os.urandom(NONCE_BYTES).hex(),
            simulated=self.domain is TrustDomain.SIMULATED,
        )
        padded, length = _padded(parts)
        start = encode_start(Kind.REPLY, self.suite, header.to_bytes(), b"", length)
        transcript = _transcript(self.domain, "reply", start, b"")
        key = _reply_key(secret, self.domain, header, transcript, self.request_digest)
        sealed = start + seal_chunked(key, transcript, padded)
        # Only now, so that an error can be sealed when there is too little memory for a reply.
        self._secret = None
        return sealed


def _padded(parts: Parts) -> tuple[list[bytes | memoryview], int]:
    length = sum(map(len, parts))
    head, tail = padding_for(length)
    return [head, *parts, tail], chunked_length(len(head) + length + len(tail))


def _transcript(domain: TrustDomain, purpose: str, start: bytes, blob: bytes) -> bytes:
    whole = domain.label(purpose + " transcript") + length_prefixed(start, blob)
    return hashlib.sha256(whole).digest()


def _request_digest(domain: TrustDomain, transcript: bytes, body: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(domain.label("request digest") + transcript)
    digest.update(body)
    return digest.digest()


def _reply_key(
    secret: bytes,
    domain: TrustDomain,
    header: ReplyHeader,
    transcript: bytes,
    request_digest: bytes,
) -> bytes:
    salt = bytes.fromhex(header.request_id) + bytes.fromhex(header.nonce)
    return _derive(secret, salt, domain.label("reply key") + transcript + request_digest)


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=_SHA256, length=32, salt=salt, info=info).derive(secret)


def _open_body(key: bytes, context: bytes, body: memoryview) -> Content:
    return parse_content(unpad(memoryview(open_chunked(key, context, body))))
