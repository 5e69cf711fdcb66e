"""Owner: fetch the directory and what of the log links it to the one before, as steps. Sans-I/O."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sealflow.errors import EvidenceError, UnavailableError
from sealflow.owner.steps import Answer, Ask, Pause, Steps, ask, within
from sealflow.streams.keys import LOG_ENTRIES

if TYPE_CHECKING:
    from sealflow.owner.links import Gap
    from sealflow.owner.session import Candidate, ServiceSession
    from sealflow.owner.trust import TrustReport

DIRECTORY_TIMEOUT_S: Final = 15.0
REFRESH_TIMEOUT_S: Final = 30.0
LOG_TIMEOUT_S: Final = 120.0
MAX_STALE_S: Final = 3.0
APPEAR_S: Final = 30.0
"""How long a directory that the key broker announced may take to come out at a gateway."""
MAX_LOG_RECORDS: Final = 2 * LOG_ENTRIES
MAX_LINKS: Final = 20_000
_STALE_PAUSE_S: Final = 0.5


def refresh(session: ServiceSession, *, timeout_s: float = REFRESH_TIMEOUT_S) -> Steps[TrustReport]:
    """Fetch the published directory and verify it; one that is older than the last is asked anew.

    `timeout_s`: for all of it.

    Raises: UnavailableError, MalformedError, EvidenceError, PolicyError.
    """
    return within(timeout_s, _refresh(session))


def _refresh(session: ServiceSession) -> Steps[TrustReport]:
    until = time.monotonic() + MAX_STALE_S
    while True:
        candidate = yield from _fetch_directory(session)
        records = yield from _fetch_links(candidate.gap)
        try:
            return session.adopt(candidate, records)
        except EvidenceError as error:
            # Gateways keep the directory for a second: another one may have shown a newer.
            if error.code != "directory_rollback" or time.monotonic() >= until:
                raise
        yield Pause(_STALE_PAUSE_S)


def _fetch_directory(session: ServiceSession) -> Steps[Candidate]:
    answer = yield from ask(Ask(method="GET", path="/v1/directory", timeout_s=DIRECTORY_TIMEOUT_S))
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the directory is not to be had", answer)
    return session.examine(answer.body)


def _fetch_links(gap: Gap | None) -> Steps[list[bytes]]:
    """Fetch the part of the log that links two directories; nothing when it is not to be had."""
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


def fetch_records(after: int) -> Steps[list[bytes]]:
    """Fetch some log records from number `after` + 1 on; none when the gateway has none there.

    Raises: UnavailableError.
    """
    path = f"/v1/log/{after + 1}"
    answer = yield from ask(Ask(method="GET", path=path, timeout_s=DIRECTORY_TIMEOUT_S))
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the log is not to be had", answer)
    return answer.body.splitlines()


def fetch_log(first: int) -> Steps[list[bytes]]:
    """Fetch the log records from number `first` on, as far as the gateway has them.

    Raises: UnavailableError.
    """
    return within(LOG_TIMEOUT_S, _fetch_log(first))


def _fetch_log(first: int) -> Steps[list[bytes]]:
    records: list[bytes] = []
    while found := (yield from fetch_records(first + len(records) - 1)):
        records += found
        if len(records) > MAX_LOG_RECORDS:
            raise UnavailableError("the gateway's log has no end: ask another gateway")
    return records


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


def unavailable(what: str, answer: Answer) -> UnavailableError:
    """Say why an answer is of no use, by what the gateway says itself."""
    try:
        value = json.loads(answer.body)
        detail = str(value["error"])[:500]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = "see the gateway's log"
    msg = f"{what} (HTTP {answer.status}): {detail}"
    return UnavailableError(msg, retry_after_s=retry_after_s(answer))


def retry_after_s(answer: Answer) -> float:
    """How long the gateway asks to wait, at most a minute."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), 60.0) if text.isdigit() and len(text) < 6 else 1.0  # noqa: PLR2004
