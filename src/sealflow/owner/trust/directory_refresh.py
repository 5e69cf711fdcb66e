"""Owner: fetch the directory and what of the log links it to the one before, as steps. Sans-I/O."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sealflow.errors import EvidenceError, UnavailableError
from sealflow.owner.http.gateway_api import DIRECTORY_TIMEOUT_S, fetch_records, unavailable
from sealflow.owner.http.steps import HttpRequest, Sleep, Steps, send, with_deadline

if TYPE_CHECKING:
    from sealflow.owner.trust.pin import LogGap
    from sealflow.owner.trust.session import CandidateDirectory, ServiceSession
    from sealflow.owner.trust.verified_service import VerifiedService


REFRESH_TIMEOUT_S: Final = 30.0
MAX_STALE_S: Final = 3.0
APPEAR_S: Final = 30.0
"""How long a directory that the key broker announced may take to come out at a gateway."""
MAX_LINKS: Final = 20_000
_STALE_PAUSE_S: Final = 0.5


def refresh(
    session: ServiceSession, *, timeout_s: float = REFRESH_TIMEOUT_S
) -> Steps[VerifiedService]:
    """Fetch the published directory and verify it; one that is older than the last is asked anew.

    `timeout_s`: for all of it.

    Raises: UnavailableError, MalformedError, EvidenceError, PolicyError.
    """
    return with_deadline(timeout_s, _refresh(session))


def _refresh(session: ServiceSession) -> Steps[VerifiedService]:
    until = time.monotonic() + MAX_STALE_S
    while True:
        candidate = yield from _fetch_directory(session)
        records = yield from _fetch_links(candidate.gap)
        try:
            return session.accept(candidate, records)
        except EvidenceError as error:
            # Gateways keep the directory for a second: another one may have shown a newer.
            if error.code != "directory_rollback" or time.monotonic() >= until:
                raise
        yield Sleep(_STALE_PAUSE_S)


def _fetch_directory(session: ServiceSession) -> Steps[CandidateDirectory]:
    answer = yield from send(
        HttpRequest(method="GET", path="/v1/directory", timeout_s=DIRECTORY_TIMEOUT_S)
    )
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the directory is not available", answer)
    return session.verify_directory(answer.body)


def _fetch_links(gap: LogGap | None) -> Steps[list[bytes]]:
    """Fetch the part of the log that links two directories; nothing when it is not available."""
    if gap is None or gap.until - gap.after > MAX_LINKS:
        return []
    records: list[bytes] = []
    with suppress(UnavailableError):
        while len(records) < gap.until - gap.after:
            found = yield from fetch_records(gap.after + len(records))
            if not found:
                break
            records += found
    return records[: gap.until - gap.after]


def ensure_verified(session: ServiceSession) -> Steps[None]:
    """Refresh when due; go on with what is still valid when the gateway has nothing newer.

    Raises: as `refresh`.
    """
    if session.refresh_due():
        try:
            yield from refresh(session)
        except UnavailableError:
            if not session.postpone_refresh():
                raise
