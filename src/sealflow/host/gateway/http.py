"""Host, gateway: an HTTP request and its response, on bare ASGI."""

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
    """A complete answer."""

    status: int = 200
    body: bytes = b""
    media_type: bytes = JSON_TYPE
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send, extra_headers: tuple[Header, ...] = ()) -> None:
        """Write it to the client, with `extra_headers` that all answers carry."""
        headers = [*self.headers, *extra_headers]
        if self.status not in _BODILESS:
            headers.append((b"content-type", self.media_type))
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class ProblemError(Exception):
    """Ends a route with a JSON error, where no refusal envelope fits."""

    def __init__(
        self, status: int, detail: str, *, headers: tuple[Header, ...] = (), close: bool = False
    ) -> None:
        """Keep the status, a sentence that says what to do, and more headers.

        `close`: end the connection, because the rest of the request was not read.
        """
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = (*headers, CLOSE) if close else headers

    def response(self) -> Response:
        """Write it as an answer."""
        return json_response({"error": self.detail}, status=self.status, headers=self.headers)


SIMULATED: Final[Header] = (b"sealflow-simulated", b"true")
"""Warns people who look; a client believes the sealed reply's own mark alone."""
CLOSE: Final[Header] = (b"connection", b"close")


def json_response(
    value: object, *, status: int = 200, headers: tuple[Header, ...] = ()
) -> Response:
    """Answer with JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status=status, body=body, headers=headers)


def envelope_response(
    status: int, envelope: bytes, *, headers: tuple[Header, ...] = ()
) -> Response:
    """Answer with an envelope."""
    return Response(status=status, body=envelope, media_type=ENVELOPE_TYPE, headers=headers)


def retry_after(seconds: float) -> Header:
    """Say when to try again, in whole seconds, at least one."""
    return (b"retry-after", str(max(1, math.ceil(seconds))).encode())


class ClientGoneError(Exception):
    """The client closed the connection; nobody reads an answer."""


class BodyTooLargeError(Exception):
    """The body is over the limit; what is left of it was not read."""


class Request:
    """One HTTP request. `path` is decoded; `argument` is what the route's placeholder matched."""

    __slots__ = ("_receive", "_scope", "argument", "method", "path")

    def __init__(self, scope: Scope, receive: Receive, *, argument: str = "") -> None:
        """Wrap what an ASGI server hands over."""
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.argument = argument

    def header(self, name: bytes) -> bytes | None:
        """Find a header by its lower-case name; the first one counts."""
        headers: list[tuple[bytes, bytes]] = self._scope["headers"]
        for key, value in headers:
            if key == name:
                return value
        return None

    def media_type(self) -> bytes:
        """The content type without parameters, in lower case."""
        return (self.header(b"content-type") or b"").partition(b";")[0].strip().lower()

    def query(self, name: bytes) -> str | None:
        """Find a value of the query string, as it is written there; the last one counts."""
        text: bytes = self._scope["query_string"]
        found = None
        for pair in text.split(b"&") if text else ():
            key, _, value = pair.partition(b"=")
            if key == name:
                found = value.decode("latin-1")
        return found

    def preferences(self) -> dict[str, str]:
        """Read the `Prefer` headers. Source: RFC 7240."""
        headers: list[tuple[bytes, bytes]] = self._scope["headers"]
        found: dict[str, str] = {}
        for key, value in headers:
            if key == b"prefer":
                for item in value.decode("latin-1").split(","):
                    name, _, content = item.partition(";")[0].partition("=")
                    found.setdefault(name.strip().lower(), content.strip().strip('"'))
        return found

    def wait_s(self) -> float | None:
        """How long the client asks to wait: `?wait=` before `Prefer: wait=`, in seconds.

        Raises: ProblemError (400) when it is not a number of seconds.
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
        # Also false for NaN.
        if not 0.0 <= seconds <= _MAX_WAIT_S:
            raise ProblemError(400, f"wait: {text[:40]!r} is not a number of seconds")
        return seconds

    async def body_chunks(self, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
        """Read the body as it comes, at most `limit` bytes within `timeout_s`.

        Raises: BodyTooLargeError, ClientGoneError, ProblemError (408).
        """
        announced = self.header(b"content-length")
        if announced is not None and (not announced.isdigit() or int(announced) > limit):
            raise BodyTooLargeError
        total = 0
        until = asyncio.get_running_loop().time() + timeout_s
        more = True
        while more:
            message = await self._next(until)
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            total += len(piece)
            if total > limit:
                raise BodyTooLargeError
            yield piece

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """Read the whole body, at most `limit` bytes within `timeout_s`.

        Raises: as `pieces`.
        """
        pieces = [piece async for piece in self.body_chunks(limit, timeout_s)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def gone(self) -> None:
        """Return when the client is gone. Only after the whole body was read."""
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
    detail = "the request body came too slowly: send it faster, or raise the gateway's time limit"
    raise ProblemError(408, detail, close=True)
