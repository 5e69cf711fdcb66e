"""Owner: HTTP to a gateway for programs with threads. Everything read back is untrusted."""

from __future__ import annotations

import os
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

import urllib3

from sealflow.errors import ConfigError, SealflowError, UnavailableError
from sealflow.owner.deadlines import CONNECT_TIMEOUT_S, deadline, pool_manager
from sealflow.owner.steps import Answer, Ask, Pause, Steps, T

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ANSWER_BYTES: Final = 64 * 2**20
TOO_MUCH: Final = f"the answer is over {MAX_ANSWER_BYTES} bytes"
_PIECE_BYTES: Final = 2**18
HEADERS: Final = {"user-agent": "sealflow", "accept-encoding": "identity"}


class HttpTransport:
    """A pool of kept-alive connections to one gateway; safe to share between threads."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = checked_url(url)
        self._pool = pool_manager(
            tls_context(ca) if url.startswith("https") else None,
            num_pools=1,
            maxsize=connections,
            block=True,
            retries=False,
            headers=HEADERS,
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
        """Close all connections that are not in use."""
        self._pool.clear()

    def _send(self, ask: Ask) -> Answer:
        if isinstance(ask.body, bytes):
            return self._exchange(ask, ask.body, {})
        with opened(ask.body) as (file, length):
            return self._exchange(ask, file, {"content-length": str(length)})

    def _exchange(self, ask: Ask, body: bytes | BinaryIO, more: dict[str, str]) -> Answer:
        pieces: list[bytes] = []
        size = 0
        try:
            with (
                deadline(ask.timeout_s),
                self._pool.request(
                    ask.method,
                    self._url + ask.path,
                    body=body,
                    headers={**HEADERS, **ask.headers, **more},
                    timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=ask.timeout_s),
                    pool_timeout=ask.timeout_s,
                    redirect=False,
                    preload_content=False,
                ) as response,
            ):
                for piece in response.stream(_PIECE_BYTES, decode_content=False):
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        raise unreachable(self._url, TOO_MUCH)
        except urllib3.exceptions.EmptyPoolError as error:
            raise unreachable(self._url, "all connections are in use") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self._url, error) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status, headers=headers, body=b"".join(pieces))


def checked_url(url: str) -> str:
    """Accept `http://host:port` or `https://host:port`, with or without a path.

    Raises: ConfigError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"gateway URL {url!r}: {error}") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not plain:
        raise ConfigError(f"gateway URL {url!r}: write it as http://host:port or https://host:port")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError("gateway URL: it takes no user, password, query or fragment")
    return url.rstrip("/")


def tls_context(ca: Path | str | None) -> ssl.SSLContext:
    """Trust the roots in a PEM file, or the system's; TLS 1.2 or newer.

    Raises: ConfigError.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"CA file {ca}: {error}; give a PEM file with the gateway's root certificate"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unreachable(url: str, why: object) -> UnavailableError:
    """Say that a gateway could not be asked, and what to look at."""
    return UnavailableError(f"gateway {url}: {why}; check that it runs (sealflow status)")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file to be sent, and give its length.

    Raises: ConfigError when it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size
