"""The worked exchange: the library computes each of its values, and the page shows them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sealflow.seal import exchange
from sealflow.seal.chunked import open_chunked
from sealflow.seal.content import padding_for, unpad
from sealflow.seal.exchange import OutgoingCall, SessionSecrets, open_request, session_info
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import Envelope, ReplyHeader
from sealflow.wire.ids import KeyId, SessionId
from tests.support.sealing.worked_exchange import FILE, vectors

if TYPE_CHECKING:
    from sealflow.seal.exchange import IncomingCall

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "client.md"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())["cases"]
HARDWARE = TrustDomain.HARDWARE
LIMIT = 2**20


class Values:
    """The values of a case as bytes."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.suite = Suite(case["suite"])
        self._steps: dict[str, str] = case["steps"]

    def __getitem__(self, name: str) -> bytes:
        """Return a value."""
        return bytes.fromhex(self._steps[name])

    @property
    def key(self) -> OpeningKey:
        """The worker's key."""
        return OpeningKey(suite=self.suite, seed=self["key_seed"])

    def envelope(self, what: str) -> Envelope:
        """The parsed request or reply."""
        return Envelope.from_bytes(self[f"{what}_envelope"], max_body_bytes=LIMIT)

    def opened(self) -> IncomingCall:
        """The request, opened."""
        return open_request(self.envelope("request"), self.key, SessionSecrets(1))


@pytest.fixture(params=CASES, ids=lambda case: case["name"])
def values(request: pytest.FixtureRequest) -> Values:
    """Each case."""
    return Values(request.param)


def test_file() -> None:
    """The file is what the formulas give, without the library."""
    assert json.loads(FILE.read_text()) == vectors()


def test_page() -> None:
    """The page shows every value of the exchange with X25519, and no other."""
    blocks = "\n".join(
        re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    )
    shown = {
        name: (int(length), re.sub(r"\s", "", text))
        for name, length, text in re.findall(
            r"^(\w+) \((\d+) bytes\)\n((?:  [0-9a-f]+\n)+)", blocks, re.MULTILINE
        )
    }
    assert shown == {name: (len(text) // 2, text) for name, text in CASES[0]["steps"].items()}


def test_keys(values: Values) -> None:
    """The seed gives the public key and its id."""
    assert values.key.public_key.public == values["public_key"]
    assert values.key.public_key.key_id == values["kid"].hex()


def test_kem(values: Values) -> None:
    """The parts of the shared secret are those of the two algorithms."""
    curve_seed = values["key_seed"]
    if values.suite is Suite.XWING:
        expanded = hashlib.shake_256(values["key_seed"]).digest(96)
        assert expanded == values["expanded_seed"]
        curve_seed = expanded[64:]
        opened = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).decapsulate(values["enc"][:1088])
        assert opened == values["ml_kem_secret"]
    ephemeral = X25519PrivateKey.from_private_bytes(values["ephemeral_private"])
    assert ephemeral.public_key().public_bytes_raw() == values["enc"][-32:]
    mine = X25519PrivateKey.from_private_bytes(curve_seed)
    theirs = X25519PublicKey.from_public_bytes(values["enc"][-32:])
    assert mine.exchange(theirs) == values["dh"]


def test_key_blob(values: Values) -> None:
    """The key blob opens to the session secret, by the info of the session."""
    sid = SessionId(values["sid"].hex())
    info = session_info(HARDWARE, KeyId(values["kid"].hex()), sid)
    assert info == values["hpke_info"]
    assert values["key_blob"].startswith(values["enc"])
    assert values.key.open(values["key_blob"], info) == values["session_secret"]


def test_request(values: Values) -> None:
    """Transcript, key, padding and digest are the library's, and the body opens."""
    start, transcript = values["request_start"], values["request_T"]
    assert exchange._transcript(HARDWARE, "request", start, values["key_blob"]) == transcript
    info = HARDWARE.label("request key") + transcript
    key = exchange._derive(values["session_secret"], values["rid"], info)
    assert key == values["request_K"]
    assert open_chunked(key, transcript, values["request_body"]) == values["request_padded"]
    assert unpad(memoryview(values["request_padded"])) == values["request_content"]
    head, tail = padding_for(len(values["request_content"]))
    assert head + values["request_content"] + tail == values["request_padded"]
    digest = exchange._request_digest(HARDWARE, transcript, values["request_body"])
    assert digest == values["request_digest"]
    assert start + values["key_blob"] + values["request_body"] == values["request_envelope"]
    assert values["request_salt"] + values["request_commitment"] == values["request_body"][:56]


def test_reply(values: Values) -> None:
    """Transcript and key of the reply are the library's, and its body opens."""
    start, transcript = values["reply_start"], values["reply_T"]
    assert exchange._transcript(HARDWARE, "reply", start, b"") == transcript
    header = values.envelope("reply").header
    assert isinstance(header, ReplyHeader)
    assert header.nonce == values["reply_nonce"].hex()
    secret, digest = values["session_secret"], values["request_digest"]
    key = exchange._reply_key(secret, HARDWARE, header, transcript, digest)
    assert key == values["reply_K"]
    assert open_chunked(key, transcript, values["reply_body"]) == values["reply_padded"]
    assert unpad(memoryview(values["reply_padded"])) == values["reply_content"]
    assert start + values["reply_body"] == values["reply_envelope"]
    assert values["reply_salt"] + values["reply_commitment"] == values["reply_body"][:56]


def test_whole(values: Values) -> None:
    """A worker opens the request, and a client the reply."""
    request = values.opened()
    content = request.read()
    whole = bytes([content.kind]), bytes(content.text), content.binary
    assert values["request_content"] == (
        whole[0] + len(whole[1]).to_bytes(4) + whole[1] + bytes(whole[2])
    )
    call = OutgoingCall(
        envelope=values["request_envelope"],
        header=request.header,
        suite=values.suite,
        domain=HARDWARE,
        request_digest=values["request_digest"],
        _secret=values["session_secret"],
    )
    _, answer = call.open_reply(values.envelope("reply"))
    assert values["reply_content"].endswith(bytes(answer.text) + bytes(answer.binary))
