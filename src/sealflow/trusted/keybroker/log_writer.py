"""Key broker, pure: appends signed, hash-chained entries to the log, which the host stores.

Spec: docs/spec/keybroker.md, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.documents.log import EntryKind, LogEntry, SignedEntry
from sealflow.documents.log_tree import LogTree

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The newest log entry: `number`, and its `digest` in hex.

    `log_id`: the digest of entry 0, in hex. `tree`: the Merkle tree of the log up to this entry.
    """

    log_id: str
    number: int
    digest: str
    tree: LogTree


class LogWriter:
    """Appends entries and holds their records until they are drained. Not thread-safe.

    `head`: the newest entry of the log to continue; None begins a new log.
    """

    def __init__(
        self, signing: Ed25519PrivateKey, domain: TrustDomain, head: LogHead | None
    ) -> None:
        self._signing = signing
        self._domain = domain
        self._head = head
        self._new_records: list[tuple[int, bytes]] = []

    @property
    def head(self) -> LogHead:
        """The newest entry.

        Raises: RuntimeError when a new log has no entry yet.
        """
        if self._head is None:
            raise RuntimeError("the log is empty")
        return self._head

    def append(self, kind: EntryKind, at_ms: int, body: dict[str, object]) -> None:
        """Append one entry, signed. `at_ms`: its time in Unix ms."""
        head = self._head
        entry = LogEntry(
            number=0 if head is None else head.number + 1,
            previous=None if head is None else head.digest,
            at_ms=at_ms,
            kind=kind,
            body=body,
        )
        signed = SignedEntry.sign(entry, self._signing, self._domain)
        digest = signed.digest(self._domain)
        tree = LogTree(first=0) if head is None else head.tree
        self._head = LogHead(
            log_id=digest if head is None else head.log_id,
            number=entry.number,
            digest=digest,
            tree=tree.append(digest),
        )
        self._new_records.append((entry.number, signed.to_bytes()))

    def restore(self, head: LogHead) -> None:
        """Return to an earlier entry, and forget those after it, which nobody has seen."""
        self._head, self._new_records = head, []

    def drain_new_records(self) -> list[tuple[int, bytes]]:
        """Return the records appended since the last call, each with its entry's number."""
        records, self._new_records = self._new_records, []
        return records
