"""Host, gateway: HTTP requests and responses on ASGI, without a framework."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealflow.host.gateway.bounded_connection import CONNECTION
from sealflow.host.gateway.limits.held_bytes import SMALL_BYTES
from sealflow.wire.envelope import MAX_HEADER_BYTES, MEDIA_TYPE, PREFIX_LENGTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from sealflow.host.gateway.bounded_connection import BoundedConnection
    from sealflow.host.gateway.limits.held_bytes import Holding


Message = MutableMapping[str, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ENVELOPE_TYPE: Final = MEDIA_TYPE.encode()
JSON_TYPE: Final = b"application/json"

_BODILESS: Final = (204, 304)
_PIECE_BYTES: Final = 2**16
_WINDOW_S: Final = 2.0
_START_BYTES: Final = PREFIX_LENGTH + MAX_HEADER_BYTES

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
        if len(self.body) > _PIECE_BYTES:
            view = memoryview(self.body)
            for start in range(0, len(view), _PIECE_BYTES):
                piece = bytes(view[start : start + _PIECE_BYTES])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        else:
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

    __slots__ = (
        "_connection",
        "_least_rate",
        "_receive",
        "_scope",
        "argument",
        "held",
        "method",
        "path",
    )

    def __init__(
        self, scope: Scope, receive: Receive, *, argument: str = "", least_rate: int = 0
    ) -> None:
        """Wrap the ASGI scope and receive callable of one request.

        `least_rate`: how many bytes a second of a body over 64 KiB must arrive.
        """
        connection: BoundedConnection = scope["extensions"][CONNECTION]
        self._connection = connection
        self._least_rate = least_rate
        self.held: Holding = connection.held.holding(connection.peer)
        """The bytes of the body and the answer that this process holds; close it at the end."""
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

    @property
    def peer(self) -> str:
        """The address, or the network, that the request came from."""
        return self.held.peer

    @property
    def announced_bytes(self) -> int | None:
        """The length of the body that the client announced, or None."""
        announced = self.header(b"content-length")
        return None if announced is None or not announced.isdigit() else int(announced)

    def serving(self) -> AbstractContextManager[None]:
        """Count this request as one of its peer's while it is in work.

        Raises: QueueFullError, on entry, when the peer has its share.
        """
        return self._connection.peers.serving(self.peer)

    def hold(self, count: int) -> Holding:
        """Return a holding of this peer, for bytes of the body that another part has now."""
        self.held.close()
        holding = self._connection.held.holding(self.peer)
        holding.add(count)
        return holding

    async def body_chunks(self, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
        """Yield the chunks of the body as they arrive; asking for one releases the one before.

        Raises: BodyTooLargeError when there are more than `limit` bytes; ProblemError: 415 when it
            is compressed, 408 when it does not arrive within `timeout_s`, or too slowly;
            CrowdedError; ClientGoneError.
        """
        async for chunk in self._chunks(limit, timeout_s):
            yield chunk
            self.held.drop(len(chunk))

    async def body(
        self,
        limit: int,
        timeout_s: float,
        check_start: Callable[[bytes], Awaitable[bool]] | None = None,
    ) -> bytes:
        """Read and return the whole body.

        `check_start`: is called with the start of a body that is not whole yet, prefix and header
        of an envelope at most, until it returns True. What it raises ends the request.

        Raises: as `body_chunks`.
        """
        gathered = bytearray()
        whole: bytes | None = None
        try:
            async for chunk in self._chunks(limit, timeout_s):
                if self.held.end is None and not gathered:
                    whole = chunk
                    continue
                gathered += chunk
                if self.held.end is None or check_start is None:
                    continue
                if await check_start(bytes(gathered[:_START_BYTES])):
                    check_start = None
            return bytes(gathered) if whole is None else whole
        finally:
            # An exception that is kept keeps this frame; the bytes must not stay with it.
            gathered.clear()

    async def _chunks(self, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
        coding = self.header(b"content-encoding")
        if coding is not None and coding.lower() != b"identity":
            name = coding[:40].decode("latin-1")
            raise ProblemError(415, f"content-encoding {name!r}: send it as it is", close=True)
        announced = self.header(b"content-length")
        if announced is not None and (not announced.isdigit() or int(announced) > limit):
            raise BodyTooLargeError
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        total = window_bytes = 0
        window_s = _WINDOW_S
        more = True
        # A body that is not whole can end at any time, to make room for others.
        self.held.end = self._connection.end_crowded
        while more:
            await self.held.room()
            started = loop.time()
            least = self._least_rate and total >= SMALL_BYTES
            message = await self._next(min(until, started + window_s) if least else until)
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            self._connection.take(len(chunk), self.held)
            total += len(chunk)
            if total > limit:
                raise BodyTooLargeError
            window_bytes += len(chunk)
            window_s -= loop.time() - started
            if window_bytes >= self._least_rate * _WINDOW_S:
                window_bytes, window_s = 0, _WINDOW_S
            if not more:
                self.held.end = None
            yield chunk

    @property
    def is_read(self) -> bool:
        """Whether the client has read, so far, what it was sent."""
        return not self._connection.flow.write_paused

    def abort(self) -> None:
        """Close the client's connection at once."""
        self._connection.abort()

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
    detail = "the request body took too long: send it faster, or change the gateway's time limits"
    raise ProblemError(408, detail, close=True)
