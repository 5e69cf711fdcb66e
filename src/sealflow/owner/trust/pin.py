"""Owner: the pin, which stores the newest accepted directory, and the check of newer directories.

The pin is in memory, or in a file that several processes share (docs/spec/directory.md, section 3).

To check the log between two directories, its hash chain suffices (section 4): the newer directory,
whose signature was verified, names the digest of the newest log entry, which commits to all
entries before it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from sealflow.documents.log import EntryKind, LogEntry, SignedEntry, entry_digest
from sealflow.documents.revocation import (
    Revoked,
    RevokedKind,
    list_revocations,
    parse_listed_revocations,
)
from sealflow.errors import ConfigError, EvidenceError, MalformedError, UnavailableError
from sealflow.files import file_errors, write_file
from sealflow.owner.trust.log_proof import tree_head_from_json, tree_head_to_json
from sealflow.owner.trust.name_owners import add_owners, owners_from_json, owners_to_json
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.ids import parse_name
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sealflow.documents.directory import Directory
    from sealflow.documents.log_tree import TreeHead
    from sealflow.wire.domain import TrustDomain


MAX_PIN_BYTES: Final = 2**20
_ELSEWHERE: Final = "in Python, pin= names another file, and insecure_unpinned=True keeps none"
UNLINKED_RETRY_S: Final = 30.0
_KEYS: Final = (
    "deployment",
    "manifest_digest",
    "history",
    "version",
    "digest",
    "log_number",
    "log_digest",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGap:
    """The range of log records between the pinned directory and a newer one.

    The records have the numbers `after` + 1 to `until`. `version` and `digest` are the pinned
    directory's. `after` and `after_digest` are number and digest of the log entry that the pinned
    directory names, `until` and `until_digest` those that the newer one names. `tree`: the head of
    the log's tree that was pinned; None if the pinned directory has none.
    """

    version: int
    digest: str
    after: int
    after_digest: str
    until: int
    until_digest: str
    tree: TreeHead | None = None


def verify_log_gap(gap: LogGap, records: Sequence[bytes], domain: TrustDomain) -> None:
    """Check that log records are a hash chain from the pinned directory to the newer one.

    `records`: the unverified records `gap.after` + 1 to `gap.until`.

    Raises: EvidenceError (`directory_fork`) when they are not; UnavailableError
    (`directory_unlinked`) when they are, but end before `gap.until`.
    """
    previous, pinned = gap.after_digest, None
    for number, record in enumerate(records, gap.after + 1):
        try:
            text = SignedEntry.from_bytes(record).text
            entry = LogEntry.unverified_from_bytes(text)
        except MalformedError as error:
            raise _fork(f"log record {number} does not parse") from error
        if entry.number != number or entry.previous != previous:
            raise _fork(f"log record {number} does not follow the one before it")
        previous = entry_digest(text, domain)
        if entry.kind is EntryKind.DIRECTORY and entry.body.get("version") == gap.version:
            pinned = entry.body.get("digest")
    if len(records) < gap.until - gap.after:
        raise _unlinked(gap, len(records))
    if previous != gap.until_digest or pinned != gap.digest:
        raise _fork("the log does not lead from the pinned directory to this one")


def log_gap(version: int, digest: str, log: tuple[int, str], directory: Directory) -> LogGap | None:
    """Return the gap between a pinned directory and `directory`; None if it is the next, or older.

    `version`, `digest`: of the pinned directory. `log`: number and digest of the log entry that it
    names as the newest.
    """
    if directory.version <= version + 1:
        return None
    return LogGap(
        version=version,
        digest=digest,
        after=log[0],
        after_digest=log[1],
        until=directory.log_number,
        until_digest=directory.log_digest,
    )


def _unlinked(gap: LogGap, count: int) -> UnavailableError:
    error = UnavailableError(
        f"the log between the pinned directory and the one that is served is withheld: "
        f"{count} of {gap.until - gap.after} records came from number {gap.after + 1} on",
        retry_after_s=UNLINKED_RETRY_S,
    )
    error.code = "directory_unlinked"
    error.hint = (
        "Try again or use another gateway; if the log is lost and the owner says so, accept the "
        "gap once with `sealflow verify --accept-gap`."
    )
    return error


def _fork(detail: str) -> EvidenceError:
    return EvidenceError(
        "directory_fork",
        f"{detail}: clients are shown different logs; do not send data, and tell the owner",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedDirectory:
    """The values of a directory by which its successors are recognized.

    `owners`: the owner of each model name that was ever in a directory of this deployment.
    `revoked`: what it lists as revoked; a successor lists that too. `ends`: from when on it need
    not list a worker, in Unix ms by instance id. `tree`: the head of the log's tree with the
    directory's own entry; None if the directory has no tree.
    """

    deployment: str
    manifest_digest: str
    log_id: str
    version: int
    digest: str
    log_number: int
    log_digest: str
    owners: Mapping[str, str] = field(default_factory=dict)
    revoked: frozenset[Revoked] = frozenset()
    ends: Mapping[str, int] = field(default_factory=dict)
    tree: TreeHead | None = None

    @classmethod
    def from_directory(
        cls, directory: Directory, payload: bytes, tree: TreeHead | None = None
    ) -> Self:
        """Return the values of a verified directory. `payload`: the bytes that were signed.

        `tree`: the head of its log's tree.
        """
        return cls(
            deployment=directory.deployment,
            manifest_digest=directory.manifest_digest,
            log_id=directory.log_id,
            version=directory.version,
            digest=hashlib.sha256(payload).hexdigest(),
            log_number=directory.log_number,
            log_digest=directory.log_digest,
            owners=add_owners({}, directory.models),
            revoked=frozenset(directory.revoked),
            ends=directory.ends,
            tree=tree,
        )

    def to_bytes(self) -> bytes:
        """Return the content of the pin file: a line of canonical JSON."""
        value: dict[str, object] = {
            "format": FORMAT,
            "deployment": self.deployment,
            "manifest_digest": self.manifest_digest,
            "history": self.log_id,
            "version": self.version,
            "digest": self.digest,
            "log_number": self.log_number,
            "log_digest": self.log_digest,
            "owners": owners_to_json(self.owners),
            "revoked": list_revocations(sorted(self.revoked), self.ends),
        }
        if self.tree is not None:
            value["log_tree"] = tree_head_to_json(self.tree)
        return canonical_json(value) + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse the content of a pin file.

        Raises: MalformedError.
        """
        # Releases before 0.2 wrote pins without a format.
        value = {"format": FORMAT, **parse_object(text, "pin")}
        fields = OpenFields(value, "pin", _KEYS, ("owners", "revoked", "log_tree"), versioned=True)
        # Releases before 0.2 did not pin revocations.
        revoked, ends = parse_listed_revocations(fields) if "revoked" in fields else ((), {})
        return cls(
            deployment=fields.read("deployment", parse_name),
            manifest_digest=fields.digest("manifest_digest"),
            log_id=fields.digest("history"),
            version=fields.integer("version"),
            digest=fields.digest("digest"),
            log_number=fields.integer("log_number"),
            log_digest=fields.digest("log_digest"),
            # Releases before 0.2 did not pin owners.
            owners=fields.read("owners", owners_from_json) if "owners" in fields else {},
            revoked=frozenset(revoked),
            ends=ends,
            tree=fields.read("log_tree", tree_head_from_json) if "log_tree" in fields else None,
        )


