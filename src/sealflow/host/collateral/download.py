"""Host: small downloads over HTTPS, with limits, and what they bring."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealflow.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_BYTES: Final = 256 * 1024
_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A successful answer. `headers`: by lower-case name."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Server:
    """One web server; every download is a connection of its own."""

    def __init__(self, base_url: str, *, ca_file: str | None, timeout_s: float) -> None:
        """Download from below `base_url`, each file within `timeout_s` from first to last byte.

        Raises: ConfigError.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ConfigError(f"{base_url!r} is not an address like https://pccs.example:8081")
        self._base = base_url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._prefix = parts.hostname, parts.path.rstrip("/")
        try:
            self._port = parts.port
            self._tls = ssl.create_default_context(cafile=ca_file) if self._https else None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{base_url!r} with ca_file {ca_file!r}: {error}") from error
        self._timeout_s = timeout_s

    def get(self, path: str, limit: int = MAX_BYTES) -> Reply:
        """Download a file of at most `limit` bytes.

        Raises: UnavailableError that says what the server did.
        """
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        late = threading.Event()
        try:
            connection.connect()
        except OSError as error:
            raise self._failed(path, _reason(error, late, self._timeout_s)) from error
        # A timeout of sockets is for each read: a server that drips would never run into it.
        watchdog = threading.Timer(self._timeout_s, _end, (connection.sock, late))
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request("GET", self._prefix + path, headers={"Connection": "close"})
            with connection.getresponse() as response:
                body = response.read(limit + 1)
            if late.is_set():
                raise self._failed(path, f"it took longer than {self._timeout_s:g} s")
            if response.status != http.HTTPStatus.OK:
                raise self._failed(path, f"it answered {response.status} {response.reason[:80]}")
            if len(body) > limit:
                raise self._failed(path, f"its answer is over {limit} bytes")
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(body=body, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(path, _reason(error, late, self._timeout_s)) from error
        finally:
            watchdog.cancel()
            connection.close()

    def url(self, path: str) -> str:
        """The whole address, for messages."""
        return self._base + path

    def _failed(self, path: str, why: str) -> UnavailableError:
        return UnavailableError(f"{self.url(path)}: {why}", retry_after_s=_RETRY_S)


def _reason(error: Exception, late: threading.Event, timeout_s: float) -> str:
    if late.is_set() or isinstance(error, TimeoutError):
        return f"it took longer than {timeout_s:g} s"
    return str(error) or type(error).__name__


def _end(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        # Below TLS, whose own shutdown would change what another thread reads from.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Collateral with its validity, as its issuers state it. Nothing is verified.

    `issued_s`, `expires_s`: the newest start and the first end among its parts, in Unix seconds.
    """

    collateral: bytes = field(repr=False)
    issued_s: int
    expires_s: int

    @property
    def renew_s(self) -> int:
        """When to fetch anew: once half of the time is gone."""
        return (self.issued_s + self.expires_s) // 2
