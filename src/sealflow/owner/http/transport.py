"""Owner: HTTP to a gateway by urllib3, with a deadline for each whole exchange.

A socket's own timeout applies to each read and write, so that a slow peer could prolong an exchange
without limit. As each exchange is made on one thread, its deadline is in a thread-local variable.
All responses are untrusted.
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
CLOSED: Final = "this client is closed: make another one"
TOO_MUCH: Final = f"the response is over {MAX_ANSWER_BYTES} bytes"
_PIECE_BYTES: Final = 2**18
HEADERS: Final = {"user-agent": "sealflow", "accept-encoding": "identity"}


class _Thread(threading.local):
    until_s: float = math.inf


_thread = _Thread()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit all reads and writes of this thread's connections in the context to `seconds`."""
    _thread.until_s = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.until_s = math.inf


def pool_manager(context: ssl.SSLContext | None, **options: Any) -> urllib3.PoolManager:  # noqa: ANN401 - urllib3's
    """Return a connection pool whose connections respect `deadline`."""
    if context is not None:
        context.sslsocket_class = _TlsSocket
    pool = urllib3.PoolManager(ssl_context=context, **options)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return pool


def _left_s() -> float:
    left_s = _thread.until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no response in time")
    return min(left_s, threading.TIMEOUT_MAX)


class _Socket(socket.socket):
    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 - arguments of the base class
        self.settimeout(_left_s())
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:  # noqa: ANN401 - arguments of the base class
        self.settimeout(_left_s())
        super().sendall(*arguments)


class _TlsSocket(ssl.SSLSocket):
    # `sendall` of SSLSocket calls `send` for each part.
    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 - arguments of the base class
        self.settimeout(_left_s())
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:  # noqa: ANN401 - arguments of the base class
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
    """Return a socket connected to the first reachable address of the host.

    Its timeout is the time left until the deadline, which limits a TLS handshake that follows.
    """
    failed: OSError = TimeoutError("no response in time")
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
    """A pool of persistent connections to one gateway. It is safe to share between threads."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Check the arguments. Connections are open_body when they are needed.

        `url`: the gateway's. `ca`: PEM file with root certificates; None for the system's.
        `connections`: maximum number of connections.

        Raises: ConfigError when the URL or the PEM file is not valid.
        """
        self._url = parse_gateway_url(url)
        self._tls = tls_context(ca) if url.startswith("https") else None
        self._connections = connections
        self._pool, self._pid = self._new_pool(), os.getpid()
        self._closed = False

    def run_steps(self, steps: Steps[T]) -> T:
        """Send the requests that the steps yield, and return the result of the steps.

        Raises: every error of the steps; ConfigError after `close`.
        """
        if self._closed:
            raise ConfigError(CLOSED)
        if self._pid != os.getpid():
            # After a fork, the connections are those of the process before.
            self._pool, self._pid = self._new_pool(), os.getpid()
        try:
            event = next(steps)
            while True:
                match event:
                    case Sleep(seconds):
                        time.sleep(seconds)
                        event = steps.send(None)
                    case HttpRequest():
                        try:
                            response = self._send(event)
                        except SealflowError as error:
                            event = steps.throw(error)
                        else:
                            event = steps.send(response)
        except StopIteration as end:
            value: T = end.value
            return value

    def close(self) -> None:
        """Close all connections that are not in use, and refuse further requests."""
        self._closed = True
        self._pool.clear()

    def _new_pool(self) -> urllib3.PoolManager:
        return pool_manager(
            self._tls,
            num_pools=1,
            maxsize=self._connections,
            block=True,
            retries=False,
            headers=HEADERS,
        )

    def _send(self, request: HttpRequest) -> HttpResponse:
        if isinstance(request.body, bytes):
            return self._exchange(request, request.body, {})
        with open_body(request.body) as (file, length):
            return self._exchange(request, file, {"content-length": str(length)})

    def _exchange(
        self, request: HttpRequest, body: bytes | BinaryIO, more_headers: dict[str, str]
    ) -> HttpResponse:
        pieces: list[bytes] = []
        size = 0
        try:
            with (
                deadline(request.timeout_s),
                self._pool.request(
                    request.method,
                    self._url + request.path,
                    body=body,
                    headers={**HEADERS, **request.headers, **more_headers},
                    timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=request.timeout_s),
                    pool_timeout=request.timeout_s,
                    redirect=False,
                    preload_content=False,
                ) as response,
            ):
                for piece in response.stream(_PIECE_BYTES, decode_content=False):
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        raise unavailable_error(self._url, TOO_MUCH)
        except urllib3.exceptions.EmptyPoolError as error:
            raise unavailable_error(self._url, "all connections are in use") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unavailable_error(self._url, error) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpResponse(status=response.status, headers=headers, body=b"".join(pieces))


def parse_gateway_url(url: str) -> str:
    """Check a gateway's URL, `http://host:port` or `https://host:port`, with or without a path.

    Return it without slashes at the end.

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
        # Without the URL, which may contain a password.
        raise ConfigError("gateway URL: remove user, password, query and fragment from it")
    return url.rstrip("/")


def tls_context(ca: Path | str | None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that trusts the roots in a PEM file, or the system's.

    Raises: ConfigError.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"CA file {ca}: {error}; name a PEM file with the gateway's root certificate"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unavailable_error(url: str, why: object) -> UnavailableError:
    """Return the error for a gateway that cannot be reached, with its cause."""
    return UnavailableError(f"gateway {url}: {why}; check that it runs (sealflow status)")


@contextmanager
def open_body(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file to be sent. The context's value is the open file and its length in bytes.

    Raises: ConfigError when it cannot be read.
    """
    with file_errors(f"{path}"):
        file = path.open("rb")
    with file:
        yield file, os.fstat(file.fileno()).st_size
