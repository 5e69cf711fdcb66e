"""Core, pure: the key broker's append-only log, a hash chain of signed entries.

Each entry holds the digest of the previous entry, so its own digest also covers all entries before
it. The digest of the first entry identifies the log. Spec: docs/spec/keybroker.md, section 6.
"""

from __future__ import annotations

import enum
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import EvidenceError, MalformedError
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import FORMAT, OpenFields, json_object
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.documents.directory import Directory
    from sealflow.wire.domain import TrustDomain

MAX_ENTRY_BYTES: Final = 2**20
MAX_RECORD_BYTES: Final = MAX_ENTRY_BYTES * 3 // 2
"""A record, which holds its entry in base64."""
_KEYS: Final = ("number", "previous", "at_ms", "kind", "body")


class EntryKind(enum.StrEnum):
    """The kind of a log entry; docs/spec/keybroker.md, section 6, lists the body of each kind.

    Example:
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> log.entries[0].kind is EntryKind.OPENED
        True
    """

    OPENED = "opened"
    """A key broker instance started to lead; holds its evidence. The first entry of every log."""
    JOINED = "joined"
    """Another key broker instance received the state key."""
    EPOCH = "epoch"
    """The key broker created an epoch key."""
    VERDICT = "verdict"
    """The key broker approved a worker, or refused it; a refusal lists its reasons as codes."""
    GRANT = "grant"
    """The key broker granted keys and models to a worker until a stated time."""
    PUBLICATION = "publication"
    """An owner published a model."""
    REVOCATION = "revocation"
    """A signed order revoked a worker, model or key."""
    DIRECTORY = "directory"
    """The key broker issued a directory."""
    UNKNOWN = "unknown"
    """A decision that only a newer release knows; its place and its signature are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of the key broker's log.

    Attributes:
        number: Its index, from 0.
        previous: The digest of the entry before it, 64 hex digits; None for number 0.
        at_ms: The key broker's time in Unix ms, as its host told it.
        kind: The kind of decision that it records.
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
        """Return the bytes that the entry's digest covers.

        Returns:
            JSON in canonical form.
        """
        return canonical_json(
            {
                "format": FORMAT,
                "number": self.number,
                "previous": self.previous,
                "at_ms": self.at_ms,
                "kind": self.kind.value,
                "body": self.body,
            }
        )

    @classmethod
    def unverified_from_bytes(cls, text: bytes) -> Self:
        """Parse an entry without a check of signature and chain; `audit_log` checks both.

        Args:
            text: The bytes that the entry's digest covers.

        Returns:
            The entry, of unknown origin.

        Raises:
            MalformedError: It is not an entry.
            NewerFormatError: Only a newer release can read it.
        """
        fields = OpenFields.from_bytes(text, "log entry", _KEYS, versioned=True)
        number, previous = fields.integer("number"), fields.read_optional("previous", parse_digest)
        if (previous is None) is not (number == 0):
            raise MalformedError("log entry: previous is not null for number 0 and only for it")
        return cls(
            number=number,
            previous=previous,
            at_ms=fields.time_ms("at_ms"),
            kind=fields.known_word("kind", EntryKind) or EntryKind.UNKNOWN,
            body=fields.read("body", json_object),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEntry:
    """The bytes of a log entry and a signature over their digest; untrusted."""

    text: bytes
    signature: bytes

    @classmethod
    def sign(cls, entry: LogEntry, key: Ed25519PrivateKey, domain: TrustDomain) -> Self:
        """Sign the digest of an entry, which also covers all entries before it."""
        text = entry.to_bytes()
        return cls(text=text, signature=key.sign(_signed(domain, entry_digest(text, domain))))

    def to_bytes(self) -> bytes:
        """Return the record that the host stores: one line of canonical JSON, no line end."""
        return canonical_json(
            {
                "entry": b64encode(self.text).decode(),
                "signature": b64encode(self.signature).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, record: bytes) -> Self:
        """Parse a record of at most `MAX_RECORD_BYTES`.

        Raises: MalformedError.
        """
        if len(record) > MAX_RECORD_BYTES:
            raise MalformedError(f"log record: over {MAX_RECORD_BYTES} bytes")
        fields = OpenFields.from_bytes(record, "log record", ("entry", "signature"))
        return cls(
            text=fields.base64("entry", MAX_ENTRY_BYTES),
            signature=fields.base64("signature", SIGNATURE_BYTES),
        )

    def digest(self, domain: TrustDomain) -> str:
        """Return the digest of this entry, in hex; it also covers all entries before it."""
        return entry_digest(self.text, domain)

    def verify_signature(self, signing_key: bytes, domain: TrustDomain) -> None:
        """Check the entry's signature with an Ed25519 public key.

        Raises: EvidenceError.
        """
        detail = "an entry is not signed by the key broker instance of the last `opened` entry"
        refusal = EvidenceError("log_signature", detail)
        signed = _signed(domain, self.digest(domain))
        verify_signature(signing_key, self.signature, signed, refusal)


def entry_digest(text: bytes, domain: TrustDomain) -> str:
    """Return the digest of an entry's bytes, in hex. Spec: keybroker.md, 6.1."""
    return hashlib.sha256(domain.label("log entry") + text).hexdigest()


def directory_entry(directory: Directory, digest: str) -> LogEntry:
    """Return the entry that follows a directory with a tree. Spec: directory.md, 2.16.

    `digest`: SHA-256 of its payload, in hex.
    """
    return LogEntry(
        number=directory.log_number + 1,
        previous=directory.log_digest,
        at_ms=directory.issued_ms,
        kind=EntryKind.DIRECTORY,
        body={"version": directory.version, "digest": digest},
    )


def _signed(domain: TrustDomain, digest: str) -> bytes:
    return domain.label("log head") + bytes.fromhex(digest)
