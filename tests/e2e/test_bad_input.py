"""Bad input gets a clear answer, sealed where it can be, and the cluster goes on."""

from __future__ import annotations

import random
import struct
import time
import zlib
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest

from sealflow.errors import InvalidInputError, MalformedError, OpenError, RefusalCode, RefusedError
from sealflow.owner import ModelRef, load_policy
from sealflow.owner.client.request import request_parts
from sealflow.owner.client.result import read_result
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.exchange import Session
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import MEDIA_TYPE, Envelope, RefusalHeader
from tests.support.cluster.local_cluster import PHOTOS, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.seal.exchange import OutgoingCall

MODEL = "efficientnet-lite0"
PHOTO = (PHOTOS / "coffee.jpg").read_bytes()


@pytest.fixture
def session(cluster: LocalCluster) -> ServiceSession:
    """A verified session, to seal requests by hand."""
    session = ServiceSession(load_policy(cluster.policy))
    session.accept(session.verify_directory(httpx.get(f"{cluster.url}/v1/directory").content))
    return session


@pytest.fixture(autouse=True)
def _still_serving(cluster: LocalCluster) -> Iterator[None]:
    """After each test, the same workers still answer."""
    before = cluster.worker_pids()
    yield
    assert cluster.worker_pids() == before
    with cluster.client() as client:
        assert client.infer("tiny", tensors={"x": [[1, 2, 3, 4]]}).tensors


def _call(session: ServiceSession, *, timeout_s: float = 20.0) -> OutgoingCall:
    model = session.model("tiny")
    parts = request_parts(model, image=None, tensors={"x": [[1, 2, 3, 4]]}, top_k=None)
    return session.seal_request(model, parts, timeout_s=timeout_s)


