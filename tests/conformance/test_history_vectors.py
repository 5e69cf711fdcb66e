"""Logs, directories and receipts that were written once are read the same for ever."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role
from sealflow.documents.directory import SignedDirectory
from sealflow.documents.log import EntryKind
from sealflow.errors import EvidenceError, MalformedError
from sealflow.owner import ReceiptProof, audit_log, verify_receipt
from sealflow.owner.trust.session import ServiceSession

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "history.json").read_text()
)
POLICY = Deployment.from_bytes(b64decode(VECTORS["deployment"])).policy(Role.KEY_BROKER)
RECORDS = [record.encode() for record in VECTORS["log"]]


def test_the_log() -> None:
    """Chain, signatures and evidence hold; every entry has its digest."""
    log = audit_log(RECORDS, POLICY)
    assert list(log.digests) == VECTORS["log_digests"]
    assert {entry.kind for entry in log.entries} == set(EntryKind) - {
        EntryKind.JOINED,
        EntryKind.UNKNOWN,
    }


@pytest.mark.parametrize("code", VECTORS["reject_logs"])
def test_logs_that_must_be_refused(code: str) -> None:
    """Each by its code."""
    with pytest.raises(EvidenceError) as caught:
        audit_log([record.encode() for record in VECTORS["reject_logs"][code]], POLICY)
    assert caught.value.code == code


def test_the_directories(tmp_path: Path) -> None:
    """They verify at their time, are in the log, and the log links them."""
    documents = [b64decode(VECTORS[f"directory_{name}"]) for name in ("pinned", "newest")]
    payload = SignedDirectory.from_bytes(documents[0]).payload
    issued_ms = json.loads(payload)["issued_ms"]
    pin = tmp_path / "client.pin"
    session = ServiceSession(POLICY, pin=pin, clock_ms=lambda: issued_ms + 2000)
    first = session.accept(session.verify_directory(documents[0]))
    audit_log(RECORDS, POLICY).require_pinned(pin)
    candidate = session.verify_directory(documents[1])
    gap = candidate.gap
    records = [] if gap is None else RECORDS[gap.after + 1 : gap.until + 1]
    assert session.accept(candidate, records).directory.log_id == first.directory.log_id


def test_the_receipt() -> None:
    """It proves what it proved then."""
    log = audit_log(RECORDS, POLICY)
    found = verify_receipt(ReceiptProof.from_bytes(VECTORS["receipt"].encode()), log)
    assert str(found.receipt.model) == "m:1"
    for line in VECTORS["malformed_receipts"].values():
        with pytest.raises(MalformedError, match="at_ms is not a time"):
            verify_receipt(ReceiptProof.from_bytes(line.encode()), log)
    for code, line in VECTORS["reject_receipts"].items():
        with pytest.raises(EvidenceError) as caught:
            verify_receipt(ReceiptProof.from_bytes(line.encode()), log)
        assert caught.value.code == code
