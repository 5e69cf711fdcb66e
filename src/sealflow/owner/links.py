"""Owner, pure: whether a new directory continues the one that was pinned, by the log between them.

Hashes suffice: the new directory, whose signature was verified, names the log's newest entry, and
that one stands for all before it. Spec: docs/spec/directory.md, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.documents.log import EntryKind, LogEntry, SignedEntry, digest_of
from sealflow.errors import EvidenceError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.documents.directory import Directory
    from sealflow.wire.domain import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What lies between a pinned directory and a later one that is not its successor.

    `version`, `digest`: of the pinned directory. Numbers and digests of the log are those that the
    two directories name: the records needed are `after` + 1 to `until`.
    """

    version: int
    digest: str
    after: int
    after_digest: str
    until: int
    until_digest: str


def check_links(gap: Gap, records: Sequence[bytes], world: World) -> None:
    """Check that the log leads from the pinned directory to the new one.

    `records`: as served, from `gap.after` + 1 to `gap.until`.
    Raises: EvidenceError (`directory_fork`) when it does not.
    """
    previous, pinned = gap.after_digest, None
    for number, record in enumerate(records, gap.after + 1):
        try:
            text = SignedEntry.parse(record).text
            entry = LogEntry.unverified_parse(text)
        except MalformedError as error:
            raise _fork("the log that was served does not parse") from error
        if entry.number != number or entry.previous != previous:
            raise _fork("the log that was served is not one chain")
        previous = digest_of(text, world)
        if entry.kind is EntryKind.DIRECTORY and entry.body.get("version") == gap.version:
            pinned = entry.body.get("digest")
    if previous != gap.until_digest or pinned != gap.digest:
        raise _fork("the log does not lead from the directory seen before to this one")


def gap_between(
    version: int, digest: str, log: tuple[int, str], directory: Directory
) -> Gap | None:
    """Say what is between a pinned directory and `directory`; None when it is the next, or older.

    `log`: number and digest of the log's newest entry that the pinned directory names.
    """
    if directory.version <= version + 1:
        return None
    return Gap(
        version=version,
        digest=digest,
        after=log[0],
        after_digest=log[1],
        until=directory.log_number,
        until_digest=directory.log_digest,
    )


def _fork(detail: str) -> EvidenceError:
    return EvidenceError(
        "directory_fork",
        f"{detail}: two histories are being shown; do not send anything, tell the owner",
    )
