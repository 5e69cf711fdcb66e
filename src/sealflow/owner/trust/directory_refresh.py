"""Owner: steps that fetch the directory and the log records since the pinned one. Sans-I/O."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Evidence
from sealflow.errors import EvidenceError, UnavailableError
from sealflow.owner.http.gateway_api import (
    DIRECTORY_TIMEOUT_S,
    fetch_records,
    send_control_request,
    unavailable,
)
from sealflow.owner.http.steps import HttpRequest, Sleep, Steps, send, with_deadline
from sealflow.wire.control import error_of

if TYPE_CHECKING:
    from sealflow.attest.policy import Approval
    from sealflow.owner.trust.pin import LogGap
    from sealflow.owner.trust.session import CandidateDirectory, ServiceSession
    from sealflow.owner.trust.verified_service import VerifiedService


REFRESH_TIMEOUT_S: Final = 30.0
MAX_STALE_S: Final = 3.0
MAX_UNWITNESSED_S: Final = 10.0
"""How long a client waits for witnesses to sign the log of a new directory."""
PUBLICATION_TIMEOUT_S: Final = 30.0
"""Time limit for a gateway to serve a directory version that the key broker has announced."""
MAX_LINK_BYTES: Final = 2**26
"""The most log records that a client fetches to follow a directory."""
_STALE_PAUSE_S: Final = 0.5


def refresh(
    session: ServiceSession, *, timeout_s: float = REFRESH_TIMEOUT_S
) -> Steps[VerifiedService]:
    """Fetch and verify the published directory, and return the verified service.

    A directory older than the pinned one is fetched again for up to `MAX_STALE_S`. `timeout_s`:
    time limit for everything.

    Raises: UnavailableError, MalformedError, EvidenceError, PolicyError.
    """
    return with_deadline(timeout_s, _refresh(session))


def verify_fresh(
    session: ServiceSession, *, timeout_s: float = REFRESH_TIMEOUT_S
) -> Steps[VerifiedService]:
    """Refresh, then have the key broker prove itself for a nonce that is drawn here.

    So the key that signed the directory is in an enclave that runs now. `timeout_s`: time limit for
    everything.

    Raises: as `refresh`; UnavailableError also when another key broker instance has taken over.
    """
    return with_deadline(timeout_s, _verify_fresh(session))


def _verify_fresh(session: ServiceSession) -> Steps[VerifiedService]:
    verified = yield from _refresh(session)
    approval = yield from approve_fresh_evidence(session)
    if approval.claims.bound.signing_key != verified.approval.claims.bound.signing_key:
        raise UnavailableError(
            "the key broker that leads now has not signed the directory that is served: try again"
        )
    return replace(verified, fresh=True)


def approve_fresh_evidence(session: ServiceSession) -> Steps[Approval]:
    """Get evidence from the key broker for a new nonce, and appraise it.

    Raises: UnavailableError, MalformedError, EvidenceError, PolicyError.
    """
    nonce = secrets.token_hex(32)
    answer = yield from send_control_request({"op": "evidence", "nonce": nonce})
    if error_of(answer) is not None:
        raise UnavailableError("the key broker did not answer: try again")
    return session.approve(Evidence.from_json(answer.get("evidence")), nonce)


def _refresh(session: ServiceSession) -> Steps[VerifiedService]:
    until = time.monotonic() + MAX_STALE_S
    while True:
        candidate = yield from _fetch_witnessed(session)
        gap = None if candidate.proof else candidate.gap
        records = yield from _fetch_links(gap, accept_gap=session.accept_gap)
        try:
            return session.accept(candidate, records)
        except EvidenceError as error:
            # Gateways cache the directory for 1 s, so another gateway may have served a newer one.
            if error.code != "directory_rollback" or time.monotonic() >= until:
                raise
        yield Sleep(_STALE_PAUSE_S)


def _fetch_witnessed(session: ServiceSession) -> Steps[CandidateDirectory]:
    """Fetch a directory, again for some seconds while witnesses have not signed its log yet."""
    until = time.monotonic() + MAX_UNWITNESSED_S
    while True:
        try:
            return (yield from _fetch_directory(session))
        except UnavailableError as error:
            if error.code != "directory_unwitnessed" or time.monotonic() >= until:
                raise
        yield Sleep(_STALE_PAUSE_S)


def _fetch_directory(session: ServiceSession) -> Steps[CandidateDirectory]:
    size = session.pinned_log_size
    path = "/v1/directory" if size is None else f"/v1/directory?log_size={size}"
    response = yield from send(HttpRequest(method="GET", path=path, timeout_s=DIRECTORY_TIMEOUT_S))
    if response.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the directory is not available", response)
    return session.verify_directory(response.body)


def _fetch_links(gap: LogGap | None, *, accept_gap: bool) -> Steps[list[bytes]]:
    """Return the log records in a gap, as far as the gateway has them.

    Raises: UnavailableError, unless `accept_gap`.
    """
    if gap is None:
        return []
    records: list[bytes] = []
    try:
        while len(records) < gap.until - gap.after:
            found = yield from fetch_records(gap.after + len(records))
            if not found or sum(map(len, records)) > MAX_LINK_BYTES:
                break
            records += found
    except UnavailableError:
        if not accept_gap:
            raise
    return records[: gap.until - gap.after]


def ensure_verified(session: ServiceSession) -> Steps[None]:
    """Fetch a newer directory if one is due. If none is available, keep one that is still valid.

    Raises: as `refresh`.
    """
    if session.refresh_due():
        try:
            yield from refresh(session)
        except UnavailableError:
            if not session.postpone_refresh():
                raise
