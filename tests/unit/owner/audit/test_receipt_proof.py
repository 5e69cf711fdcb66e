"""Receipts: genuine ones prove what was answered, all others are refused by name."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING

import pytest

from sealflow.documents.receipt import salted_digest
from sealflow.errors import EvidenceError, MalformedError
from sealflow.owner import Receipt, RevokedKind, Role, SignedReceipt, TrustDomain
from sealflow.owner.audit.receipt_proof import ReceiptProof, verify_receipt
from sealflow.seal.content import ContentKind, content_parts, padding_for, parse_request_content
from tests.support.sealing.receipts import PARTS, REPLY, ReceiptService
from tests.support.trusted.keybroker import NOW_MS, OPERATOR, make_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.trusted.identity.identity import EnclaveIdentity


@cache
def service() -> ReceiptService:
    """One for all tests that change nothing."""
    return ReceiptService()


@cache
def proof() -> ReceiptProof:
    """A genuine one."""
    found, binary = service().exchange()
    assert found is not None
    assert binary == b"\x01\x02"
    return found


def _refused(code: str, changed: ReceiptProof, service_: ReceiptService | None = None) -> None:
    log = (service_ or service()).broker.log()
    with pytest.raises(EvidenceError) as caught:
        verify_receipt(changed, log)
    assert caught.value.code == code


def _signed(receipt: Receipt, worker: EnclaveIdentity | None = None) -> ReceiptProof:
    worker = worker or service().worker
    signed = SignedReceipt.sign(receipt, worker.signing, TrustDomain.SIMULATED)
    return dataclasses.replace(proof(), signed=signed)


def test_a_genuine_receipt_is_proved_by_the_log() -> None:
    """Also after a while in a file."""
    kept = ReceiptProof.from_bytes(proof().to_bytes())
    found = verify_receipt(kept, service().broker.log())
    assert found.receipt.model_digest == service().digest
    assert found.receipt.instance == service().worker.instance
    assert found.receipt.at_ms == NOW_MS
    assert found.revoked == ()
    assert kept.request == b"".join(PARTS)
    assert kept.reply == b"".join(REPLY)


def test_who_does_not_ask_gets_none() -> None:
    """The reply is what it always was."""
    _, binary = service().exchange(asked=False)
    assert binary == b"\x01\x02"


def test_a_receipt_without_its_salt_says_nothing_of_the_contents() -> None:
    """The same contents have other digests each time."""
    other, _ = service().exchange()
    assert other is not None
    one, two = (Receipt.from_bytes(each.signed.text) for each in (proof(), other))
    assert one.request_digest != two.request_digest
    assert one.reply_digest != two.reply_digest
    assert salted_digest(TrustDomain.HARDWARE, "reply", "00" * 32, REPLY) != salted_digest(
        TrustDomain.HARDWARE, "request", "00" * 32, REPLY
    )


def test_other_contents_are_refused() -> None:
    """Request, reply and salt are those that were signed for."""
    for changed in (
        dataclasses.replace(proof(), request=b"other"),
        dataclasses.replace(proof(), reply=b"other"),
        dataclasses.replace(proof(), salt="00" * 32),
    ):
        _refused("receipt_content", changed)


def test_what_the_log_does_not_vouch_for_is_refused() -> None:
    """Another worker, another signer, another model, key, deployment or time."""
    receipt = Receipt.from_bytes(proof().signed.text)
    stranger = make_identity(Role.WORKER)
    _refused("receipt_worker", _signed(dataclasses.replace(receipt, instance=stranger.instance)))
    _refused("receipt_signature", _signed(receipt, stranger))
    late = service().grant.lease_ms
    for changes in (
        {"model_digest": "0" * 64},
        {"key_id": "sim-" + "0" * 64},
        {"manifest_digest": "0" * 64},
        {"deployment": "other"},
        {"at_ms": late + 1},
        {"at_ms": NOW_MS - 300_001},
    ):
        _refused("receipt_grant", _signed(dataclasses.replace(receipt, **changes)))


def test_revocations_are_told() -> None:
    """Later ones are said, earlier ones count."""
    for kind in (RevokedKind.WORKER, RevokedKind.MODEL, RevokedKind.KEY):
        own = ReceiptService()
        before, _ = own.exchange()
        assert before is not None
        receipt = Receipt.from_bytes(before.signed.text)
        name = {
            RevokedKind.WORKER: receipt.instance,
            RevokedKind.MODEL: receipt.model_digest,
            RevokedKind.KEY: receipt.key_id,
        }[kind]
        own.broker.tick(1000)
        assert "error" not in own.broker.revoke(kind, name, key=OPERATOR)
        own.clock.advance(NOW_MS + 2000)
        after, _ = own.exchange()
        assert after is not None
        found = verify_receipt(before, own.broker.log())
        assert [(what.kind, at_ms) for what, at_ms in found.revoked] == [(kind, NOW_MS + 1000)]
        _refused("receipt_revoked", after, own)


def test_a_worker_cannot_leave_it_out_or_give_another() -> None:
    """A client that asked takes no reply without the receipt for exactly this exchange."""
    with pytest.raises(EvidenceError, match="receipt_missing"):
        service().exchange(attach=False)
    other, key = proof().signed, service().worker.signing.public_key().public_bytes_raw()

    def exchanged(parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
        from sealflow.documents.receipt import receipt_parts

        return receipt_parts(parts[1:], other, key)

    with pytest.raises(EvidenceError, match="receipt_content"):
        service().exchange(change=exchanged)


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"salt":"short"}',
        b'{"salt":1}',
        b'{"salt":"' + b"0" * 64 + b'","x":1,"critical":["x"]}',
    ],
)
def test_nonsense_that_asks_for_a_receipt_is_malformed(text: bytes) -> None:
    """Exactly one salt, and one content within."""
    whole = b"".join((*content_parts(ContentKind.RECEIPT, text), *PARTS))
    with pytest.raises(MalformedError):
        parse_request_content(padded(whole))
    salt = b'{"salt":"' + b"0" * 64 + b'"}'
    nested = b"".join((*content_parts(ContentKind.RECEIPT, salt), whole))
    with pytest.raises(MalformedError):
        parse_request_content(padded(nested))


def padded(content: bytes) -> memoryview:
    """Pad it as a client does."""
    head, tail = padding_for(len(content))
    return memoryview(head + content + tail)
