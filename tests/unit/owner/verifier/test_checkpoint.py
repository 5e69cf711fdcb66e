"""Checkpoints: signed notes, as other tools write and read them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, EvidenceError, MalformedError
from sealflow.owner.verifier.checkpoint import (
    Checkpoint,
    log_checkpoint,
    read_checkpoint,
    require_continued,
    sign_checkpoint,
    verifier_key_text,
)
from tests.support.passports.signed_notes import verify_note
from tests.support.passports.tokens import ED25519, OTHER, P256
from tests.support.sealing.receipts import ReceiptService

if TYPE_CHECKING:
    from sealflow.owner import AuditedLog

ORIGIN = "hospital.example/sealflow"
PUBLISHED_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
PUBLISHED_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
    "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
"""The example of C2SP signed-note."""


@pytest.fixture(scope="module")
def log() -> AuditedLog:
    """An audited log."""
    return ReceiptService().broker.log()


def test_published_note() -> None:
    """The tests' reader of notes reads the published example, and our checkpoints alike."""
    assert verify_note(PUBLISHED_NOTE, PUBLISHED_KEY) == "This is an example message.\n"
    checkpoint = Checkpoint(origin=ORIGIN, size=3, root=bytes(32))
    note = sign_checkpoint(checkpoint, ED25519)
    assert verify_note(note, verifier_key_text(ORIGIN, ED25519)) == (
        f"{ORIGIN}\n3\n{b64encode(bytes(32)).decode()}\n"
    )
    with pytest.raises(AssertionError):
        verify_note(note, verifier_key_text(ORIGIN, OTHER))


def test_log(log: AuditedLog) -> None:
    """A checkpoint has the size of the log, and says that it is of a simulation."""
    made = log_checkpoint(log, ORIGIN)
    assert made.origin == f"{ORIGIN}/simulated"
    assert made.size == len(log.entries)
    assert read_checkpoint(sign_checkpoint(made, ED25519).encode(), ED25519) == made


def test_growth(log: AuditedLog) -> None:
    """A log that grew is continued; one that was cut, changed or renamed is refused."""
    made = log_checkpoint(log, ORIGIN)
    shorter = replace(log, entries=log.entries[:-1], digests=log.digests[:-1])
    earlier = log_checkpoint(shorter, ORIGIN)
    require_continued(earlier, log, ORIGIN)
    require_continued(made, log, ORIGIN)
    changed = replace(log, digests=("00" * 32, *log.digests[1:]))
    for previous, now, origin in (
        (made, shorter, ORIGIN),
        (made, changed, ORIGIN),
        (earlier, changed, ORIGIN),
        (made, log, "other.example"),
    ):
        with pytest.raises(EvidenceError, match="checkpoint_fork"):
            require_continued(previous, now, origin)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "ä", "x" * 201])
def test_origins(log: AuditedLog, origin: str) -> None:
    """What would be read as another line or key is refused."""
    with pytest.raises(ConfigError, match="origin"):
        log_checkpoint(log, origin)


def test_other_curves() -> None:
    """The format's own signature is of Ed25519."""
    checkpoint = Checkpoint(origin=ORIGIN, size=1, root=bytes(32))
    with pytest.raises(ConfigError, match="Ed25519"):
        sign_checkpoint(checkpoint, P256)


def test_broken_notes() -> None:
    """Only a whole note of this key is read."""
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)), ED25519)
    text, _, signature = note.rpartition(" ")
    for broken in (
        "",
        note[:-1],
        note + "\n",
        note.replace("\n3\n", "\n03\n"),
        note.replace("— ", "- "),
        note.replace(f"— {ORIGIN}", "— other.example"),
        f"{text} {signature[:40]}\n",
        note.replace("\n\n", "\nextension\n\n"),
    ):
        with pytest.raises(MalformedError, match="checkpoint"):
            read_checkpoint(broken.encode(), ED25519)
    with pytest.raises(MalformedError, match="UTF-8"):
        read_checkpoint(b"\xff", ED25519)
    raw = b64decode(signature)
    flipped = b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    for other in (note.replace("\n3\n", "\n4\n"), f"{text} {flipped}\n"):
        with pytest.raises(EvidenceError, match="checkpoint_signature"):
            read_checkpoint(other.encode(), ED25519)
    with pytest.raises(EvidenceError, match="checkpoint_signature"):
        read_checkpoint(note.encode(), OTHER)
