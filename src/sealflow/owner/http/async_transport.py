"""Owner: HTTP to a gateway for programs with an event loop. Everything read back is untrusted."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, BinaryIO, Final

import aiohttp

from sealflow.errors import SealflowError
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, T
from sealflow.owner.http.transport import (
    HEADERS,
    MAX_ANSWER_BYTES,
    TOO_MUCH,
    checked_url,
    opened,
    tls_context,
    unreachable,
)

if TYPE_CHECKING:
    from pathlib import Path

_BUFFER_BYTES: Final = 2**18


class AsyncHttpTransport:
    """As `HttpTransport`, for asyncio; belongs to one event loop."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = checked_url(url)
        self._tls = tls_context(ca) if url.startswith("https") else True
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def run_steps(self, steps: Steps[T]) -> T:
        """Drive a conversation to its end.

        Raises: whatever the conversation raises.
        """
        try:
            event = next(steps)
            while True:
                match event:
                    case Sleep(seconds):
                        await asyncio.sleep(seconds)
                        event = steps.send(None)
                    case HttpRequest():
                        try:
                            answer = await self._send(event)
                        except SealflowError as error:
                            event = steps.throw(error)
                        else:
                            event = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, ask: HttpRequest) -> HttpResponse:
        if isinstance(ask.body, bytes):
            return await self._exchange(ask, ask.body, {})
        with opened(ask.body) as (file, length):
            return await self._exchange(ask, file, {"content-length": str(length)})

    async def _exchange(
        self, ask: HttpRequest, body: bytes | BinaryIO, more: dict[str, str]
    ) -> HttpResponse:
        if self._session is None:
            # Only a running loop can have one.
            self._session = self._connect()
        pieces: list[bytes] = []
        size = 0
        try:
            async with self._session.request(
                ask.method,
                self._url + ask.path,
                data=_payload(body),
                headers={**HEADERS, **ask.headers, **more},
                timeout=aiohttp.ClientTimeout(total=ask.timeout_s),
                allow_redirects=False,
            ) as response:
                async for piece in response.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        raise unreachable(self._url, TOO_MUCH)
        except TimeoutError as error:
            raise unreachable(self._url, "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(self._url, error) from error
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
    # aiohttp sends a file piece by piece, and bytes at once, which would hold up the loop.
    if isinstance(body, bytes) and len(body) > _BUFFER_BYTES:
        return io.BytesIO(body)
    return body or None
