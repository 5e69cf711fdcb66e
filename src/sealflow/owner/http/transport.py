"""Owner: HTTP with a deadline for each whole exchange, on urllib3.

A socket's own timeout is for each read and write. A request of the threaded client is made on one
thread, so the deadline is kept by thread.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlsplit

import urllib3

from sealflow.errors import ConfigError, SealflowError, UnavailableError
from sealflow.files import file_errors
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, T

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CONNECT_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 2**20
TOO_MUCH: Final = f"the answer is over {MAX_ANSWER_BYTES} bytes"
_PIECE_BYTES: Final = 2**18
HEADERS: Final = {"user-agent": "sealflow", "accept-encoding": "identity"}


class _Thread(threading.local):
    until_s: float = math.inf


_thread = _Thread()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let whatever this thread's connections do inside end in so many seconds, all in all."""
    _thread.until_s = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.until_s = math.inf


def pool_manager(context: ssl.SSLContext | None, **options: Any) -> urllib3.PoolManager:  # noqa: ANN401 - urllib3's
    """Make a pool whose connections keep to `deadline`."""
    if context is not None:
        context.sslsocket_class = _TlsSocket
    pool = urllib3.PoolManager(ssl_context=context, **options)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return pool


def _left_s() -> float:
    left_s = _thread.until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return min(left_s, threading.TIMEOUT_MAX)


class _Socket(socket.socket):
    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 - as it came
        self.settimeout(_left_s())
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:  # noqa: ANN401 - as it came
        self.settimeout(_left_s())
        super().sendall(*arguments)


class _TlsSocket(ssl.SSLSocket):
    # Its `sendall` calls `send` again and again.
    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 - as it came
        self.settimeout(_left_s())
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:  # noqa: ANN401 - as it came
        self.settimeout(_left_s())
        return super().send(*arguments)


class _Connection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _TlsConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _connected(connection: urllib3.connection.HTTPConnection) -> socket.socket:
    """Try the host's addresses in turn; the timeout that is left set is for a TLS handshake."""
    failed: OSError = TimeoutError("no answer in time")
    host = connection.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            sock = _Socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(min(_left_s(), CONNECT_TIMEOUT_S))
                sock.connect(address)
                sock.settimeout(_left_s())
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
    except OSError as error:
        failed = error
    raise urllib3.exceptions.NewConnectionError(connection, str(failed)) from failed


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

    def run_steps(self, steps: Steps[T]) -> T:
        """Drive a conversation to its end.

        Raises: whatever the conversation raises.
        """
        try:
            event = next(steps)
            while True:
                match event:
                    case Sleep(seconds):
                        time.sleep(seconds)
                        event = steps.send(None)
                    case HttpRequest():
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

    def _send(self, ask: HttpRequest) -> HttpResponse:
        if isinstance(ask.body, bytes):
            return self._exchange(ask, ask.body, {})
        with opened(ask.body) as (file, length):
            return self._exchange(ask, file, {"content-length": str(length)})

    def _exchange(
        self, ask: HttpRequest, body: bytes | BinaryIO, more: dict[str, str]
    ) -> HttpResponse:
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
        return HttpResponse(status=response.status, headers=headers, body=b"".join(pieces))


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
    with file_errors(f"{path}"):
        file = path.open("rb")
    with file:
        yield file, os.fstat(file.fileno()).st_size
