"""Owner, pure: check a key broker's log offline, from its first entry on. Spec: keybroker.md, 6.

Whoever opened the log must have been the attested key broker, at the time that it opened: evidence
in the log itself says so, judged by the auditor's own policy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sealflow.attest.evidence import NO_NONCE, Evidence
from sealflow.attest.policy import appraise, trust_root
from sealflow.documents.log import EntryKind, LogEntry, SignedEntry
from sealflow.errors import ConfigError, EvidenceError, MalformedError, PolicyError
from sealflow.owner.trust.pin import DirectoryPin
from sealflow.wire.domain import TrustDomain
from sealflow.wire.fields import evidence_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealflow.owner.trust.policy_file import TrustPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedLog:
    """A whole log of a key broker, whose chain, signatures and evidence were checked.

    Attributes:
        domain: Hardware or simulation.
        entries: All entries, the oldest first.
        digests: The digest of each entry, which stands for all up to it; 64 hex digits.

    Example:
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> log.entries[0].kind, log.simulated
        (<EntryKind.OPENED: 'opened'>, True)
    """

    domain: TrustDomain
    entries: tuple[LogEntry, ...] = field(repr=False)
    digests: tuple[str, ...] = field(repr=False)

    @property
    def simulated(self) -> bool:
        """Whether it is the log of a simulation."""
        return self.domain is TrustDomain.SIMULATED

    @property
    def log_id(self) -> str:
        """The digest of the first entry, which names the log; 64 hex digits."""
        return self.digests[0]

    @property
    def head(self) -> str:
        """The digest of the newest entry, which stands for the whole log; 64 hex digits."""
        return self.digests[-1]

    def entries_of_kind(self, kind: EntryKind) -> Iterator[LogEntry]:
        """Return the entries of one kind.

        Args:
            kind: Such as `EntryKind.GRANT`.

        Returns:
            The entries, the oldest first.

        Example:
            >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
            >>> len(next(log.entries_of_kind(EntryKind.GRANT)).body["instance"])
            32
        """
        return (entry for entry in self.entries if entry.kind is kind)

    def require_pinned(self, path: str | os.PathLike[str]) -> None:
        """Check that the directory that a client pinned is in the log.

        Args:
            path: The pin file of the client; see `Client`.

        Raises:
            EvidenceError: It is not in the log, or not yet (`log_pin`).
            ConfigError: There is no pin file, or it cannot be read.

        Example:
            >>> url, policy = "http://127.0.0.1:8470", load_policy(".sealflow/client.toml")
            >>> with Client(url, policy=policy, pin="client.pin") as pinning:
            ...     report = pinning.verify()
            ...     log = audit_log(pinning.fetch_log(), policy)
            >>> log.require_pinned("client.pin")
        """
        pin = DirectoryPin(Path(path)).pin
        if pin is None:
            raise ConfigError(f"{os.fspath(path)}: there is no pin")
        if pin.log_id != self.log_id:
            raise EvidenceError("log_pin", "the pinned directory is of another history")
        if pin.log_number >= len(self.digests):
            raise EvidenceError("log_pin", "the log ends before the pinned directory: fetch more")
        found = [
            each.body.get("digest")
            for each in self.entries_of_kind(EntryKind.DIRECTORY)
            if each.body.get("version") == pin.version
        ]
        if self.digests[pin.log_number] != pin.log_digest or found != [pin.digest]:
            detail = "the pinned directory is not in the log: two histories were shown; keep both"
            raise EvidenceError("log_pin", detail)


def audit_log(records: Iterable[bytes], policy: TrustPolicy) -> AuditedLog:
    """Check a key broker's log offline, from its first entry on. Spec: keybroker.md, 6.

    Args:
        records: All records from number 0 on, as `Client.fetch_log` returns them.
        policy: The policy for the key broker that wrote it.

    Returns:
        The log; every entry of it is genuine.

    Raises:
        EvidenceError: `log_chain`, `log_signature` or `log_opened`, with the number of the first
            entry that is wrong; or the evidence in it is not genuine.
        PolicyError: Another key broker than the policy's opened the log.

    Example:
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> log.head == log.digests[-1]
        True
    """
    domain = trust_root(policy).domain
    entries: list[LogEntry] = []
    digests: list[str] = []
    signing_key = b""
    for number, record in enumerate(records):
        try:
            signed = SignedEntry.from_bytes(record)
            entry = LogEntry.unverified_from_bytes(signed.text)
        except MalformedError as error:
            code = evidence_error("log_chain", error).code
            raise EvidenceError(code, f"entry {number}: {error}") from error
        _check_order(entry, number, entries[-1] if entries else None, digests)
        if entry.kind is EntryKind.OPENED:
            signing_key = _opener(entry, policy)
        elif not number:
            raise EvidenceError("log_opened", "entry 0 does not say who opened the log")
        try:
            signed.verify_signature(signing_key, domain)
        except EvidenceError as error:
            raise EvidenceError(error.code, f"entry {number}: {error.detail}") from error
        entries.append(entry)
        digests.append(signed.digest(domain))
    if not entries:
        raise EvidenceError("log_chain", "the log is empty")
    return AuditedLog(domain=domain, entries=tuple(entries), digests=tuple(digests))


def _check_order(entry: LogEntry, number: int, before: LogEntry | None, digests: list[str]) -> None:
    if entry.number != number or entry.previous != (digests[-1] if digests else None):
        raise EvidenceError("log_chain", f"entry {number} does not follow the one before it")
    if before is not None and entry.at_ms < before.at_ms:
        raise EvidenceError("log_chain", f"entry {number} is earlier than the one before it")


def _opener(entry: LogEntry, policy: TrustPolicy) -> bytes:
    try:
        evidence = Evidence.from_json(entry.body.get("evidence"))
    except MalformedError as error:
        raise EvidenceError("log_opened", f"entry {entry.number}: {error}") from error
    try:
        approval = appraise(evidence, policy, entry.at_ms, nonce=NO_NONCE)
    except (EvidenceError, PolicyError) as error:
        error.add_note(f"log entry {entry.number} was opened by an enclave that does not pass")
        raise
    bound = approval.claims.bound
    if (entry.body.get("deployment"), entry.body.get("manifest_digest")) != (
        bound.deployment,
        bound.manifest_digest,
    ):
        detail = f"entry {entry.number} names another deployment than its evidence"
        raise EvidenceError("log_opened", detail)
    return bound.signing_key


def describe(entry: LogEntry) -> str:
    """Write an entry's body for people, on one line, without what only machines read."""
    shown = {name: value for name, value in entry.body.items() if name not in _LONG}
    return ", ".join(f"{name} {_short(value)}" for name, value in shown.items())


_LONG = ("evidence", "order", "signature", "signing_key", "workers", "policy_digest")
_SHOWN_CHARACTERS = 16


def _short(value: object) -> str:
    if isinstance(value, str):
        return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} {_short(each)}" for name, each in value.items()) + "}"
    return str(value)
