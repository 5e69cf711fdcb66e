"""Key broker, pure: the log that it writes: entries chained and signed, to be kept by the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.documents.log import EntryKind, LogEntry, SignedEntry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The newest entry. `log_id`: the digest of entry 0; both digests in hex."""

    log_id: str
    number: int
    digest: str


class LogWriter:
    """Appends entries; what was appended waits until it is taken. Not for several threads."""

    def __init__(
        self, signing: Ed25519PrivateKey, domain: TrustDomain, head: LogHead | None
    ) -> None:
        """Continue after `head`, or begin."""
        self._signing = signing
        self._world = domain
        self._head = head
        self._waiting: list[tuple[int, bytes]] = []

    @property
    def head(self) -> LogHead:
        """The newest entry; there is one from the first append on."""
        if self._head is None:
            raise RuntimeError("the log is empty")
        return self._head

    def append(self, kind: EntryKind, at_ms: int, body: dict[str, object]) -> None:
        """Write one entry."""
        head = self._head
        entry = LogEntry(
            number=0 if head is None else head.number + 1,
            previous=None if head is None else head.digest,
            at_ms=at_ms,
            kind=kind,
            body=body,
        )
        signed = SignedEntry.sign(entry, self._signing, self._world)
        digest = signed.digest(self._world)
        self._head = LogHead(
            log_id=digest if head is None else head.log_id, number=entry.number, digest=digest
        )
        self._waiting.append((entry.number, signed.to_bytes()))

    def drain_new_records(self) -> list[tuple[int, bytes]]:
        """Take what waits: records by number."""
        waiting, self._waiting = self._waiting, []
        return waiting
