"""Answers that are junk, forged or written to deceive: rows 147 to 149 of docs/threat-model.md."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.receipt import SignedReceipt, receipt_parts
from sealflow.errors import EvidenceError, ModelError, OpenError, RefusalCode
from sealflow.owner import verify_receipt
from sealflow.owner.client.inference import MAX_ATTEMPTS, infer
from sealflow.owner.http.gateway_api import unavailable
from sealflow.owner.http.steps import HttpResponse
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.content import ContentKind, content_parts, error_parts, parse_content
from sealflow.seal.exchange import SessionSecrets, open_request
from sealflow.wire.control import error_of
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import MEDIA_TYPE, Envelope, encode_refusal
from sealflow.wire.ids import RequestId
from tests.support.sealing.receipts import REPLY, ReceiptService
from tests.support.trusted.keybroker import (
    NOW_MS,
    KeyBrokerInstance,
    keybroker_deployment,
    make_identity,
)
from tests.support.trusted.played_gateway import host, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealflow.owner import InferResult
    from sealflow.owner.http.steps import HttpRequest

LIMIT = 2**20
OTHER_ID = RequestId("ab" * 16)
ANSWER = {
    "model_name": "m",
    "model_version": "1",
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}],
}
GOOD = content_parts(ContentKind.INFER, json.dumps(ANSWER).encode())
LINES = "all is well\n\x1b[2J\x9berror: \u202eforged\u2028line\r\x00"


class Service:
    """A key broker, and a worker whose answers the host replaces at first."""

    def __init__(self) -> None:
        """Publish a model."""
        self.broker = KeyBrokerInstance().lead()
        self.digest: str = self.broker.publish("m")["digest"]
        self._worker = make_identity(Role.WORKER)
        self._key = self.broker.grant(self._worker).keys[0].private_key
        self.sent: list[bytes] = []

    def answer(self, envelope: bytes, parts: Sequence[bytes | memoryview] = GOOD) -> bytes:
        """The worker's genuine answer."""
        opened = Envelope.from_bytes(envelope, max_body_bytes=LIMIT)
        call = open_request(opened, self._key, SessionSecrets(1))
        call.read()
        return call.seal_reply(parts, model_digest=self.digest, instance=self._worker.instance)

    def infer(self, *instead: Callable[[bytes], bytes], parts: Any = GOOD) -> InferResult:
        """Have a client ask, with these answers first."""
        policy = keybroker_deployment().deployment.policy(Role.KEY_BROKER)
        session = ServiceSession(policy, clock_ms=lambda: NOW_MS)
        gateway = host(self.broker)

        def respond(request: HttpRequest) -> HttpResponse:
            if not request.path.startswith("/v1/envelopes"):
                return gateway(request)
            assert isinstance(request.body, bytes)
            self.sent.append(request.body)
            at = len(self.sent) - 1
            body = instead[at](request.body) if at < len(instead) else b""
            body = body or self.answer(request.body, parts)
            return HttpResponse(status=200, headers={"content-type": MEDIA_TYPE}, body=body)

        asked = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        steps = infer(session, "m", image=None, tensors=asked, top_k=None, timeout_s=60)
        result: InferResult = run(steps, respond)
        return result


JUNK: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda _: b"<html>busy</html>",
    "zeros": lambda _: bytes(2000),
    "its own request": lambda envelope: envelope,
    "the start of an envelope": lambda envelope: envelope[:50],
    "length of all": lambda envelope: envelope[:12] + b"\xff" * 4 + envelope[16:],
    "refusal of another": lambda _: encode_refusal(RefusalCode.MALFORMED, OTHER_ID),
    "refusal that is cut": lambda _: encode_refusal(RefusalCode.MALFORMED, None)[:-1],
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_147_junk(junk: Callable[[bytes], bytes]) -> None:
    """Junk in the place of a reply is no answer: the request is sealed anew, a few times."""
    service = Service()
    assert service.infer(*[junk] * (MAX_ATTEMPTS - 1)).outputs["y"].tolist() == [[1, 2, 3, 4]]
    assert len(set(service.sent)) == MAX_ATTEMPTS
    with pytest.raises(OpenError):
        Service().infer(*[junk] * MAX_ATTEMPTS)


def test_147_genuine() -> None:
    """What opens is final, though it breaks a rule."""
    service = Service()
    with pytest.raises(ModelError, match="it broke"):
        service.infer(parts=error_parts("model_failed", "it broke"))
    assert len(service.sent) == 1


def test_148_signatures() -> None:
    """A receipt that another key signed is found on arrival, or with the log at the latest."""
    service, stranger = ReceiptService(), make_identity(Role.WORKER)
    proof, _ = service.exchange()
    assert proof is not None
    assert verify_receipt(proof, service.broker.log()).revoked == ()

    def signed_again(key: bytes) -> Callable[[Sequence[bytes | memoryview]], Any]:
        def change(parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
            content = parse_content(memoryview(b"".join(parts)))
            text = SignedReceipt.from_json(json.loads(bytes(content.text))).text
            signature = stranger.signing.sign(TrustDomain.SIMULATED.label("receipt") + text)
            return receipt_parts(REPLY, SignedReceipt(text=text, signature=signature), key)

        return change

    signers = service.worker.signing, stranger.signing
    own, other = (each.public_key().public_bytes_raw() for each in signers)
    with pytest.raises(EvidenceError) as caught:
        service.exchange(change=signed_again(own))
    assert caught.value.code == "receipt_signature"
    forged, _ = service.exchange(change=signed_again(other))
    assert forged is not None
    with pytest.raises(EvidenceError) as caught:
        verify_receipt(forged, service.broker.log())
    assert caught.value.code == "receipt_signature"


def test_149_words_of_others(caplog: pytest.LogCaptureFixture) -> None:
    """What gateways, key brokers and models say stays one printable line in a program's log."""
    response = HttpResponse(status=503, headers={}, body=json.dumps({"error": LINES}).encode())
    answer = error_of({"error": {"code": LINES, "detail": LINES}})
    assert answer is not None
    with pytest.raises(ModelError) as failed:
        Service().infer(parts=error_parts("model_failed", LINES))
    found = [str(unavailable("away", response)), answer.code, answer.detail, str(failed.value)]
    for text in found:
        logging.getLogger("sealflow.owner").warning("%s", text)
        assert text.isprintable()
        assert "all is well" in text
    assert len(caplog.text.splitlines()) == len(found)
    answer = error_of({"error": {"code": "x" * 9999, "detail": "y" * 9999}})
    assert answer is not None
    assert (len(answer.code), len(answer.detail)) == (64, 500)
