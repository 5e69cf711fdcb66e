"""Attacks on sealed requests and replies: rows 39 to 48 and 50 to 52 of the threat model."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealflow.errors import MalformedError, OpenError, RefusalCode, RefusedError
from sealflow.owner.client.inference import MAX_ATTEMPTS, MAX_UNAVAILABLE_S, infer
from sealflow.owner.http.steps import HttpResponse, Sleep
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.chunked import open_chunked, seal_chunked
from sealflow.seal.content import padded_length
from sealflow.seal.exchange import Session, SessionSecrets
from sealflow.seal.keys import OpeningKey, SealingKey, Suite
from sealflow.trusted.worker.serving.arrivals import ClockTick
from sealflow.wire.envelope import MEDIA_TYPE, encode_refusal
from sealflow.wire.ids import RequestId, new_request_id
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.sealing.gcm_collision import chunk_of_two_keys
from tests.support.sealing.sealed_sessions import parse_envelope, start_session
from tests.support.trusted.worker import KEY, OTHER_KEY, Worker, negation_model, seal_call

CHUNK = 16 * 1024
VECTORS = Path(__file__).parents[1] / "vectors" / "wycheproof"


def test_39_truncated() -> None:
    """A request cut at any byte, and a body cut at any chunk's border, does not open."""
    both = start_session(Suite.X25519)
    data = both.call(binary=b"tensor").envelope
    for cut in range(len(data)):
        with pytest.raises((OpenError, MalformedError)):
            both.open(data[:cut])
    sealed = seal_chunked(bytes(32), b"context", [bytes(4 * CHUNK + 5)])
    for chunks in range(5):
        with pytest.raises(OpenError):
            open_chunked(bytes(32), b"context", sealed[: 56 + chunks * (CHUNK + 16)])


def test_40_header_bytes() -> None:
    """Every flipped byte of prefix, header and key blob is refused."""
    both = start_session(Suite.X25519)
    data = both.call().envelope
    body = len(parse_envelope(data).body)
    for at in range(len(data) - body):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises((OpenError, MalformedError)):
            both.open(bytes(changed))


def test_41_bodies_swapped() -> None:
    """The body of one request does not open under the header of another of its session."""
    both = start_session()
    one, two = (parse_envelope(both.call(text=text).envelope) for text in (b'{"a":1}', b'{"b":1}'))
    assert len(one.body) == len(two.body)
    start = bytes(one.prefix_and_header) + bytes(one.key_blob)
    with pytest.raises(OpenError):
        both.open(start + bytes(two.body))


def test_42_replies_swapped() -> None:
    """A reply opens for its own request only: not another's, another session's or client's."""
    both, stranger = start_session(), start_session()
    call, other, foreign = both.call(), both.call(), stranger.call()
    reply = both.answer(call.envelope)
    for wrong in (other, foreign):
        with pytest.raises(OpenError):
            wrong.open_reply(parse_envelope(reply))
    call.open_reply(parse_envelope(reply))


def test_43_reflection() -> None:
    """A request is no reply, and a reply no request."""
    both = start_session()
    call = both.call()
    with pytest.raises(OpenError):
        call.open_reply(parse_envelope(call.envelope))
    with pytest.raises(MalformedError):
        both.open(both.answer(call.envelope))


def test_44_replayed() -> None:
    """A worker takes a request once; after its deadline or its key's end nobody takes it."""
    model = negation_model()
    call = seal_call(model)
    outside = Worker().serve(model).send(call.envelope, call.envelope).finish()
    assert outside.refusal(1) is RefusalCode.REPLAYED
    late = Worker().serve(model)
    late.clock.advance(call.header.deadline_ms + 1)
    assert late.send(call.envelope).finish().refusal(0) is RefusalCode.EXPIRED
    gone = Worker().serve(model, destroy_ms=20_000)
    gone.clock.advance(20_000)
    gone.arrivals.put(ClockTick())
    assert gone.send(call.envelope).finish().refusal(0) is RefusalCode.UNAVAILABLE


def test_45_kid_confusion() -> None:
    """The same seed in another suite or world is another key, and opens nothing of this one."""
    seed = bytes(range(32))
    keys = [OpeningKey(suite=suite, seed=seed) for suite in Suite]
    assert len({key.public_key.key_id for key in keys}) == len(keys)
    for sealer in keys:
        session = Session.start(sealer.public_key)
        for opener in keys:
            if opener is not sealer:
                with pytest.raises(OpenError):
                    SessionSecrets(1).open_or_recall(opener, session.session_id, session.key_blob)
    outside = (
        Worker()
        .serve(negation_model(), keys=(OTHER_KEY,))
        .send(seal_call(negation_model()).envelope)
    )
    assert outside.finish().refusal(0) is RefusalCode.UNKNOWN_KEY


