"""Owner: what a client and a gateway say to each other, as steps for any driver. Sans-I/O.

Retries seal anew, to keys of a verified directory only; an answer in clear text is a hint that can
cause one of a bounded number of retries, and nothing else.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sealflow.backoff import Backoff
from sealflow.errors import (
    DeadlineError,
    InvalidInputError,
    MalformedError,
    QueueFullError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner.audit.receipt_proof import ReceiptRequest
from sealflow.owner.client.request import request_parts
from sealflow.owner.client.result import InferResult, read_result
from sealflow.owner.http.gateway_api import retry_after_s, unavailable
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, send, with_deadline
from sealflow.owner.trust.directory_refresh import ensure_verified, refresh
from sealflow.wire.envelope import MEDIA_TYPE, Envelope, RefusalHeader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealflow.documents.directory import DirectoryModel
    from sealflow.owner.client.request import Image, Tensors
    from sealflow.owner.trust.session import ServiceSession
    from sealflow.owner.trust.verified_service import VerifiedService
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import OutgoingCall


DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_CONCURRENCY: Final = 16
MAX_ATTEMPTS: Final = 5
MAX_AWAY_S: Final = 20.0
MAX_REPLY_BYTES: Final = 64 * 2**20
_GRACE_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.1
_MAX_PAUSE_S: Final = 2.0
_CACHED_S: Final = 0.5
"""A gateway keeps the directory for a second: the next tries must outlast that."""
REFRESH_CODES: Final = (
    RefusalCode.UNKNOWN_KEY,
    RefusalCode.UNKNOWN_MODEL,
)
RESEAL_CODES: Final = (*REFRESH_CODES, RefusalCode.REPLAYED)


def infer(  # noqa: PLR0913 - what callers may say
    session: ServiceSession,
    name: str,
    *,
    image: Image | Sequence[Image] | None,
    tensors: Tensors | None,
    top_k: int | None,
    timeout_s: float,
    receipt: bool = False,
) -> Steps[InferResult]:
    """Seal one request, send it, open its reply; seal anew and retry what may be retried.

    `receipt`: ask for a receipt.

    Raises: DeadlineError after `timeout_s`, and whatever the last attempt raised.
    """

    def parts_for(model: DirectoryModel) -> Parts:
        return request_parts(model, image=image, tensors=tensors, top_k=top_k)

    steps = _infer(session, name, parts_for, timeout_s, receipt=receipt)
    # The gateway is given a moment to say that nobody answered in time.
    return with_deadline(timeout_s + _GRACE_S, steps)


def _infer(
    session: ServiceSession,
    name: str,
    parts_for: Callable[[DirectoryModel], Parts],
    timeout_s: float,
    *,
    receipt: bool,
) -> Steps[InferResult]:
    until = time.monotonic() + timeout_s
    yield from with_deadline(timeout_s, ensure_verified(session))
    model = yield from _find_model(session, name)
    parts = parts_for(model)
    patience = RetryBudget(until, timeout_s)
    while True:
        try:
            return (yield from _attempt(session, model, parts, until, receipt=receipt))
        except RefusedError as error:
            if error.code not in RESEAL_CODES:
                raise
            before, behind = session.verified, False
            if error.code in REFRESH_CODES:
                # If it is away, the next attempt meets that again, and counts how long it lasts.
                with suppress(UnavailableError):
                    yield from refresh(session)
                newer = session.model(name)
                # The verified directory has it: a worker is behind, and gets a little time.
                behind = error.code is RefusalCode.UNKNOWN_MODEL and newer.digest == model.digest
                model = newer
            same = error.code is RefusalCode.UNKNOWN_KEY and _same_keys(before, session.verified)
            least_s = _CACHED_S if same else 0.0
            wait_s = (
                patience.count_unavailable(error)
                if behind
                else patience.count_refusal(error, least_s)
            )
        except DeadlineError:
            raise
        except UnavailableError as error:
            wait_s = patience.count_unavailable(error)
        yield Sleep(wait_s)


def _same_keys(before: VerifiedService | None, after: VerifiedService | None) -> bool:
    return (
        before is not None and after is not None and before.directory.keys == after.directory.keys
    )


class RetryBudget:
    """How long and how often one request is tried: refusals by number, absence by time."""

    def __init__(self, until: float, timeout_s: float) -> None:
        self._until = until
        self._timeout_s = timeout_s
        self._backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        self._refusals = 0
        self._away_since = 0.0

    def count_refusal(self, error: RefusedError, least_s: float) -> float:
        """Count a refusal; returns how long to wait, at least `least_s`."""
        self._refusals += 1
        if self._refusals >= MAX_ATTEMPTS:
            raise error
        return 0.0 if self._refusals == 1 and not least_s else self._wait(least_s, error)

    def count_unavailable(self, error: SealflowError) -> float:
        """Note that nobody can serve; returns the time to wait."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since >= MAX_AWAY_S:
            raise error
        asked_s = error.retry_after_s if isinstance(error, UnavailableError) else 0.0
        return self._wait(asked_s if asked_s > 1 else 0.0, error)

    def _wait(self, least_s: float, why: SealflowError) -> float:
        wait_s = max(self._backoff.next_s(), least_s)
        if time.monotonic() + wait_s >= self._until:
            raise DeadlineError(
                f"no reply within {self._timeout_s:g} s; the last time: {why}"
            ) from why
        return wait_s * random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, no secret


