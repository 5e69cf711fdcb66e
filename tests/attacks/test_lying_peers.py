"""Attacks by peers that hold the keys: what they seal opens, and what it says is a lie.

A client may seal anything to a worker's key, and a worker whose code is bad may seal any reply.
Authenticated encryption finds none of this; the checks of headers and contents must.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.errors import EvidenceError, MalformedError, OpenError
from sealflow.seal.chunked import seal_chunked
from sealflow.seal.content import ContentKind, content_parts, padding_for
from sealflow.seal.enclave import seal_to_enclave
from sealflow.seal.exchange import (
    SECRET_BYTES,
    OutgoingCall,
    Session,
    SessionSecrets,
    _derive,
    _reply_key,
    _transcript,
    open_request,
    session_info,
)
from sealflow.seal.keys import OpeningKey, SealingKey, Suite, parse_suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import Kind, ReplyHeader, RequestHeader, encode_start
from sealflow.wire.ids import KeyId, ModelRef, RequestId, new_session_id
from tests.support.attestation.deployments import simulated_deployment
from tests.support.sealing.sealed_sessions import (
    DIGEST,
    INSTANCE,
    KEYS,
    parse_envelope,
    start_session,
)
from tests.support.trusted.lease_host import NOW_MS, make_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.seal.exchange import IncomingCall

KEY = KEYS[Suite.X25519]
SECRET = bytes(range(SECRET_BYTES))
SESSION_ID = new_session_id()
HEADER = RequestHeader(
    key_id=KEY.public_key.key_id,
    session_id=SESSION_ID,
    request_id=RequestId("01" * 16),
    model=ModelRef(name="m", version="1"),
    model_digest=DIGEST,
    deadline_ms=1,
)
INFER = b"".join(content_parts(ContentKind.INFER, b"{}"))
RECEIPT = b"".join(content_parts(ContentKind.RECEIPT, b'{"salt":"' + b"00" * 32 + b'"}'))


def padded(content: bytes) -> bytes:
    """Pad a content as clients do."""
    head, tail = padding_for(len(content))
    return head + content + tail


def sealed_request(
    plaintext: bytes = padded(INFER),
    *,
    suite: int = Suite.X25519,
    secret: bytes = SECRET,
    **changes: Any,
) -> bytes:
    """A request that a client seals to `KEY` without any check of its own."""
    domain = TrustDomain.HARDWARE
    blob = KEY.public_key.seal(secret, session_info(domain, KEY.public_key.key_id, SESSION_ID))
    header = replace(HEADER, **changes)
    length = len(seal_chunked(bytes(32), b"", [plaintext]))
    start = encode_start(Kind.REQUEST, suite, header.to_bytes(), blob, length)
    transcript = _transcript(domain, "request", start, blob)
    info = domain.label("request key") + transcript
    key = _derive(secret, bytes.fromhex(header.request_id), info)
    return start + blob + seal_chunked(key, transcript, [plaintext])


def opened(envelope: bytes) -> IncomingCall:
    """Open a request as a worker does that has the key."""
    return open_request(parse_envelope(envelope), KEY, SessionSecrets(1))


def test_an_honest_request() -> None:
    """Each request here opens before it lies."""
    assert bytes(opened(sealed_request()).read().text) == b"{}"


@pytest.mark.parametrize(
    "lie",
    [
        {"suite": Suite.XWING},
        {"suite": Suite.SIMULATED_X25519},
        {"key_id": KeyId("00" * 32)},
        {"secret": SECRET[:-1]},
        {"secret": SECRET + b"\0"},
    ],
    ids=str,
)
def test_requests_about_another_key(lie: dict[str, Any]) -> None:
    """Suite and key id are those of the key that opens, and a secret has 32 bytes."""
    with pytest.raises(OpenError):
        opened(sealed_request(**lie))


@pytest.mark.parametrize(
    ("plaintext", "error"),
    [
        (b"", "padding: wrong length"),
        (b"\0\0\0", "padding: wrong length"),
        (padded(INFER) + b"\0", "padding: wrong length"),
        (padded(INFER)[:-1], "padding: wrong length"),
        (padded(INFER)[:-1] + b"\1", "padding: a byte is not zero"),
        (padded(INFER[:4]), "content: too short"),
        (padded(INFER[:4] + b"\3{}"), "content: the JSON length"),
        (padded(b"\0" + INFER[1:]), "content: unknown kind"),
        (padded(b"\5" + INFER[1:]), "content: unknown kind"),
        (padded(RECEIPT + RECEIPT + INFER), "wraps another receipt"),
    ],
)
def test_malformed_contents(plaintext: bytes, error: str) -> None:
    """Padding and content have one form."""
    with pytest.raises(MalformedError, match=error):
        opened(sealed_request(plaintext)).read()


def sealed_reply(call: OutgoingCall, *, suite: int | None = None, **lies: Any) -> bytes:
    """A reply that a worker seals to a call without any check of its own."""
    secret = call._secret
    assert secret is not None
    header = replace(
        ReplyHeader(
            request_id=call.request_id,
            request_digest=call.request_digest.hex(),
            key_id=call.header.key_id,
            model_digest=call.header.model_digest,
            instance=INSTANCE,
            nonce="00" * 32,
            simulated=call.domain is TrustDomain.SIMULATED,
        ),
        **lies,
    )
    plaintext = padded(INFER)
    length = len(seal_chunked(bytes(32), b"", [plaintext]))
    number = call.suite if suite is None else suite
    start = encode_start(Kind.REPLY, number, header.to_bytes(), b"", length)
    transcript = _transcript(call.domain, "reply", start, b"")
    key = _reply_key(secret, call.domain, header, transcript, call.request_digest)
    return start + seal_chunked(key, transcript, [plaintext])


@pytest.mark.parametrize(
    "lie",
    [
        {"request_id": RequestId("00" * 16)},
        {"request_digest": "00" * 32},
        {"key_id": KeyId("00" * 32)},
        {"model_digest": "00" * 32},
        {"simulated": True},
        {"suite": Suite.SIMULATED_XWING},
    ],
    ids=str,
)
def test_replies_about_another_request(lie: dict[str, Any]) -> None:
    """A reply names the request, its digest, key, model, world and suite; else it does not open."""
    call = start_session().call()
    with pytest.raises(OpenError):
        call.open_reply(parse_envelope(sealed_reply(call, **lie)))
    call.open_reply(parse_envelope(sealed_reply(call)))


def test_a_second_reply() -> None:
    """A call opens one reply, also when a worker seals a second."""
    call = start_session().call()
    replies = [parse_envelope(sealed_reply(call, nonce=byte * 32)) for byte in ("00", "01")]
    call.open_reply(replies[0])
    for reply in replies:
        with pytest.raises(OpenError):
            call.open_reply(reply)


@pytest.mark.parametrize(
    "make",
    [
        lambda: parse_suite(3),
        lambda: parse_suite(None),
        lambda: OpeningKey(suite=Suite.X25519, seed=bytes(31)),
        lambda: OpeningKey(suite=Suite.XWING, seed=bytes(33)),
        lambda: SealingKey(suite=Suite.X25519, public=b"\0" + KEY.public_key.public),
        lambda: SealingKey(suite=Suite.XWING, public=KEY.public_key.public),
        lambda: SealingKey(suite=Suite.XWING, public=b"\xff" * 1184 + KEY.public_key.public),
    ],
)
def test_malformed_keys(make: Callable[[], object]) -> None:
    """Keys have the length and the form of their suite."""
    with pytest.raises(MalformedError):
        make()


def test_keys_of_another_world() -> None:
    """No secret is sealed to a key of hardware that simulated evidence names, or the reverse."""
    made = simulated_deployment(NOW_MS)
    identity, policy = make_identity(made, Role.WORKER), made.deployment.policy(Role.WORKER)
    seal_to_enclave(b"", appraise(identity.evidence(), policy, NOW_MS), made.owner.signing, "grant")
    lying = replace(identity, private_key=OpeningKey.generate(Suite.XWING))
    with pytest.raises(EvidenceError) as caught:
        appraise(lying.evidence(), policy, NOW_MS)
    assert caught.value.code == "bound_claims"


def test_sessions_of_one_id() -> None:
    """A client that takes another's session id gets a session of its own, not the other's."""
    secrets = SessionSecrets(4)
    mine, other = (Session.start(KEY.public_key) for _ in range(2))
    stolen = replace(other, session_id=mine.session_id)
    assert secrets.open_or_recall(KEY, mine.session_id, mine.key_blob) == mine._secret
    with pytest.raises(OpenError):
        secrets.open_or_recall(KEY, stolen.session_id, stolen.key_blob)
