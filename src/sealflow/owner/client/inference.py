"""Owner: the steps of one inference request through the gateway, with retries. Sans-I/O.

Each retry seals the request again, to a key of a verified directory. Responses in clear text are
not authenticated: they can only cause one of a bounded number of retries.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from sealflow.backoff import Backoff
from sealflow.errors import (
    DeadlineError,
    EvidenceError,
    InvalidInputError,
    MalformedError,
    NewerFormatError,
    OpenError,
    QueueFullError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner.audit.receipt_proof import ReceiptRequest
from sealflow.owner.client.arguments import check_request
from sealflow.owner.client.request import request_parts
from sealflow.owner.client.result import InferResult, read_result
from sealflow.owner.http.gateway_api import retry_after_s, unavailable
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, send, with_deadline
from sealflow.owner.trust.directory_refresh import ensure_verified, refresh
from sealflow.wire.envelope import MEDIA_TYPE, Envelope, RefusalHeader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sealflow.documents.directory import DirectoryModel
    from sealflow.openinfer.tensor import TensorSpec
    from sealflow.owner.audit.receipt_proof import ReceiptProof
    from sealflow.owner.client.request import Image, Tensors
    from sealflow.owner.trust.session import ServiceSession
    from sealflow.owner.trust.verified_service import VerifiedService
    from sealflow.seal.content import Content, Parts
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.wire.envelope import ReplyHeader
    from sealflow.wire.ids import ModelRef

_T = TypeVar("_T")

DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_CONCURRENCY: Final = 16
MAX_ATTEMPTS: Final = 5
MAX_UNAVAILABLE_S: Final = 20.0
MAX_REPLY_BYTES: Final = 64 * 2**20
_GRACE_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.1
_MAX_PAUSE_S: Final = 2.0
_CACHED_S: Final = 0.5
"""Minimum pause while the directory has no newer keys: gateways cache it for 1 s, which the next
retries must outlast."""
REFRESH_CODES: Final = (
    RefusalCode.UNKNOWN_KEY,
    RefusalCode.UNKNOWN_MODEL,
)
RESEAL_CODES: Final = (*REFRESH_CODES, RefusalCode.REPLAYED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAnswer:
    """A reply as it was opened. `proof`: the receipt, if the request asked for one."""

    model: ModelRef
    header: ReplyHeader
    content: Content
    proof: ReceiptProof | None


def infer(  # noqa: PLR0913 - the options of `Client.infer`
    session: ServiceSession,
    name: str,
    *,
    image: Image | Sequence[Image] | None,
    tensors: Tensors | None,
    top_k: int | None,
    timeout_s: float,
    receipt: bool = False,
    share_batch: bool = False,
) -> Steps[InferResult]:
    """Seal and send a request, and return the result in its reply. Retry failures that can pass.

    Arguments are those of `Client.infer`.

    Raises: DeadlineError after `timeout_s`, and every error of the last attempt; ConfigError if the
    policy does not allow `share_batch`.
    """
    timeout_s = check_request(
        name, top_k=top_k, timeout_s=timeout_s, receipt=receipt, share_batch=share_batch
    )
    if share_batch:
        session.require_share_batch()

    def parts_for(model: DirectoryModel) -> Parts:
        return request_parts(
            model,
            image=image,
            tensors=tensors,
            top_k=top_k,
            share_batch=share_batch,
            tenant_token=session.tenant_token,
        )

    def read(model: DirectoryModel, answer: OpenedAnswer) -> InferResult:
        return _read(answer, model.outputs)

    return ask(session, name, parts_for, read, timeout_s, receipt=receipt)


def ask(
    session: ServiceSession,
    name: str,
    parts_for: Callable[[DirectoryModel], Parts],
    read: Callable[[DirectoryModel, OpenedAnswer], _T],
    timeout_s: float,
    *,
    receipt: bool,
) -> Steps[_T]:
    """Seal and send a content to the workers of a model, and return what `read` makes of the reply.

    Raises: as `infer`.
    """
    steps = _ask(session, name, parts_for, read, timeout_s, receipt=receipt)
    # `_GRACE_S` more, in which the gateway can report that there was no reply in time.
    return with_deadline(timeout_s + _GRACE_S, steps)


def _ask(
    session: ServiceSession,
    name: str,
    parts_for: Callable[[DirectoryModel], Parts],
    read: Callable[[DirectoryModel, OpenedAnswer], _T],
    timeout_s: float,
    *,
    receipt: bool,
) -> Steps[_T]:
    until = time.monotonic() + timeout_s
    yield from with_deadline(timeout_s, ensure_verified(session))
    model = yield from _find_model(session, name)
    parts = parts_for(model)
    budget = RetryBudget(until, timeout_s)
    while True:
        try:
            answer = yield from _attempt(session, model, parts, until, receipt=receipt)
            return read(model, answer)
        except RefusedError as error:
            if error.code not in RESEAL_CODES:
                raise
            before, behind = session.verified, False
            if error.code in REFRESH_CODES:
                # If the gateway is unavailable, the next attempt fails with that, and counts it.
                with suppress(UnavailableError):
                    yield from refresh(session)
                newer = session.model(name)
                # The verified directory has the model, so the worker has yet to load it.
                behind = error.code is RefusalCode.UNKNOWN_MODEL and newer.digest == model.digest
                model = newer
            same = error.code is RefusalCode.UNKNOWN_KEY and _same_keys(before, session.verified)
            least_s = _CACHED_S if same else 0.0
            wait_s = (
                budget.count_unavailable(error) if behind else budget.count_refusal(error, least_s)
            )
        except OpenError as error:
            wait_s = budget.count_refusal(error)
        except DeadlineError:
            raise
        except UnavailableError as error:
            wait_s = budget.count_unavailable(error)
        yield Sleep(wait_s)


def _same_keys(before: VerifiedService | None, after: VerifiedService | None) -> bool:
    return (
        before is not None and after is not None and before.directory.keys == after.directory.keys
    )


class RetryBudget:
    """The limits of retries of one request.

    It allows `MAX_ATTEMPTS` refusals or replies that do not open, and `MAX_UNAVAILABLE_S` seconds
    in which the service is unavailable.
    """

    def __init__(self, until: float, timeout_s: float) -> None:
        self._until = until
        self._timeout_s = timeout_s
        self._backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        self._refusals = 0
        self._unavailable_since = 0.0

    def count_refusal(self, error: RefusedError | OpenError, least_s: float = 0.0) -> float:
        """Count a refusal. Return the seconds to wait before the next attempt, at least `least_s`.

        Raises: the refusal when it is the last allowed one; DeadlineError when no time is left.
        """
        self._refusals += 1
        if self._refusals >= MAX_ATTEMPTS:
            raise error
        return 0.0 if self._refusals == 1 and not least_s else self._wait(least_s, error)

    def count_unavailable(self, error: SealflowError) -> float:
        """Count a time at which the service is unavailable. Return the seconds to wait.

        Raises: the error after `MAX_UNAVAILABLE_S` of unavailability; DeadlineError when no time is
        left.
        """
        now = time.monotonic()
        self._unavailable_since = self._unavailable_since or now
        if now - self._unavailable_since >= MAX_UNAVAILABLE_S:
            raise error
        asked_s = error.retry_after_s if isinstance(error, UnavailableError) else 0.0
        return self._wait(asked_s if asked_s > 1 else 0.0, error)

    def _wait(self, least_s: float, why: SealflowError) -> float:
        wait_s = max(self._backoff.next_s(), least_s)
        if time.monotonic() + wait_s >= self._until:
            raise DeadlineError(
                f"no reply within {self._timeout_s:g} s; last error: {why}"
            ) from why
        return wait_s * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret: spreads retries over time


def _find_model(session: ServiceSession, name: str) -> Steps[DirectoryModel]:
    try:
        return session.model(name)
    except InvalidInputError:
        # The model may have been published since the last refresh.
        yield from refresh(session)
        return session.model(name)


def _attempt(
    session: ServiceSession, model: DirectoryModel, parts: Parts, until: float, *, receipt: bool
) -> Steps[OpenedAnswer]:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise DeadlineError("no reply in time: raise timeout_s, or see sealflow status")
    requested = ReceiptRequest.from_parts(parts) if receipt else None
    all_parts = parts if requested is None else requested.parts
    call = session.seal_request(model, all_parts, timeout_s=left_s)
    response = yield from send(
        HttpRequest(
            method="POST",
            path=f"/v1/envelopes?wait={left_s:.3f}",
            body=call.envelope,
            headers={"content-type": MEDIA_TYPE},
            timeout_s=left_s + _GRACE_S,
        )
    )
    if response.headers.get("content-type") != MEDIA_TYPE:
        # A proxy that replaces responses could hide the refusal of an expired key.
        with suppress(UnavailableError, MalformedError):
            yield from refresh(session)
    envelope = envelope_of(response)
    return _open(
        call,
        envelope,
        requested,
        revoked=session.revoked_workers,
        retry_after_s=retry_after_s(response),
    )


def envelope_of(response: HttpResponse) -> Envelope:
    """Parse the envelope in an HTTP response.

    Raises: UnavailableError when there is none; OpenError when it does not parse, which counts
        as no answer (client.md, 9.2); NewerFormatError when it needs a newer client.
    """
    if response.headers.get("content-type") != MEDIA_TYPE:
        raise unavailable("the gateway could not forward the request", response)
    try:
        return Envelope.from_bytes(response.body, max_body_bytes=MAX_REPLY_BYTES)
    except NewerFormatError:
        raise
    except MalformedError as error:
        raise OpenError from error


def open_answer(
    call: OutgoingCall,
    envelope: Envelope,
    requested: ReceiptRequest | None = None,
    *,
    outputs: Sequence[TensorSpec],
    revoked: Collection[str] = (),
    retry_after_s: float = 1.0,
) -> InferResult:
    """Open a reply and return the result in it.

    `requested`: the receipt that the request asked for. `outputs`: those of the model. `revoked`:
    the instance ids of revoked workers. `retry_after_s`: what the gateway asks for with a refusal.

    Raises: OpenError when it is not the genuine reply or is the refusal of another request; the
        error of a refusal: RefusedError, QueueFullError, UnavailableError or DeadlineError;
        ModelError, MalformedError; EvidenceError when the worker is revoked, or the receipt is
        missing or not about this request and reply.
    """
    answer = _open(call, envelope, requested, revoked=revoked, retry_after_s=retry_after_s)
    return _read(answer, outputs)


def _open(
    call: OutgoingCall,
    envelope: Envelope,
    requested: ReceiptRequest | None,
    *,
    revoked: Collection[str],
    retry_after_s: float,
) -> OpenedAnswer:
    if isinstance(envelope.header, RefusalHeader):
        if envelope.header.request_id not in {None, call.request_id}:
            raise OpenError
        _refuse(envelope.header.code, retry_after_s)
    header, content = call.open_reply(envelope)
    if header.instance in revoked:
        detail = f"the worker {header.instance} that answered is revoked"
        raise EvidenceError("worker_revoked", detail)
    proof = None
    if requested is not None:
        content, proof = requested.verify_reply(call, header, content)
    return OpenedAnswer(model=call.header.model, header=header, content=content, proof=proof)


def _read(answer: OpenedAnswer, outputs: Sequence[TensorSpec]) -> InferResult:
    return read_result(
        answer.model, answer.header, answer.content, outputs=outputs, receipt=answer.proof
    )


def _refuse(code: RefusalCode, retry_after_s: float) -> None:
    if code is RefusalCode.OVERLOADED:
        msg = "the queue is full: send fewer requests at a time, or add workers"
        raise QueueFullError(msg, retry_after_s=retry_after_s)
    if code is RefusalCode.UNAVAILABLE:
        msg = "no worker can serve now: see sealflow status"
        raise UnavailableError(msg, retry_after_s=retry_after_s)
    if code is RefusalCode.EXPIRED:
        msg = "no worker took the request in time: raise timeout_s, or add workers"
        raise DeadlineError(msg)
    raise RefusedError(code)