def _find_model(session: ServiceSession, name: str) -> Steps[DirectoryModel]:
    try:
        return session.model(name)
    except InvalidInputError:
        # It may have been published since.
        yield from refresh(session)
        return session.model(name)


def _attempt(
    session: ServiceSession, model: DirectoryModel, parts: Parts, until: float, *, receipt: bool
) -> Steps[InferResult]:
    left_s = until - time.monotonic()
    if left_s <= 0:
        msg = "no reply in time: raise timeout_s, or see sealflow status"
        raise DeadlineError(msg)
    asked = ReceiptRequest.from_parts(parts) if receipt else None
    call = session.seal_request(model, parts if asked is None else asked.parts, timeout_s=left_s)
    answer = yield from send(
        HttpRequest(
            method="POST",
            path=f"/v1/envelopes?wait={left_s:.3f}",
            body=call.envelope,
            headers={"content-type": MEDIA_TYPE},
            timeout_s=left_s + _GRACE_S,
        )
    )
    if answer.headers.get("content-type") != MEDIA_TYPE:
        # Who rewrites answers on the way may hide from us that our key is over.
        with suppress(UnavailableError, MalformedError):
            yield from refresh(session)
    return open_answer(call, envelope_of(answer), asked)


def envelope_of(answer: HttpResponse) -> Envelope:
    """Read the envelope of an HTTP answer.

    Raises: UnavailableError when the gateway answered something else, MalformedError.
    """
    if answer.headers.get("content-type") != MEDIA_TYPE:
        raise unavailable("the gateway could not pass the request on", answer)
    envelope = Envelope.from_bytes(answer.body, max_body_bytes=MAX_REPLY_BYTES)
    if isinstance(envelope.header, RefusalHeader):
        _refuse(envelope.header.code, retry_after_s(answer))
    return envelope


def open_answer(
    call: OutgoingCall, envelope: Envelope, asked: ReceiptRequest | None = None
) -> InferResult:
    """Open a reply and read the result.

    Raises: OpenError when it is not the genuine reply, RefusedError, ModelError, MalformedError,
    EvidenceError for a receipt that was asked for and is not about this exchange.
    """
    if isinstance(envelope.header, RefusalHeader):
        _refuse(envelope.header.code, 1.0)
    header, content = call.open_reply(envelope)
    proof = None
    if asked is not None:
        content, proof = asked.verify_reply(call, header, content)
    return read_result(call.header.model, header, content, proof)


def _refuse(code: RefusalCode, retry_after_s: float) -> None:
    if code is RefusalCode.OVERLOADED:
        msg = "the service is full: send less at once, or add workers"
        raise QueueFullError(msg, retry_after_s=retry_after_s)
    if code is RefusalCode.UNAVAILABLE:
        msg = "no worker can serve now: see sealflow status"
        raise UnavailableError(msg, retry_after_s=retry_after_s)
    if code is RefusalCode.EXPIRED:
        msg = "no worker took the request in time: raise timeout_s, or add workers"
        raise DeadlineError(msg)
    raise RefusedError(code)
