"""Core: sealing and opening of requests and replies. Spec: exchange.md, sections 5 to 7.

A client starts a session with an epoch's public key: it makes a secret, and seals it to the key as
the key blob that every request of the session carries. From the secret, client and worker derive
new keys for each request and each reply.

    client                                       worker
    session = Session.start(public_key)
    call = session.seal_request(...)
        -- call.envelope -->                     call = open_request(envelope, private_key, secrets)
                                                 call.content
        <-- envelope --                          envelope = call.seal_reply(...)
    call.open_reply(envelope)

The types enforce this order. Only the `OutgoingCall` that `seal_request` returns can open the
reply, and only the `IncomingCall` that `open_request` returns can seal it. Each does so once, so
that a reply fits one request. Every failure to open is the same OpenError.
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
    parse_request_content,
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
    """A worker's LRU cache of session secrets, so that the KEM runs once per session.

    The index is key id, session id and key blob. With the blob in it, a client that reuses the
    session id of another client cannot replace its secret.
    """

    def __init__(self, capacity: int) -> None:
        """Hold at most `capacity` secrets; evict the least recently used one first."""
        self._capacity = capacity
        self._secrets: OrderedDict[tuple[KeyId, SessionId, bytes], bytes] = OrderedDict()

    def __len__(self) -> int:
        """Number of cached secrets."""
        return len(self._secrets)

    def open_or_recall(self, key: OpeningKey, session_id: SessionId, blob: bytes) -> bytes:
        """Return the session's secret from the cache, or open it from its key blob.

        Raises: OpenError.
        """
        kid = key.public_key.key_id
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
        """Drop all secrets that were sealed to a key; for when the key is destroyed."""
        for index in [index for index in self._secrets if index[0] == key_id]:
            del self._secrets[index]


def session_info(domain: TrustDomain, kid: KeyId, session_id: SessionId) -> bytes:
    """Return the HPKE `info` of a key blob: it binds trust domain, key id and session id."""
    return domain.label("session") + length_prefixed(kid.encode(), session_id.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The client's side of a series of requests that share one secret.

    Every request carries the secret sealed to `key` (the key blob), so any worker that has the key
    can open it without earlier state. Spec for the end of a session: exchange.md, 5.3.
    """

    key: SealingKey
    session_id: SessionId
    key_blob: bytes
    _secret: bytes = field(repr=False)

    @classmethod
    def start(cls, key: SealingKey) -> Session:
        """Draw a random secret and seal it to `key`, which must be from a verified directory."""
        secret = os.urandom(SECRET_BYTES)
        session_id = new_session_id()
        blob = key.seal(secret, session_info(key.suite.domain, key.key_id, session_id))
        return cls(key=key, session_id=session_id, key_blob=blob, _secret=secret)

    def seal_request(
        self, model: ModelRef, model_digest: str, parts: Parts, *, deadline_ms: int
    ) -> OutgoingCall:
        """Seal one request for one version of one model.

        `model_digest`: the digest of the model package. `parts`: the content, as `content_parts`
        returns it. `deadline_ms`: Unix ms after which workers refuse the request.
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
    """A sealed request, and the only object that can open its reply."""

    envelope: bytes = field(repr=False)
    header: RequestHeader
    suite: int
    domain: TrustDomain
    request_digest: bytes = field(repr=False)
    _secret: bytes | None = field(repr=False)

    @property
    def request_id(self) -> RequestId:
        """The id of the request, which its reply repeats."""
        return self.header.request_id

    def open_reply(self, reply: Envelope) -> tuple[ReplyHeader, Content]:
        """Open the reply to this request, once.

        Raises: OpenError if it is not the genuine reply to this request by the requested model; the
        call can still open the genuine one afterwards. MalformedError if the reply is genuine but
        its padding or content is malformed.
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
        padded = open_chunked(key, transcript, reply.body)
        self._secret = None
        return header, parse_content(unpad(memoryview(padded)))


def open_request(envelope: Envelope, key: OpeningKey, secrets: SessionSecrets) -> IncomingCall:
    """Open one request with `key`, the key that its header names.

    Raises: OpenError, for any failure to open.
    """
    header = envelope.request_header
    domain = key.suite.domain
    if envelope.suite != key.suite or header.key_id != key.public_key.key_id:
        raise OpenError
    secret = secrets.open_or_recall(key, header.session_id, envelope.key_blob)
    transcript = _transcript(domain, "request", envelope.prefix_and_header, envelope.key_blob)
    salt = bytes.fromhex(header.request_id)
    request_key = _derive(secret, salt, domain.label("request key") + transcript)
    plaintext = open_chunked(request_key, transcript, envelope.body)
    return IncomingCall(
        header=header,
        plaintext=memoryview(plaintext),
        suite=envelope.suite,
        domain=domain,
        request_digest=_request_digest(domain, transcript, envelope.body),
        session=hashlib.sha256(secret).digest(),
        _secret=secret,
    )


@dataclass(slots=True, kw_only=True)
class IncomingCall:
    """An opened request, and the only object that can seal its reply.

    `plaintext`: what the client sealed. `content`, `receipt_salt`: what `read` found in it; None
    before, and if it is malformed. So whatever is wrong with an opened request can be answered
    sealed. The salt, 64 hex digits, is None if the request asks for no receipt. `session`: equal
    for the requests of one session only, as it is a digest of the session's secret. The session id
    is not: any client can send another's.
    """

    header: RequestHeader
    plaintext: memoryview = field(repr=False)
    content: Content | None = field(default=None, repr=False)
    receipt_salt: str | None = field(default=None, repr=False)
    suite: int
    domain: TrustDomain
    request_digest: bytes = field(repr=False)
    session: bytes = field(repr=False)
    _secret: bytes | None = field(repr=False)

    def read(self) -> Content:
        """Parse the plaintext and return its content.

        Raises: MalformedError if its padding or content is malformed.
        """
        content, self.receipt_salt = parse_request_content(self.plaintext)
        self.content = content
        return content

    def seal_reply(self, parts: Parts, *, model_digest: str, instance: RequestId) -> bytes:
        """Seal the reply, once; it is bound to the request's ciphertext and to the model.

        `parts`: the content, as `content_parts` returns it. `model_digest`: the digest of the
        model that ran. `instance`: the id of this worker.

        Raises: OpenError if a reply was sealed before.
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
        # Last, so that after a MemoryError above the caller can still seal an error reply.
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
