"""Owner: HTTP to a gateway, by httpx. Everything read back is bounded and untrusted."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final

import httpx

from sealflow.errors import ConfigError, SealflowError, UnavailableError
from sealflow.owner.steps import Answer, Ask, Pause, Steps, T

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAX_ANSWER_BYTES: Final = 64 * 2**20
_UPLOAD_PIECE_BYTES: Final = 2**18


class HttpTransport:
    """A pool of kept-alive connections to one gateway; safe to share between threads."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = url
        self._client = httpx.Client(
            base_url=_checked(url),
            verify=_tls(url, ca),
            limits=_limits(connections),
            headers=_HEADERS,
            trust_env=False,
        )

    def run(self, steps: Steps[T]) -> T:
        """Drive a conversation to its end.

        Raises: whatever the conversation raises.
        """
        try:
            event = next(steps)
            while True:
                match event:
                    case Pause(seconds):
                        time.sleep(seconds)
                        event = steps.send(None)
                    case Ask():
                        try:
                            answer = self._send(event)
                        except SealflowError as error:
                            event = steps.throw(error)
                        else:
                            event = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _send(self, ask: Ask) -> Answer:
        until = time.monotonic() + ask.timeout_s
        try:
            if isinstance(ask.body, bytes):
                return self._exchange(ask, ask.body, until)
            with ask.body.open("rb") as file:
                return self._exchange(ask, iter(lambda: file.read(_UPLOAD_PIECE_BYTES), b""), until)
        except httpx.HTTPError as error:
            raise _unreachable(self._url, error) from error
        except OSError as error:
            raise _unreadable(ask.body, error) from error

    def _exchange(self, ask: Ask, content: httpx._types.RequestContent, until: float) -> Answer:
        with self._client.stream(
            ask.method,
            ask.path,
            content=content,
            headers=_headers(ask),
            timeout=ask.timeout_s,
        ) as response:
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                _check(body, until)
            return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


class AsyncHttpTransport:
    """The same for asyncio; belongs to one event loop."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = url
        self._client = httpx.AsyncClient(
            base_url=_checked(url),
            verify=_tls(url, ca),
            limits=_limits(connections),
            headers=_HEADERS,
            trust_env=False,
        )

    async def run(self, steps: Steps[T]) -> T:
        """Drive a conversation to its end.

        Raises: whatever the conversation raises.
        """
        try:
            event = next(steps)
            while True:
                match event:
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        event = steps.send(None)
                    case Ask():
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
        await self._client.aclose()

    async def _send(self, ask: Ask) -> Answer:
        until = time.monotonic() + ask.timeout_s
        content = ask.body if isinstance(ask.body, bytes) else _pieces(ask.body)
        try:
            async with self._client.stream(
                ask.method,
                ask.path,
                content=content,
                headers=_headers(ask),
                timeout=ask.timeout_s,
            ) as response:
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    _check(body, until)
                status, headers = response.status_code, response.headers
                return Answer(status=status, headers=headers, body=bytes(body))
        except httpx.HTTPError as error:
            raise _unreachable(self._url, error) from error
        except OSError as error:
            raise _unreadable(ask.body, error) from error


_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "sealflow"}


def _headers(ask: Ask) -> dict[str, str]:
    if isinstance(ask.body, bytes):
        return dict(ask.headers)
    return {**ask.headers, "content-length": str(ask.body.stat().st_size)}


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _UPLOAD_PIECE_BYTES):
            yield piece


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        msg = f"gateway URL {url!r}: {error}"
        raise ConfigError(msg) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        msg = f"gateway URL {url!r}: write it as http://host:port or https://host:port"
        raise ConfigError(msg)
    return url


def _tls(url: str, ca: Path | str | None) -> ssl.SSLContext:
    if url.startswith("http:"):
        # Never used, and knows no root; saves loading the system's.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        msg = f"CA file {ca}: {error}; give a PEM file with the gateway's root certificate"
        raise ConfigError(msg) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _check(body: bytearray, until: float) -> None:
    if len(body) > MAX_ANSWER_BYTES:
        msg = f"the gateway's answer is over {MAX_ANSWER_BYTES} bytes"
        raise UnavailableError(msg)
    if time.monotonic() > until:
        msg = "the gateway's answer came too slowly"
        raise UnavailableError(msg)


def _unreachable(url: str, error: httpx.HTTPError) -> UnavailableError:
    kind = type(error).__name__
    msg = f"gateway {url}: {str(error) or kind}; check that it runs (sealflow status)"
    return UnavailableError(msg)


def _unreadable(body: bytes | Path, error: OSError) -> ConfigError:
    msg = f"{body if not isinstance(body, bytes) else 'request'}: {error.strerror}"
    return ConfigError(msg)
