"""Owner: HTTP to a gateway, for asyncio. All responses are untrusted."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, BinaryIO, Final

import aiohttp

from sealflow.errors import ConfigError, SealflowError
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, T
from sealflow.owner.http.transport import (
    CLOSED,
    HEADERS,
    MAX_ANSWER_BYTES,
    TOO_MUCH,
    open_body,
    parse_gateway_url,
    tls_context,
    unavailable_error,
)

if TYPE_CHECKING:
    from pathlib import Path

_BUFFER_BYTES: Final = 2**18


class AsyncHttpTransport:
    """A pool of persistent connections to one gateway, for use in one event loop."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Check the arguments. Connections are open_body when they are needed.

        `url`: the gateway's. `ca`: PEM file with root certificates; None for the system's.
        `connections`: maximum number of connections.

        Raises: ConfigError when the URL or the PEM file is not valid.
        """
        self._url = parse_gateway_url(url)
        self._tls = tls_context(ca) if url.startswith("https") else True
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run_steps(self, steps: Steps[T]) -> T:
        """Send the requests that the steps yield, and return the result of the steps.

        Raises: every error of the steps; ConfigError after `close`, or in another event loop than
        that of the first call.
        """
        if self._closed:
            raise ConfigError(CLOSED)
        running = asyncio.get_running_loop()
        self._loop = self._loop or running
        if self._loop is not running:
            raise ConfigError("this client belongs to another event loop: make one for each loop")
        try:
            event = next(steps)
            while True:
                match event:
                    case Sleep(seconds):
                        await asyncio.sleep(seconds)
                        event = steps.send(None)
                    case HttpRequest():
                        try:
                            response = await self._send(event)
                        except SealflowError as error:
                            event = steps.throw(error)
                        else:
                            event = steps.send(response)
        except StopIteration as end:
            value: T = end.value
            return value

    async def close(self) -> None:
        """Close all connections, and refuse further requests."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: HttpRequest) -> HttpResponse:
        if isinstance(request.body, bytes):
            return await self._exchange(request, request.body, {})
        with open_body(request.body) as (file, length):
            return await self._exchange(request, file, {"content-length": str(length)})

    async def _exchange(
        self, request: HttpRequest, body: bytes | BinaryIO, more_headers: dict[str, str]
    ) -> HttpResponse:
        if self._session is None:
            # Here and not in `__init__`: a session must be created in a running event loop.
            self._session = self._connect()
        pieces: list[bytes] = []
        size = 0
        try:
            async with self._session.request(
                request.method,
                self._url + request.path,
                data=_payload(body),
                headers={**HEADERS, **request.headers, **more_headers},
                timeout=aiohttp.ClientTimeout(total=request.timeout_s),
                allow_redirects=False,
            ) as response:
                async for piece in response.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        raise unavailable_error(self._url, TOO_MUCH)
        except TimeoutError as error:
            raise unavailable_error(self._url, "no response in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise unavailable_error(self._url, error) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpResponse(status=response.status, headers=headers, body=b"".join(pieces))

    def _connect(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_BUFFER_BYTES,
        )


def _payload(body: bytes | BinaryIO) -> bytes | BinaryIO | None:
    # aiohttp sends a file in chunks, but bytes at once, which would block the event loop.
    if isinstance(body, bytes) and len(body) > _BUFFER_BYTES:
        return io.BytesIO(body)
    return body or None
