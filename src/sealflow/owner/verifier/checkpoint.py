"""Owner, pure: checkpoints of the log: signed notes as tools of transparency logs read them.

Format: C2SP tlog-checkpoint and signed-note. The verifier that audited the log signs, not the key
broker. Spec: cose.md, section 3.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.verifiers import ED25519
from sealflow.errors import ConfigError, EvidenceError, MalformedError
from sealflow.owner.verifier.merkle import merkle_root
from sealflow.seal.signing import verify_signature

if TYPE_CHECKING:
    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.owner.verifier.verifier_key import VerifierKey

MAX_NOTE_BYTES: Final = 4096
_ED25519_TYPE: Final = b"\x01"
_NAME: Final = r"[!-*,-~]{1,200}"
"""Printable ASCII without the space and the plus sign, which the format gives meanings to."""
_NOTE: Final = re.compile(
    rf"(?P<text>(?P<origin>{_NAME})\n(?P<size>0|[1-9][0-9]{{0,15}})\n"
    r"(?P<root>[A-Za-z0-9+/]{43}=)\n)\n"
    rf"— (?P<name>{_NAME}) (?P<signature>[A-Za-z0-9+/]{{91}}=)\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The size and the Merkle root of a log, under the name of who signs."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """Return the text that is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def log_leaves(log: AuditedLog) -> list[bytes]:
    """Return the leaves of a log's tree: the digest of each entry, 32 bytes."""
    return [bytes.fromhex(digest) for digest in log.digests]


def log_checkpoint(log: AuditedLog, origin: str) -> Checkpoint:
    """Return the checkpoint of an audited log.

    `origin`: the name of the log at this verifier, such as `hospital.example/sealflow`.

    Raises: ConfigError when the origin is not printable ASCII without space and plus sign.
    """
    if re.fullmatch(_NAME, origin) is None:
        raise ConfigError(
            f"origin {origin!r}: write up to 200 printable ASCII characters without space and '+'"
        )
    leaves = log_leaves(log)
    return Checkpoint(origin=log_name(log, origin), size=len(leaves), root=merkle_root(leaves))


def log_name(log: AuditedLog, origin: str) -> str:
    """Return the origin; the log of a simulation has a name that says so."""
    return f"{origin}/simulated" if log.simulated else origin


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey) -> str:
    """Return a checkpoint as a signed note, with one signature of Ed25519.

    Raises: ConfigError when the key is of another curve.
    """
    public = _public(key)
    signature = key.sign(checkpoint.to_text().encode())
    named = b64encode(_key_hash(checkpoint.origin, public) + signature).decode()
    return f"{checkpoint.to_text()}\n— {checkpoint.origin} {named}\n"


def verifier_key_text(origin: str, key: VerifierKey) -> str:
    """Return the public key as tools for signed notes take it: a "vkey".

    Raises: ConfigError when the key is of another curve than Ed25519.
    """
    public = _public(key)
    encoded = b64encode(_ED25519_TYPE + public).decode()
    return f"{origin}+{_key_hash(origin, public).hex()}+{encoded}"


def read_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of a note that this key signed.

    Raises: MalformedError; EvidenceError (`checkpoint_signature`) if another key signed it.
    """
    try:
        found = _NOTE.fullmatch(note.decode())
    except UnicodeDecodeError as error:
        raise MalformedError("checkpoint: not UTF-8") from error
    if found is None or found["name"] != found["origin"]:
        raise MalformedError("checkpoint: not a signed note of three lines and one signature")
    public, signed = _public(key), b64decode(found["signature"])
    refusal = EvidenceError("checkpoint_signature", "another key signed the checkpoint")
    if signed[:4] != _key_hash(found["origin"], public):
        raise refusal
    verify_signature(public, signed[4:], found["text"].encode(), refusal)
    return Checkpoint(
        origin=found["origin"], size=int(found["size"]), root=b64decode(found["root"])
    )


def require_continued(previous: Checkpoint, log: AuditedLog, origin: str) -> None:
    """Check that a log continues the one that an earlier checkpoint is of.

    `origin`: as `log_checkpoint` takes it. A verifier must never sign two checkpoints that
    contradict each other.

    Raises: EvidenceError (`checkpoint_fork`).
    """
    leaves = log_leaves(log)
    if (
        previous.origin != log_name(log, origin)
        or previous.size > len(leaves)
        or merkle_root(leaves[: previous.size]) != previous.root
    ):
        raise EvidenceError(
            "checkpoint_fork", "the log does not continue that of the earlier checkpoint"
        )


def _public(key: VerifierKey) -> bytes:
    trusted = key.trusted("verifier")
    if trusted.curve != ED25519:
        raise ConfigError("a checkpoint is signed with a key of Ed25519: this one is of P-256")
    return trusted.public


def _key_hash(origin: str, public: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519_TYPE + public).digest()[:4]