def _post(cluster: LocalCluster, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": MEDIA_TYPE, **headers}
    return httpx.post(f"{cluster.url}/v1/envelopes", content=body, headers=sent, timeout=60)


def _refusal(response: httpx.Response) -> RefusalCode:
    header = Envelope.from_bytes(response.content, max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    return header.code


def test_truncated_envelopes(cluster: LocalCluster, session: ServiceSession) -> None:
    """Every cut is refused as malformed, at once."""
    envelope = _call(session).envelope
    for length in (0, 1, 15, 16, 100, len(envelope) // 2, len(envelope) - 1):
        response = _post(cluster, envelope[:length])
        assert response.status_code == 400
        assert _refusal(response) is RefusalCode.MALFORMED


def test_flipped_bits(cluster: LocalCluster, session: ServiceSession) -> None:
    """No flipped bit gives an answer that opens; each gets one code of the closed list."""
    source = random.Random(3)  # noqa: S311 - places to flip
    call = _call(session)
    places = [*range(16), *(source.randrange(len(call.envelope)) for _ in range(60))]
    for place in places:
        changed = bytearray(_call(session).envelope)
        changed[place % len(changed)] ^= 1 << source.randrange(8)
        response = _post(cluster, bytes(changed))
        if response.status_code == 200:
            with pytest.raises(OpenError):
                call.open_reply(Envelope.from_bytes(response.content, max_body_bytes=2**20))
        else:
            _refusal(response)


def test_oversized_envelopes(cluster: LocalCluster, session: ServiceSession) -> None:
    """A body over the limit is refused before it is read; so is one that lies about its length."""
    response = _post(cluster, bytes(17 * 2**20))
    assert response.status_code == 413
    assert _refusal(response) is RefusalCode.TOO_LARGE
    lying = bytearray(_call(session).envelope)
    lying[12:16] = (2**32 - 1).to_bytes(4)
    assert _refusal(_post(cluster, bytes(lying))) is RefusalCode.TOO_LARGE


def test_a_replayed_envelope(cluster: LocalCluster, session: ServiceSession) -> None:
    """However often an envelope comes, each worker opens it once at most."""
    envelope = _call(session).envelope
    answers = [_post(cluster, envelope) for _ in range(12)]
    served = [answer for answer in answers if answer.status_code == 200]
    assert 1 <= len(served) <= len(cluster.worker_pids())
    assert {_refusal(each) for each in answers if each.status_code != 200} == {RefusalCode.REPLAYED}


def test_an_expired_envelope(cluster: LocalCluster, session: ServiceSession) -> None:
    """A request whose deadline has passed is refused without being opened."""
    call = _call(session, timeout_s=0.05)
    time.sleep(0.1)
    response = _post(cluster, call.envelope)
    assert response.status_code == 504
    assert _refusal(response) is RefusalCode.EXPIRED


def test_an_unknown_model(cluster: LocalCluster, session: ServiceSession) -> None:
    """A model that is not served is refused, by name and by digest."""
    assert session.verified is not None
    key = session.verified.directory.keys[0]
    from sealflow.seal.keys import SealingKey

    sealing = Session.start(SealingKey(suite=key.suite, public=key.public))
    deadline_ms = time.time_ns() // 10**6 + 10_000
    tiny = session.model("tiny")
    for ref, digest in (
        (ModelRef(name="absent", version="1"), tiny.digest),
        (ModelRef(name="tiny", version="2"), tiny.digest),
        (ModelRef(name="tiny", version="1"), "00" * 32),
    ):
        call = sealing.seal_request(ref, digest, [b"x"], deadline_ms=deadline_ms)
        response = _post(cluster, call.envelope)
        assert response.status_code == 404
        assert _refusal(response) is RefusalCode.UNKNOWN_MODEL


def test_an_unknown_key(cluster: LocalCluster, session: ServiceSession) -> None:
    """A request sealed to somebody else's key is refused."""
    stranger = OpeningKey.generate(Suite.SIMULATED_XWING)
    tiny = session.model("tiny")
    call = Session.start(stranger.public_key).seal_request(
        ModelRef(name=tiny.name, version=tiny.version),
        tiny.digest,
        [b"x"],
        deadline_ms=time.time_ns() // 10**6 + 10_000,
    )
    response = _post(cluster, call.envelope)
    assert response.status_code == 409
    assert _refusal(response) is RefusalCode.UNKNOWN_KEY


def test_nonsense_inside_the_seal(cluster: LocalCluster, session: ServiceSession) -> None:
    """What opens but is no infer request is answered with a sealed error."""
    tiny = session.model("tiny")
    for parts in ([b""], [b"\1\0\0\0\2{}"], [b"\2\0\0\0\2{}"], [b"\1\0\0\0\1{"], [bytes(1000)]):
        call = session.seal_request(tiny, [*parts], timeout_s=20)
        response = _post(cluster, call.envelope)
        assert response.status_code == 200
        header, content = call.open_reply(
            Envelope.from_bytes(response.content, max_body_bytes=2**20)
        )
        with pytest.raises(InvalidInputError):
            read_result(call.header.model, header, content, outputs=())


def _bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 × 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    data = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"", "element 0"),
        (b"not an image at all", "neither"),
        (PHOTO[: len(PHOTO) // 8], "element 0"),
        (_bomb(), "pixels"),
        (b"GIF89a" + bytes(100), "neither"),
    ],
    ids=["empty", "text", "truncated", "bomb", "gif"],
)
def test_bad_images(cluster: LocalCluster, image: bytes, says: str) -> None:
    """The sealed answer names the image and what is wrong with it."""
    with cluster.client() as client, pytest.raises(InvalidInputError, match=says):
        client.infer(MODEL, image=image)


def test_one_bad_image_among_good_ones(cluster: LocalCluster) -> None:
    """Others in flight at the same time are answered right."""
    images = [PHOTO, b"bad", PHOTO, PHOTO[:500], PHOTO]
    with cluster.client() as client:
        values = {each.index: each.value for each in client.infer_many(MODEL, images, top_k=1)}
    assert [isinstance(values[place], InvalidInputError) for place in range(5)] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_unusual_photos(cluster: LocalCluster) -> None:
    """Grey, transparent, tiny, long and large images are answered like any other."""
    source = np.random.default_rng(5)
    shapes = [(1, 1, 3), (40, 900, 3), (300, 200), (64, 64, 4), (3000, 2000, 3)]
    with cluster.client() as client:
        for shape in shapes:
            pixels = source.integers(0, 255, shape, np.uint8)
            ending = ".png" if shape[-1] == 4 else ".jpg"
            image = cv2.imencode(ending, pixels)[1].tobytes()
            assert len(client.infer(MODEL, image=image, top_k=3).top) == 3


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"x": np.full((1, 4), 1e300)}, r"1e\+300 at \[0, 0\] is not a value of FP32"),
        ({"x": np.zeros((1, 5), np.float32)}, r"\[1, 5\]"),
        ({"x": np.zeros(4, np.float32)}, r"\[4\]"),
        ({"x": np.zeros((0, 4), np.float32)}, "rows|shape"),
        ({"y": np.zeros((1, 4), np.float32)}, "no input 'y'"),
        ({"x": np.zeros((5000, 4), np.float32)}, "rows"),
    ],
    ids=["dtype", "size", "rank", "empty", "name", "rows"],
)
def test_bad_tensors(
    cluster: LocalCluster, tensors: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
    says: str,
) -> None:  # fmt: skip
    """Datatype, shape, name and size are said: what was expected and what came."""
    with cluster.client() as client, pytest.raises(InvalidInputError, match=says):
        client.infer("tiny", tensors=tensors)


