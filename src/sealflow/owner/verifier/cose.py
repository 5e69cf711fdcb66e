"""Owner, pure: receipts and proofs about the log in COSE, as tools of SCITT read them.

A statement is a COSE_Sign1 message (RFC 9052) with the headers of SCITT (RFC 9943); a proof of
inclusion is a COSE Receipt (RFC 9942). The verifier that audited the log signs. Spec: cose.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cbor2

from sealflow.attest.verifiers import ED25519
from sealflow.documents.receipt import Receipt
from sealflow.owner.verifier.checkpoint import log_leaves
from sealflow.owner.verifier.merkle import inclusion_path, merkle_root
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.documents.receipt import SignedReceipt
    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.owner.verifier.verifier_key import VerifierKey

CONTENT_TYPE: Final = "application/vnd.sealflow.receipt+json"
_ALG, _CONTENT_TYPE, _KID, _CWT_CLAIMS, _VDS, _VDP = 1, 3, 4, 15, 395, 396
_ISSUER, _SUBJECT = 1, 2
_ES256, _EDDSA = -7, -8
_RFC9162_SHA256: Final = 1
_INCLUSION_PROOFS: Final = -1
_COSE_SIGN1_TAG: Final = 18


def receipt_statement(
    signed: SignedReceipt, log: AuditedLog, key: VerifierKey, issuer: str
) -> bytes:
    """Return a receipt that `verify_receipt` accepted by a log, as a signed statement.

    The payload is the worker's receipt with the worker's own signature. `issuer`: who vouches for
    it, such as `hospital.example`.
    """
    given = Receipt.from_bytes(signed.text)
    headers: dict[int, object] = {
        _CONTENT_TYPE: CONTENT_TYPE,
        _CWT_CLAIMS: {
            _ISSUER: issuer,
            _SUBJECT: _subject(log, f"{given.deployment}/{given.request_id}"),
        },
    }
    return _sign1(key, headers, {}, canonical_json(signed.to_json()))


def inclusion_receipt(log: AuditedLog, number: int, key: VerifierKey, issuer: str) -> bytes:
    """Return a receipt that proves that a log entry is in the tree of a whole log.

    The leaf is the digest of the entry. The signed payload is the tree's root, and detached.
    """
    leaves = log_leaves(log)
    proof = cbor2.dumps([len(leaves), number, inclusion_path(leaves, number)])
    headers: dict[int, object] = {
        _CWT_CLAIMS: {_ISSUER: issuer, _SUBJECT: _subject(log, log.log_id)},
        _VDS: _RFC9162_SHA256,
    }
    proofs: dict[int, object] = {_VDP: {_INCLUSION_PROOFS: [proof]}}
    return _sign1(key, headers, proofs, merkle_root(leaves), detached=True)


def _subject(log: AuditedLog, name: str) -> str:
    """Return the name of what a message is about; that of a simulation says so."""
    return f"simulated/{name}" if log.simulated else name


def _sign1(
    key: VerifierKey,
    headers: dict[int, object],
    unprotected: dict[int, object],
    payload: bytes,
    *,
    detached: bool = False,
) -> bytes:
    trusted = key.trusted("verifier")
    algorithm = _EDDSA if trusted.curve == ED25519 else _ES256
    protected = cbor2.dumps(
        {_ALG: algorithm, _KID: trusted.key_id.encode(), **headers}, canonical=True
    )
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    message = [protected, unprotected, None if detached else payload, signature]
    return cbor2.dumps(cbor2.CBORTag(_COSE_SIGN1_TAG, message), canonical=True)
