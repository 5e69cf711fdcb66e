"""Host: download small files over HTTP or HTTPS, with limits on size and time."""

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
    """The body and headers of a 200 response; the names of headers are in lower case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Server:
    """A web server to download from; each download opens a connection of its own."""

    def __init__(self, base_url: str, *, ca_file: str | None, timeout_s: float) -> None:
        """Set the limits for downloads below `base_url`.

        `ca_file`: PEM of the root certificates to trust; None trusts the system's. `timeout_s`: the
        limit for connecting, and again for everything from the request to the last byte.

        Raises: ConfigError when the URL is not valid or `ca_file` cannot be loaded.
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
        """Download the file at `path`, of at most `limit` bytes.

        Raises: UnavailableError that names the address and the reason: no connection, no answer in
            time, a status other than 200, or a body over the limit.
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
            raise self._unavailable(path, _reason(error, late, self._timeout_s)) from error
        # A socket's timeout bounds each read only: a server that sends byte by byte would evade it.
        watchdog = threading.Timer(self._timeout_s, _shut_down, (connection.sock, late))
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request("GET", self._prefix + path, headers={"Connection": "close"})
            with connection.getresponse() as response:
                body = response.read(limit + 1)
            if late.is_set():
                raise self._unavailable(path, f"it took longer than {self._timeout_s:g} s")
            if response.status != http.HTTPStatus.OK:
                raise self._unavailable(
                    path, f"it answered {response.status} {response.reason[:80]}"
                )
            if len(body) > limit:
                raise self._unavailable(path, f"its answer is longer than {limit} bytes")
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(body=body, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(path, _reason(error, late, self._timeout_s)) from error
        finally:
            watchdog.cancel()
            connection.close()

    def url(self, path: str) -> str:
        """Return the full address of `path`, for messages."""
        return self._base + path

    def _unavailable(self, path: str, why: str) -> UnavailableError:
        return UnavailableError(f"{self.url(path)}: {why}", retry_after_s=_RETRY_S)


def _reason(error: Exception, late: threading.Event, timeout_s: float) -> str:
    if late.is_set() or isinstance(error, TimeoutError):
        return f"it took longer than {timeout_s:g} s"
    return str(error) or type(error).__name__


def _shut_down(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        # Shut down the TCP socket, not the TLS one: SSLSocket.shutdown drops the TLS state that the
        # downloading thread is reading from.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedCollateral:
    """Collateral that was fetched, with its validity period. Nothing of it is verified.

    `issued_s`, `expires_s`: the latest start and the earliest end of validity among its parts, as
    their issuers state them, in Unix seconds.
    """

    collateral: bytes = field(repr=False)
    issued_s: int
    expires_s: int

    @property
    def renew_s(self) -> int:
        """The middle of the validity period, from which to fetch it again, in Unix seconds."""
        return (self.issued_s + self.expires_s) // 2
