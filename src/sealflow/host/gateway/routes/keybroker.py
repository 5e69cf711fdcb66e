"""Host: pass on what the key broker publishes and what clients ask of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from sealflow.errors import (
    DeadlineError,
    MalformedError,
    QueueFullError,
    UnavailableError,
)
from sealflow.host.gateway.http import (
    JSON_TYPE,
    SIMULATED,
    BodyTooLargeError,
    ProblemError,
    Response,
    retry_after,
)
from sealflow.streams.keys import Keyspace
from sealflow.wire.frames import MAX_CONTROL_BYTES
from sealflow.wire.ids import new_request_id
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from sealflow.host.broker.gateway_records import GatewayRecords
    from sealflow.host.broker.submitter import Submitter
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.http import Header, Request
    from sealflow.host.gateway.replies import PendingReplies

_FRESH_S: Final = 1.0
_LOG_COUNT: Final = 500
_NUMBER_DIGITS: Final = 15
JSON_LINES_TYPE: Final = b"application/jsonl"


class DirectoryCache:
    """The published directory, at most a second old while the broker answers.

    Without the broker the last one goes on being served: it is signed and says when it expires.
    """

    def __init__(self, records: GatewayRecords) -> None:
        """Read by way of `records`."""
        self._records = records
        self._text: bytes | None = None
        self._tag = b""
        self._read_at = -_FRESH_S
        self.says_simulated = False
        """Whether the key broker's evidence, which nobody here can check, is of a simulation."""

    def simulation_headers(self) -> tuple[Header, ...]:
        """Return the headers that every answer of this gateway carries."""
        return (SIMULATED,) if self.says_simulated else ()

    async def read(self) -> tuple[bytes, bytes] | None:
        """Return the directory and its entity tag; None while none is published.

        Raises: UnavailableError.
        """
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= _FRESH_S:
            try:
                text = await self._records.directory()
            except UnavailableError:
                if self._text is None:
                    raise
                text = self._text
            self._read_at = now
            if text != self._text:
                self._text = text
                self.says_simulated = _says_simulated(text or b"{}")
                self._tag = b'"' + hashlib.sha256(text or b"").hexdigest()[:32].encode() + b'"'
        return None if self._text is None else (self._text, self._tag)


class KeyBrokerRoutes:
    """`GET /v1/directory`, `GET /v1/log/{number}` and `POST /v1/control`."""

    def __init__(
        self,
        config: GatewayConfig,
        submitter: Submitter,
        records: GatewayRecords,
        directory: DirectoryCache,
        room: PendingReplies,
    ) -> None:
        """Reach the key broker by its stream."""
        self._config = config
        self._records = records
        self._submitter = submitter
        self._directory = directory
        self._room = room
        self._stream = Keyspace(deployment=config.deployment).control

    async def directory(self, request: Request) -> Response:
        """Answer with the signed directory and the key broker's evidence."""
        found = await self._directory.read()
        if found is None:
            detail = "no directory is published yet: the key broker is starting or not running"
            raise ProblemError(503, detail, headers=(retry_after(1.0),))
        text, tag = found
        headers = ((b"etag", tag), (b"cache-control", b"no-cache"))
        known = request.header(b"if-none-match") or b""
        if tag in known or known.strip() == b"*":
            return Response(status=304, headers=headers)
        return Response(body=text, headers=headers)

    async def log(self, request: Request) -> Response:
        """Answer with some records of the key broker's log, one a line, from a number on."""
        number = request.argument
        if not number.isdecimal() or len(number) > _NUMBER_DIGITS:
            raise ProblemError(400, "name a record's number: /v1/log/0")
        records = await self._records.log(int(number), _LOG_COUNT)
        body = b"".join(record + b"\n" for record in records)
        return Response(body=body, media_type=JSON_LINES_TYPE)

    async def control(self, request: Request) -> Response:
        """Pass one request on to the key broker and wait for its answer."""
        if request.media_type() != JSON_TYPE:
            raise ProblemError(415, "send a JSON object as content-type application/json")
        try:
            text = await request.body(MAX_CONTROL_BYTES, self._config.body_timeout_s)
            parse_object(text, "control request")
        except BodyTooLargeError:
            detail = f"control requests are at most {MAX_CONTROL_BYTES} bytes"
            raise ProblemError(413, detail, close=True) from None
        except MalformedError as error:
            raise ProblemError(400, f"{error}: send one JSON object") from error
        try:
            answer = self._submitter.submit(
                self._stream,
                text,
                new_request_id().encode(),
                capacity=self._config.control_capacity,
            )
            body = await self._room.wait(answer, request, self._config.control_wait_s)
        except QueueFullError as error:
            detail = "the key broker is busy: try again"
            raise ProblemError(429, detail, headers=(retry_after(error.retry_after_s),)) from error
        except DeadlineError as error:
            detail = "the key broker did not answer: see that the control process runs"
            raise ProblemError(504, detail) from error
        return Response(body=body)


def _says_simulated(text: bytes) -> bool:
    try:
        evidence = parse_object(text, "published directory").get("evidence")
    except MalformedError:
        return False
    return isinstance(evidence, dict) and evidence.get("tee") == "simulated"