def test_other_requests_of_the_gateway(cluster: LocalCluster) -> None:
    """Wrong paths, methods, content types and control requests are told what to do."""
    url = cluster.url
    assert httpx.get(f"{url}/nothing").status_code == 404
    assert httpx.delete(f"{url}/v1/envelopes").status_code == 405
    assert httpx.post(f"{url}/v1/envelopes", content=b"{}").status_code == 415
    headers = {"content-type": "application/json"}
    bad = httpx.post(f"{url}/v1/control", content=b"[", headers=headers)
    assert bad.status_code == 400
    unknown = httpx.post(f"{url}/v1/control", json={"op": "give me the keys"})
    assert unknown.json()["error"]["code"] == "unknown_op"
    enroll = {"op": "enroll", "challenge": "00" * 16, "evidence": {}}
    assert "error" in httpx.post(f"{url}/v1/control", json=enroll).json()
    assert httpx.put(f"{url}/v1/packages/../../etc", content=b"x").status_code in (400, 404)
    assert httpx.put(f"{url}/v1/packages/{'zz' * 32}", content=b"x").status_code == 400


def test_the_reply_belongs_to_its_request(cluster: LocalCluster, session: ServiceSession) -> None:
    """A genuine reply opens with its own call only, and only once."""
    first, second = _call(session), _call(session)
    reply = Envelope.from_bytes(_post(cluster, first.envelope).content, max_body_bytes=2**20)
    with pytest.raises(OpenError):
        second.open_reply(reply)
    first.open_reply(reply)
    with pytest.raises(OpenError):
        first.open_reply(reply)
    with pytest.raises((RefusedError, MalformedError, OpenError)):
        second.open_reply(Envelope.from_bytes(first.envelope, max_body_bytes=2**20))


def test_asynchronous_submit_and_fetch(cluster: LocalCluster, session: ServiceSession) -> None:
    """`Prefer: respond-async` gives a location that gives the reply, also twice; others are 404."""
    call = _call(session)
    accepted = _post(cluster, call.envelope, prefer="respond-async")
    assert accepted.status_code == 202
    location = f"{cluster.url}{accepted.headers['location']}"
    for _ in range(2):
        response = httpx.get(location, params={"wait": "20"}, timeout=30)
        assert response.status_code == 200
    call.open_reply(Envelope.from_bytes(response.content, max_body_bytes=2**20))
    assert httpx.get(f"{cluster.url}/v1/envelopes/{'ab' * 16}").status_code == 404
    assert httpx.get(f"{cluster.url}/v1/envelopes/zz").status_code == 400
