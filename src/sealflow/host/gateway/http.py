"""Host, gateway: HTTP requests and responses on ASGI, without a framework."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealflow.wire.envelope import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import NoReturn


Message = MutableMapping[str, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ENVELOPE_TYPE: Final = MEDIA_TYPE.encode()
JSON_TYPE: Final = b"application/json"

_BODILESS: Final = (204, 304)

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete HTTP response."""

    status: int = 200
    body: bytes = b""
    media_type: bytes = JSON_TYPE
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send, extra_headers: tuple[Header, ...] = ()) -> None:
        """Send the response to the client, with `extra_headers` added."""
        headers = [*self.headers, *extra_headers]
        if self.status not in _BODILESS:
            headers.append((b"content-type", self.media_type))
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class ProblemError(Exception):
    """An error of a route that is answered with JSON instead of a refusal envelope."""

    def __init__(
        self, status: int, detail: str, *, headers: tuple[Header, ...] = (), close: bool = False
    ) -> None:
        """Set status, text and extra headers of the response.

        `detail`: what is wrong and what to do. `close`: close the connection, because the rest of
        the request was not read.
        """
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = (*headers, CLOSE) if close else headers

    def response(self) -> Response:
        """Return the response for this error."""
        return json_response({"error": self.detail}, status=self.status, headers=self.headers)


SIMULATED: Final[Header] = (b"sealflow-simulated", b"true")
"""A warning for people. Client libraries rely on the mark inside the sealed reply only."""
CLOSE: Final[Header] = (b"connection", b"close")


def json_response(
    value: object, *, status: int = 200, headers: tuple[Header, ...] = ()
) -> Response:
    """Return a JSON response."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status=status, body=body, headers=headers)


def envelope_response(
    status: int, envelope: bytes, *, headers: tuple[Header, ...] = ()
) -> Response:
    """Return a response whose body is an envelope."""
    return Response(status=status, body=envelope, media_type=ENVELOPE_TYPE, headers=headers)


def retry_after(seconds: float) -> Header:
    """Return a Retry-After header, in whole seconds, rounded up and at least 1."""
    return (b"retry-after", str(max(1, math.ceil(seconds))).encode())


class ClientGoneError(Exception):
    """The client closed the connection, so a response would not be read."""


class BodyTooLargeError(Exception):
    """The request body is over the limit. The rest of it was not read."""


class Request:
    """An HTTP request. `path` is percent-decoded; `argument` is the value of the placeholder."""

    __slots__ = ("_receive", "_scope", "argument", "method", "path")

    def __init__(self, scope: Scope, receive: Receive, *, argument: str = "") -> None:
        """Wrap the ASGI scope and receive callable of one request."""
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.argument = argument

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that name, in lower case, or None."""
        headers: list[tuple[bytes, bytes]] = self._scope["headers"]
        for key, value in headers:
            if key == name:
                return value
        return None

    def media_type(self) -> bytes:
        """Return the content type without its parameters, in lower case; empty when absent."""
        return (self.header(b"content-type") or b"").partition(b";")[0].strip().lower()

    def query(self, name: bytes) -> str | None:
        """Return the last value of that name in the query string, not percent-decoded, or None."""
        text: bytes = self._scope["query_string"]
        found = None
        for pair in text.split(b"&") if text else ():
            key, _, value = pair.partition(b"=")
            if key == name:
                found = value.decode("latin-1")
        return found

    def preferences(self) -> dict[str, str]:
        """Return the preferences of all `Prefer` headers, by lower-case name. Source: RFC 7240."""
        headers: list[tuple[bytes, bytes]] = self._scope["headers"]
        found: dict[str, str] = {}
        for key, value in headers:
            if key == b"prefer":
                for item in value.decode("latin-1").split(","):
                    name, _, content = item.partition(";")[0].partition("=")
                    found.setdefault(name.strip().lower(), content.strip().strip('"'))
        return found

    def wait_s(self) -> float | None:
        """Return how many seconds the client asks to wait, or None when it does not say.

        The query parameter `wait` has precedence over `Prefer: wait=`.

        Raises: ProblemError (400) when it is not a number from 0 to 86,400.
        """
        text = self.query(b"wait")
        if text is None:
            if self.header(b"prefer") is None:
                return None
            text = self.preferences().get("wait")
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        # The comparison is false for NaN, too.
        if not 0.0 <= seconds <= _MAX_WAIT_S:
            raise ProblemError(
                400, f"wait: {text[:40]!r} is not a number of seconds from 0 to {_MAX_WAIT_S:.0f}"
            )
        return seconds

    async def body_chunks(self, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
        """Yield the chunks of the body as they arrive.

        Raises: BodyTooLargeError when there are more than `limit` bytes; ProblemError (408) when
            they do not arrive within `timeout_s`; ClientGoneError.
        """
        announced = self.header(b"content-length")
        if announced is not None and (not announced.isdigit() or int(announced) > limit):
            raise BodyTooLargeError
        total = 0
        until = asyncio.get_running_loop().time() + timeout_s
        more = True
        while more:
            message = await self._next(until)
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            total += len(chunk)
            if total > limit:
                raise BodyTooLargeError
            yield chunk

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """Read and return the whole body.

        Raises: as `body_chunks`.
        """
        chunks = [chunk async for chunk in self.body_chunks(limit, timeout_s)]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def gone(self) -> None:
        """Wait until the client closes the connection. Call it after the whole body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self, until: float) -> Message:
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError:
            _refuse_slow_body()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        return message


_MAX_WAIT_S = 86_400.0


def _refuse_slow_body() -> NoReturn:
    detail = "the request body took too long: send it faster, or raise the gateway's time limit"
    raise ProblemError(408, detail, close=True)
