"""Core, pure: the append-only log of a key broker: chained by hashes, every entry signed.

An entry names the digest of the one before it, so one digest stands for all that came before. The
digest of the first entry names the log. Spec: docs/spec/keybroker.md, section 6.
"""

from __future__ import annotations

import enum
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import EvidenceError, MalformedError
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import Fields, json_object
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain

MAX_ENTRY_BYTES: Final = 2**20
_KEYS: Final = ("number", "previous", "at_ms", "kind", "body")


class EntryKind(enum.StrEnum):
    """What an entry says; docs/spec/keybroker.md, section 6, describes the bodies.

    Example:
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> log.entries[0].kind is EntryKind.OPENED
        True
    """

    OPENED = "opened"
    """A key broker instance took over; holds its evidence. The first entry of every log."""
    JOINED = "joined"
    """Another key broker instance was given the key of the state."""
    EPOCH = "epoch"
    """An epoch key was made."""
    VERDICT = "verdict"
    """A worker was approved, or not, and why."""
    GRANT = "grant"
    """A worker was given keys and models until a time."""
    PUBLICATION = "publication"
    """An owner handed a model over."""
    REVOCATION = "revocation"
    """Something was revoked by a signed order."""
    DIRECTORY = "directory"
    """A directory was issued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of the key broker's log.

    Attributes:
        number: Its place, from 0.
        previous: The digest of the entry before it, 64 hex digits; None for number 0.
        at_ms: The key broker's time, in Unix ms.
        kind: What it says.
        body: The details, by kind (docs/spec/keybroker.md, section 6).

    Example:
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> log.entries[1].previous == log.digests[0]
        True
    """

    number: int
    previous: str | None
    at_ms: int
    kind: EntryKind
    body: dict[str, object]

    def to_bytes(self) -> bytes:
        """Write the bytes that are hashed and signed.

        Returns:
            JSON in canonical form.
        """
        return canonical_json(
            {
                "number": self.number,
                "previous": self.previous,
                "at_ms": self.at_ms,
                "kind": self.kind.value,
                "body": self.body,
            }
        )

    @classmethod
    def unverified_from_bytes(cls, text: bytes) -> Self:
        """Read an entry without a check of signature and chain; `audit_log` checks both.

        Args:
            text: Exactly what `to_bytes` wrote.

        Returns:
            The entry, of unknown origin.

        Raises:
            MalformedError: It is not an entry, or not in canonical form.
        """
        fields = Fields.from_bytes(text, "log entry", _KEYS)
        number, previous = fields.integer("number"), fields.read_optional("previous", parse_digest)
        if (previous is None) is not (number == 0):
            raise MalformedError("log entry: only number 0 has none before it")
        entry = cls(
            number=number,
            previous=previous,
            at_ms=fields.time_ms("at_ms"),
            kind=fields.word("kind", EntryKind),
            body=fields.read("body", json_object),
        )
        if entry.to_bytes() != text:
            raise MalformedError("log entry: not in its one form")
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEntry:
    """An entry's bytes and a key broker's signature over their digest; untrusted."""

    text: bytes
    signature: bytes

    @classmethod
    def sign(cls, entry: LogEntry, key: Ed25519PrivateKey, domain: TrustDomain) -> Self:
        """Sign an entry: what is signed stands for all entries before it, too."""
        text = entry.to_bytes()
        return cls(text=text, signature=key.sign(_signed(domain, entry_digest(text, domain))))

    def to_bytes(self) -> bytes:
        """Write the record that the host keeps: one line of JSON."""
        return canonical_json(
            {
                "entry": b64encode(self.text).decode(),
                "signature": b64encode(self.signature).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, record: bytes) -> Self:
        """Read a record.

        Raises: MalformedError.
        """
        if len(record) > 2 * MAX_ENTRY_BYTES:
            raise MalformedError("log record: too large")
        fields = Fields.from_bytes(record, "log record", ("entry", "signature"))
        return cls(
            text=fields.base64("entry", MAX_ENTRY_BYTES),
            signature=fields.base64("signature", SIGNATURE_BYTES),
        )

    def digest(self, domain: TrustDomain) -> str:
        """Name the entry and all before it, in hex."""
        return entry_digest(self.text, domain)

    def verify_signature(self, signing_key: bytes, domain: TrustDomain) -> None:
        """Check that the holder of `signing_key` (Ed25519 public key) signed.

        Raises: EvidenceError.
        """
        detail = "an entry was not signed by the key broker that had opened the log"
        refusal = EvidenceError("log_signature", detail)
        signed = _signed(domain, self.digest(domain))
        verify_signature(signing_key, self.signature, signed, refusal)


def entry_digest(text: bytes, domain: TrustDomain) -> str:
    """Hash an entry's bytes, in hex."""
    return hashlib.sha256(domain.label("log entry") + text).hexdigest()


def _signed(domain: TrustDomain, digest: str) -> bytes:
    return domain.label("log head") + bytes.fromhex(digest)
