"""Statements and receipts in COSE: an independent library of SCITT reads and verifies them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealflow.owner import AuditedLog, SignedReceipt, verify_receipt
from sealflow.owner.verifier.cose import CONTENT_TYPE, inclusion_receipt, receipt_statement
from tests.support.passports.tokens import ED25519, OTHER, P256
from tests.support.sealing.receipts import ReceiptService

if TYPE_CHECKING:
    from sealflow.owner import ReceiptProof
    from sealflow.owner.verifier.verifier_key import VerifierKey

KEYS = {"EdDSA": ED25519, "ES256": P256}
ISSUER = "hospital.example"


@pytest.fixture(scope="module")
def exchange() -> tuple[ReceiptProof, AuditedLog]:
    """A receipt, and the log that vouches for it."""
    service = ReceiptService()
    proof, _ = service.exchange()
    assert proof is not None
    return proof, service.broker.log()


def pem(key: VerifierKey) -> bytes:
    """The public key as other tools take it."""
    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", KEYS)
def test_statement(exchange: tuple[ReceiptProof, AuditedLog], algorithm: str) -> None:
    """Its issuer, subject, type and payload are signed; the payload is the worker's receipt."""
    proof, log = exchange
    key = KEYS[algorithm]
    statement = receipt_statement(proof.signed, log, key, ISSUER)
    found = scitt_cose.parse_signed_statement(statement, public_key_pem=pem(key))
    assert found["signature_verified"] is True
    assert (found["issuer"], found["content_type"]) == (ISSUER, CONTENT_TYPE)
    given = verify_receipt(proof, log).receipt
    assert found["subject"] == f"simulated/{given.deployment}/{given.request_id}"
    assert found["alg"] in (algorithm, -8, -7)
    assert SignedReceipt.from_json(json.loads(found["payload"])) == proof.signed
    assert proof.request not in statement
    other = scitt_cose.parse_signed_statement(statement, public_key_pem=pem(OTHER))
    assert other["signature_verified"] is False


@pytest.mark.parametrize("algorithm", KEYS)
def test_inclusion(exchange: tuple[ReceiptProof, AuditedLog], algorithm: str) -> None:
    """Every entry of the log is proved by its digest; another digest or key is refused."""
    _, log = exchange
    key = KEYS[algorithm]
    for number, digest in enumerate(log.digests):
        receipt = inclusion_receipt(log, number, key, ISSUER)
        found = scitt_cose.verify_receipt(
            receipt, leaf_entry_hex=digest, log_public_key_pem=pem(key)
        )
        assert found.errors == []
        for leaf, other in (("00" * 32, key), (digest, OTHER)):
            refused = scitt_cose.verify_receipt(
                receipt, leaf_entry_hex=leaf, log_public_key_pem=pem(other)
            )
            assert refused.errors != []


def test_log_of_one_entry(exchange: tuple[ReceiptProof, AuditedLog]) -> None:
    """The path of the only leaf is empty."""
    _, log = exchange
    first = replace(log, entries=log.entries[:1], digests=log.digests[:1])
    receipt = inclusion_receipt(first, 0, ED25519, ISSUER)
    found = scitt_cose.verify_receipt(
        receipt, leaf_entry_hex=log.digests[0], log_public_key_pem=pem(ED25519)
    )
    assert found.errors == []


def test_deterministic_form(exchange: tuple[ReceiptProof, AuditedLog]) -> None:
    """The bytes are those of deterministic CBOR, with the tag of COSE_Sign1."""
    proof, log = exchange
    for message in (
        receipt_statement(proof.signed, log, ED25519, ISSUER),
        inclusion_receipt(log, 1, ED25519, ISSUER),
    ):
        value = cbor2.loads(message)
        assert value.tag == 18
        assert cbor2.dumps(value, canonical=True) == message
        protected = cbor2.loads(value.value[0])
        assert cbor2.dumps(protected, canonical=True) == value.value[0]
        assert protected[4] == ED25519.trusted("v").key_id.encode()
