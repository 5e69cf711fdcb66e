"""Owner: sockets for urllib3 that keep to one deadline in all, however slowly a peer drips.

A socket's own timeout is for each read and write. A request of the threaded client is made on one
thread, so the deadline is kept by thread.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S: Final = 10.0


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
