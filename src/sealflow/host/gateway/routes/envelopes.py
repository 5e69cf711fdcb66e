"""Host: the routes for sealed requests and replies. The gateway can read their headers only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealflow.errors import (
    DeadlineError,
    MalformedError,
    QueueFullError,
    RefusalCode,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.host.gateway.http import (
    CLOSE,
    ENVELOPE_TYPE,
    BodyTooLargeError,
    ProblemError,
    Response,
    envelope_response,
    json_response,
    retry_after,
)
from sealflow.host.gateway.replies import StoredPending, StoredReplies
from sealflow.host.gateway.status_codes import HTTP_STATUS, http_status, refusal_of
from sealflow.streams.keys import Keyspace
from sealflow.wire.envelope import (
    MAX_HEADER_BYTES,
    MAX_KEY_BLOB_BYTES,
    MEDIA_TYPE,
    PREFIX_LENGTH,
    Envelope,
    encode_refusal,
    parse_request_start,
)
from sealflow.wire.ids import parse_request_id

if TYPE_CHECKING:
    from asyncio import Future

    from sealflow.host.broker.gateway_records import GatewayRecords
    from sealflow.host.broker.submitter import Submitter
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.cross_origin import CrossOrigin
    from sealflow.host.gateway.http import Request
    from sealflow.host.gateway.replies import PendingReplies
    from sealflow.host.gateway.routes.keybroker import DirectoryCache
    from sealflow.wire.envelope import RequestHeader
    from sealflow.wire.ids import RequestId

_MAX_OVERHEAD_BYTES: Final = PREFIX_LENGTH + MAX_HEADER_BYTES + MAX_KEY_BLOB_BYTES
_RETRYABLE: Final = (429, 503)


class EnvelopeRoutes:
    """The routes `POST /v1/envelopes` and `GET /v1/envelopes/{request_id}`."""

    def __init__(
        self,
        config: GatewayConfig,
        submitter: Submitter,
        records: GatewayRecords,
        pending: PendingReplies,
        cross_origin: CrossOrigin,
        directory: DirectoryCache,
    ) -> None:
        """Set the paths to the queue.

        `submitter`: for requests whose client waits. `records`: for asynchronous requests.
        `pending`: the requests that wait. `cross_origin`: says which pages need no content type.
        `directory`: has the models that can be asked.
        """
        self._config = config
        self._submitter = submitter
        self._records = records
        self._pending = pending
        self._cross_origin = cross_origin
        self._directory = directory
        self._inboxes = StoredReplies(records)
        self._stream = Keyspace(deployment=config.deployment).requests

    async def post(self, request: Request) -> Response:
        """Queue a request and return its reply; for `Prefer: respond-async` return 202 at once."""
        if not self._is_envelope(request):
            raise ProblemError(415, f"send an envelope as content-type {MEDIA_TYPE}")
        request_id: RequestId | None = None

        async def check_start(start: bytes) -> bool:
            nonlocal request_id
            found = parse_request_start(start, max_body_bytes=self._config.max_body_bytes)
            if found is None:
                return False
            header, length = found
            request_id = header.request_id
            await self._check_start(request, header, length)
            return True

        try:
            with request.serving():
                limit = self._config.max_body_bytes + _MAX_OVERHEAD_BYTES
                data = await request.body(limit, self._config.body_timeout_s, check_start)
                header = _parse(data, self._config.max_body_bytes)
                request_id = header.request_id
                wait_s = self._wait_seconds(request, header)
                if "respond-async" in request.preferences():
                    return await self._accept(request_id, data)
                reply = self._submit(request, data, request_id)
                del data
                return _answer(await self._pending.wait(reply, request, wait_s))
        except BodyTooLargeError:
            return _refusal(RefusalCode.TOO_LARGE, None, close=True)
        except SealflowError as error:
            return _refusal(refusal_of(error), request_id, error)

    async def _check_start(self, request: Request, header: RequestHeader, length: int) -> None:
        """Check what the start of an envelope says, before the rest of it has come.

        Raises: DeadlineError, MalformedError, QueueFullError, RefusedError.
        """
        if request.announced_bytes not in {None, length}:
            msg = "envelope: its length is not the sum of the lengths in its prefix"
            raise MalformedError(msg)
        self._wait_seconds(request, header)
        if await self._directory.lacks(header.model_digest):
            raise RefusedError(RefusalCode.UNKNOWN_MODEL)
        if self._submitter.was_full(self._stream, self._config.queue_capacity):
            msg = "the queue is full"
            raise QueueFullError(msg)

    def _submit(self, request: Request, data: bytes, request_id: RequestId) -> Future[bytes]:
        held = request.hold(len(data))
        return self._submitter.submit(
            self._stream,
            data,
            request_id.encode(),
            capacity=self._config.queue_capacity,
            sent=held.close,
        )

    async def get(self, request: Request) -> Response:
        """Return the reply to an asynchronous request; wait for it if the client asks to."""
        try:
            request_id = parse_request_id(request.argument)
        except MalformedError as error:
            raise ProblemError(400, f"{error}: use the id of the envelope's header") from error
        found = await self._inboxes.fetch(request_id)
        if found is None:
            detail = "no such asynchronous request, or its reply has expired: send a new request"
            raise ProblemError(404, detail)
        if isinstance(found, StoredPending):
            wait_s = min(request.wait_s() or 0.0, self._config.max_wait_s)
            if wait_s <= 0:
                return _pending_response(request_id)
            try:
                future = self._inboxes.watch(request_id, found)
                found = await self._pending.wait(future, request, wait_s)
            except DeadlineError:
                return _pending_response(request_id)
        return _answer(found)

    async def close(self) -> None:
        """Stop waiting for asynchronous requests."""
        await self._inboxes.close()

    def _is_envelope(self, request: Request) -> bool:
        # Without a content type, browsers send a page's request without a preflight. The envelope
        # is recognised by its magic bytes, and pages of other origins are told to name the type.
        media_type = request.media_type()
        return media_type == ENVELOPE_TYPE or (
            not media_type and self._cross_origin.allows(request)
        )

    def _wait_seconds(self, request: Request, header: RequestHeader) -> float:
        left_s = header.deadline_ms / 1000 - time.time()
        if left_s <= 0:
            msg = "the request's deadline has passed"
            raise DeadlineError(msg)
        requested_s = request.wait_s()
        limit_s = min(left_s, self._config.max_wait_s)
        return limit_s if requested_s is None else min(requested_s, limit_s)

    async def _accept(self, request_id: RequestId, envelope: bytes) -> Response:
        await self._records.submit_once(
            request_id,
            envelope,
            capacity=self._config.queue_capacity,
            ttl_ms=int(self._config.inbox_ttl_s * 1000),
        )
        return _pending_response(request_id, (b"preference-applied", b"respond-async"))


def _parse(data: bytes, max_body_bytes: int) -> RequestHeader:
    return Envelope.from_bytes(data, max_body_bytes=max_body_bytes).request_header


def _answer(reply: bytes) -> Response:
    status = http_status(reply)
    headers = (retry_after(1.0),) if status in _RETRYABLE else ()
    return envelope_response(status, reply, headers=headers)


def _pending_response(request_id: RequestId, *headers: tuple[bytes, bytes]) -> Response:
    location = f"/v1/envelopes/{request_id}"
    return json_response(
        {"request_id": request_id, "state": "pending", "location": location},
        status=202,
        headers=((b"location", location.encode()), retry_after(1.0), *headers),
    )


def _refusal(
    code: RefusalCode,
    request_id: RequestId | None,
    error: SealflowError | None = None,
    *,
    close: bool = False,
) -> Response:
    status = HTTP_STATUS[code]
    wait_s = error.retry_after_s if isinstance(error, UnavailableError) else 1.0
    headers = (retry_after(wait_s),) if status in _RETRYABLE else ()
    if close:
        headers = (*headers, CLOSE)
    return envelope_response(status, encode_refusal(code, request_id), headers=headers)