def test_46_suite_downgrade() -> None:
    """Another suite in the prefix than the key's own is refused."""
    data = bytearray(seal_call(negation_model()).envelope)
    assert data[6:8] == int(KEY.suite).to_bytes(2)
    for suite in Suite:
        if suite is not KEY.suite:
            data[6:8] = int(suite).to_bytes(2)
            outside = Worker().serve(negation_model()).send(bytes(data)).finish()
            assert outside.refusal(0) is RefusalCode.NOT_OPENED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cobblestone:
    """What a published vector says of one message: its keys, and those of its chunks."""

    key: bytes
    context: bytes
    salt: bytes
    commitment: bytes
    chunk_key: bytes
    nonce: bytes

    @classmethod
    def of(cls, comment: str) -> Cobblestone:
        """Find a valid vector."""
        path = VECTORS / "c2sp_chunked_encryption_aes_256_gcm_test.json"
        groups = json.loads(path.read_text())["testGroups"]
        case = next(
            case for group in groups for case in group["tests"] if case["comment"] == comment
        )
        sealed = zlib.decompress(bytes.fromhex(case["ct"]))
        return cls(
            key=bytes.fromhex(case["key"]),
            context=bytes.fromhex(case["ctx"]),
            salt=sealed[:24],
            commitment=sealed[24:56],
            chunk_key=bytes.fromhex(case["aeadKey"]),
            nonce=bytes.fromhex(case["baseNonce"]),
        )


def test_47_key_commitment() -> None:
    """A chunk that is genuine under two keys opens under the one that its header commits to.

    AES-GCM alone would open it under both.
    """
    one = Cobblestone.of("short message, single chunk")
    two = Cobblestone.of("short message with non-empty context string")
    assert one.chunk_key != two.chunk_key
    chunk = chunk_of_two_keys((one.chunk_key, one.nonce), (two.chunk_key, two.nonce))
    for each, other in ((one, two), (two, one)):
        inside = AESGCM(each.chunk_key).decrypt(each.nonce, chunk, None)
        own = each.salt + each.commitment + chunk
        assert open_chunked(each.key, each.context, own) == inside
        for salt, commitment in (
            (each.salt, other.commitment),
            (other.salt, each.commitment),
            (other.salt, other.commitment),
        ):
            with pytest.raises(OpenError):
                open_chunked(each.key, each.context, salt + commitment + chunk)
        for at in range(32):
            changed = bytearray(own)
            changed[24 + at] ^= 1
            with pytest.raises(OpenError):
                open_chunked(each.key, each.context, bytes(changed))


class Waiting:
    """The time as conversations see it: it passes while they pause."""

    def __init__(self) -> None:
        """Start somewhere."""
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now_s


@pytest.mark.parametrize(
    ("code", "most"), [(RefusalCode.UNKNOWN_KEY, 20), (RefusalCode.REPLAYED, MAX_ATTEMPTS)]
)
def test_48_forged_refusals(code: RefusalCode, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals that the broker forges end in an error after a bounded number of sealed tries.

    A key that the verified directory has is tried for a while, ever more slowly; all are sealed
    alike.
    """
    time = Waiting()
    monkeypatch.setattr("sealflow.owner.client.inference.time", time)
    published = PublishedService.create()
    session = ServiceSession(published.policy, clock_ms=lambda: NOW_MS)
    document = published.document(published.with_model())
    steps = infer(
        session, "m", image=None, tensors={"x": published.tensor()}, top_k=None, timeout_s=300.0
    )
    sent: list[bytes] = []
    answer: HttpResponse | None = None
    with pytest.raises(RefusedError) as caught:
        while True:
            wish = steps.send(answer)
            answer = None
            if isinstance(wish, Sleep):
                time.now_s += wish.seconds
            elif wish.path.startswith("/v1/directory"):
                answer = HttpResponse(status=200, headers={}, body=document)
            else:
                assert isinstance(wish.body, bytes)
                sent.append(wish.body)
                refusal = encode_refusal(code, None)
                answer = HttpResponse(
                    status=409, headers={"content-type": MEDIA_TYPE}, body=refusal
                )
    assert caught.value.code is code
    assert MAX_ATTEMPTS <= len(sent) <= most
    assert time.now_s < 1000 + MAX_UNAVAILABLE_S + 3
    assert {parse_envelope(each).suite for each in sent} == {Suite.SIMULATED_XWING}


def test_50_lengths() -> None:
    """On the wire there are the sizes of buckets only."""
    both = start_session(Suite.X25519)
    lengths = {
        len(parse_envelope(both.call(binary=bytes(size)).envelope).body) for size in range(4000)
    }
    assert len(lengths) < 110
    assert all(padded_length(size) <= size * 1.13 for size in range(512, 100_000, 37))


def test_51_nonce_reuse() -> None:
    """Two requests never share id or ciphertext, though all else is the same."""
    both = start_session(Suite.X25519)
    calls = [both.call(b"{}") for _ in range(200)]
    assert len({call.request_id for call in calls}) == 200
    assert len({bytes(parse_envelope(call.envelope).body) for call in calls}) == 200
    assert len({new_request_id() for _ in range(10_000)}) == 10_000
    call = both.call()
    opened = both.open(call.envelope)
    opened.seal_reply([b""], model_digest="cd" * 32, instance=RequestId("ab" * 16))
    with pytest.raises(OpenError):
        opened.seal_reply([b""], model_digest="cd" * 32, instance=RequestId("ab" * 16))


def test_52_bad_points() -> None:
    """Points of low order and malformed ciphertexts of ML-KEM are refused."""
    for point in (bytes(32), b"\1" + bytes(31), (2**255 - 19).to_bytes(32, "little")):
        with pytest.raises(MalformedError):
            SealingKey(suite=Suite.X25519, public=point).seal(b"secret", b"")
    key = OpeningKey.generate(Suite.XWING)
    good = key.public_key.seal(b"secret", b"")
    for blob in (b"", good[:-1], bytes(len(good)), b"\xff" * 1088 + good[1088:], good + b"x"):
        with pytest.raises(OpenError):
            key.open(blob, b"")