class DirectoryPin:
    """The newest directory that a client accepted. Safe to share between threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the pin.

        `path`: the pin file, which `accept` creates if it is missing; None for memory only.

        Raises: ConfigError when the file cannot be read or is not a pin.
        """
        self._path = path
        self._lock = threading.Lock()
        self._pin: PinnedDirectory | None = None
        self._load()

    @property
    def pin(self) -> PinnedDirectory | None:
        """The pinned directory; None before the first one."""
        return self._pin

    def gap(self, directory: Directory) -> LogGap | None:
        """Return the log records between the pinned directory and a later one to be checked.

        None if there is no pin, if `directory` is the next version or older, or if it is of another
        log.
        """
        with self._lock:
            self._load()
            pin = self._pin
        if pin is None or pin.log_id != directory.log_id:
            return None
        log = (pin.log_number, pin.log_digest)
        gap = log_gap(pin.version, pin.digest, log, directory)
        return None if gap is None else replace(gap, tree=pin.tree)

    def accept(
        self,
        directory: Directory,
        payload: bytes,
        tree: TreeHead | None = None,
        gap: LogGap | None = None,
    ) -> Directory:
        """Pin a verified directory that is the pinned one or continues it, and return it.

        A directory with other deployment settings (`manifest_digest`) replaces the pin without this
        check. `payload`: the bytes that were signed. `tree`: the head of its log's tree. `gap`:
        what `gap` returned for it, and was checked since.

        Raises: EvidenceError for an older version (`directory_rollback`; also when another process
            has pinned a directory since `gap`, so try again), one that does not continue the pinned
            one (`directory_fork`), another log (`directory_history`) or one
            that takes a revocation back (`directory_revocation`);
            ConfigError when the file cannot be written.
        """
        new = PinnedDirectory.from_directory(directory, payload, tree)
        with self._lock, self._file_locked():
            self._load()
            old = self._pin
            if old is not None and old.manifest_digest == new.manifest_digest:
                _check(old, new, directory.previous)
                _check_gap(old, new, gap)
                _check_revoked(old, new, directory)
            if old is not None and old.deployment == new.deployment:
                new = replace(new, owners=add_owners(old.owners, directory.models))
            if old != new:
                self._store(new)
                self._pin = new
        return directory

    def forget_owner(self, name: str) -> str | None:
        """Forget which owner a name belongs to; return that owner, or None if it is not pinned.

        Raises: ConfigError when the file cannot be written.
        """
        with self._lock, self._file_locked():
            self._load()
            owner = None if self._pin is None else self._pin.owners.get(name)
            if self._pin is None or owner is None:
                return None
            left = {key: value for key, value in self._pin.owners.items() if key != name}
            self._pin = replace(self._pin, owners=left)
            self._store(self._pin)
        return owner

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                self._pin = PinnedDirectory.from_bytes(file.read(MAX_PIN_BYTES))
        except FileNotFoundError:
            return
        except (OSError, MalformedError) as error:
            raise ConfigError(
                f"pin {self._path} ({_ELSEWHERE}): {error}; see docs/spec/directory.md, 3"
            ) from error

    def _store(self, pin: PinnedDirectory) -> None:
        if self._path is None:
            return
        with file_errors(f"pin {self._path} ({_ELSEWHERE}): cannot write"):
            write_file(self._path, pin.to_bytes())

    @contextmanager
    def _file_locked(self) -> Iterator[None]:
        """Hold an exclusive lock, so that one process at a time compares and writes the pin."""
        if self._path is None:
            yield
            return
        path = self._path.with_name(f".{self._path.name}.lock")
        with file_errors(f"pin {self._path} ({_ELSEWHERE}): cannot lock"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _check_gap(old: PinnedDirectory, new: PinnedDirectory, gap: LogGap | None) -> None:
    """Check that the log was followed from what is pinned now, if versions are skipped."""
    checked = None if gap is None else (gap.version, gap.digest)
    if new.version > old.version + 1 and checked != (old.version, old.digest):
        raise EvidenceError(
            "directory_rollback",
            f"another process has pinned version {old.version} meanwhile: try again",
        )


def _check_revoked(old: PinnedDirectory, new: PinnedDirectory, directory: Directory) -> None:
    """Check that what was revoked still is.

    A key may leave the list once nobody has it, a worker at the end that was told for it.
    """
    keys = {key.kid for key in directory.keys}
    lost = sorted(
        each
        for each in old.revoked - new.revoked
        if (each.kind is not RevokedKind.KEY or each.id in keys)
        and not _is_ended(each, old, directory.issued_ms)
    )
    if lost:
        raise EvidenceError(
            "directory_revocation",
            f"the {lost[0].kind} {lost[0].id} was revoked and is not any more: clients are shown "
            "different directories; do not send data, and tell the owner",
        )


def _is_ended(revoked: Revoked, old: PinnedDirectory, issued_ms: int) -> bool:
    return (
        revoked.kind is RevokedKind.WORKER and old.ends.get(revoked.id, issued_ms + 1) <= issued_ms
    )


def _check(old: PinnedDirectory, new: PinnedDirectory, previous: str | None) -> None:
    if new.log_id != old.log_id:
        raise EvidenceError(
            "directory_history",
            "the key broker has begun a new log: its state was lost, or is withheld; ask the "
            "owner, and delete the pin only if this was intended",
        )
    if new.version < old.version:
        raise EvidenceError(
            "directory_rollback",
            f"version {new.version} is older than the pinned {old.version}: the operator serves an "
            "old directory; ask it to serve the current one",
        )
    forked = (
        new.digest != old.digest
        if new.version == old.version
        else (new.version == old.version + 1 and previous != old.digest)
        or new.log_number <= old.log_number
        or (old.tree is not None and new.tree is not None and old.tree.first != new.tree.first)
    )
    if forked:
        raise EvidenceError(
            "directory_fork",
            f"version {new.version} does not continue the pinned {old.version}: clients are shown "
            "different directories; do not send data, and tell the owner",
        )
