"""Entries of the log: the one form that is accepted, and whose signature counts."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.documents.log import MAX_ENTRY_BYTES, EntryKind, LogEntry, SignedEntry
from sealflow.errors import EvidenceError, MalformedError
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
ENTRY = LogEntry(number=7, previous="ab" * 32, at_ms=5, kind=EntryKind.EPOCH, body={"kid": "k"})
VALUE: dict[str, object] = {
    "format": 1,
    "number": 7,
    "previous": "ab" * 32,
    "at_ms": 5,
    "kind": "epoch",
    "body": {"kid": "k"},
}


def test_round_trip() -> None:
    """What was signed and kept is read again, and its signature holds in its world alone."""
    signed = SignedEntry.sign(ENTRY, KEY, TrustDomain.SIMULATED)
    again = SignedEntry.from_bytes(signed.to_bytes())
    assert again == signed
    assert LogEntry.unverified_from_bytes(again.text) == ENTRY
    again.verify_signature(PUBLIC, TrustDomain.SIMULATED)
    with pytest.raises(EvidenceError):
        again.verify_signature(PUBLIC, TrustDomain.HARDWARE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": -1}, "number is not an integer"),
        ({"number": True}, "number is not an integer"),
        ({"at_ms": "5"}, "at_ms is not a time"),
        ({"at_ms": -1}, "at_ms is not a time"),
        ({"at_ms": 2**53}, "at_ms is not a time"),
        ({"body": []}, "body: not a JSON object"),
        ({"previous": None}, "null for number 0"),
        ({"number": 0}, "null for number 0"),
        ({"kind": []}, "kind is not one of opened"),
        ({"previous": "AB" * 32}, "digest"),
        ({"more": 1, "critical": ["more"]}, "the field 'more' must be known"),
        ({"format": 2}, "format 2 is not 1"),
    ],
)
def test_no_entry(changes: dict[str, object], words: str) -> None:
    """An entry that breaks a rule is refused with the rule."""
    with pytest.raises(MalformedError, match=words):
        LogEntry.unverified_from_bytes(canonical_json(VALUE | changes))


def test_an_entry_of_a_newer_release() -> None:
    """A kind and fields that this release does not know are no reason to refuse the log."""
    newer = canonical_json(VALUE | {"kind": "rumour", "more": 1}) + b" "
    entry = LogEntry.unverified_from_bytes(newer)
    assert entry == dataclasses.replace(ENTRY, kind=EntryKind.UNKNOWN)


def test_a_record_over_the_limit() -> None:
    """A record is measured before it is parsed."""
    with pytest.raises(MalformedError, match="log record: over"):
        SignedEntry.from_bytes(bytes(2 * MAX_ENTRY_BYTES + 1))


def test_another_entry_under_the_signature() -> None:
    """A signature is good for one entry."""
    signed = SignedEntry.sign(ENTRY, KEY, TrustDomain.SIMULATED)
    other = dataclasses.replace(ENTRY, at_ms=6).to_bytes()
    with pytest.raises(EvidenceError):
        dataclasses.replace(signed, text=other).verify_signature(PUBLIC, TrustDomain.SIMULATED)
