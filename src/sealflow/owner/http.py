"""Owner: HTTP to a gateway for programs with threads. Everything read back is untrusted."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError, SealflowError, UnavailableError
from sealflow.owner.http_messages import Address, AnswerReader, body_pieces, request_head
from sealflow.owner.steps import Answer, Ask, Pause, Steps, T

if TYPE_CHECKING:
    from pathlib import Path

RECEIVE_BYTES: Final = 2**18


class HttpTransport:
    """A pool of kept-alive connections to one gateway; safe to share between threads."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = url
        self._address = Address.parse(url)
        self._tls = tls_context(ca) if self._address.tls else None
        self._free = threading.Semaphore(connections)
        self._idle: list[socket.socket] = []

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
        while self._idle:
            self._idle.pop().close()

    def _send(self, ask: Ask) -> Answer:
        until = time.monotonic() + ask.timeout_s
        if not self._free.acquire(timeout=ask.timeout_s):
            raise unreachable(self._url, "all connections are in use")
        try:
            return self._exchange(ask, until)
        except (OSError, UnavailableError) as error:
            raise unreachable(self._url, error) from error
        finally:
            self._free.release()

    def _exchange(self, ask: Ask, until: float) -> Answer:
        connection = self._take_idle() or self._connect(until)
        try:
            self._write(connection, ask, until)
            reader = AnswerReader()
            answer = None
            while answer is None:
                connection.settimeout(_left_s(until))
                answer = reader.take(connection.recv(RECEIVE_BYTES))
        except BaseException:
            connection.close()
            raise
        if reader.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _write(self, connection: socket.socket, ask: Ask, until: float) -> None:
        head = request_head(self._address, ask)
        # A gateway that refuses early answers before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in body_pieces(ask.body):
                connection.settimeout(_left_s(until))
                connection.sendall(head + piece)
                head = b""

    def _take_idle(self) -> socket.socket | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # One with something to read was closed by the gateway, or is out of step.
            readable = select.poll()
            readable.register(connection, select.POLLIN)
            if not readable.poll(0):
                return connection
            connection.close()

    def _connect(self, until: float) -> socket.socket:
        address = self._address
        plain = socket.create_connection((address.host, address.port), _left_s(until))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=address.host)
        except OSError:
            plain.close()
            raise


def tls_context(ca: Path | str | None) -> ssl.SSLContext:
    """Trust the roots in a PEM file, or the system's; TLS 1.2 or newer.

    Raises: ConfigError.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        msg = f"CA file {ca}: {error}; give a PEM file with the gateway's root certificate"
        raise ConfigError(msg) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unreachable(url: str, why: object) -> UnavailableError:
    """Say that a gateway could not be asked, and what to look at."""
    return UnavailableError(f"gateway {url}: {why}; check that it runs (sealflow status)")


def _left_s(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s
