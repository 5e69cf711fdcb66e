"""Owner, pure: HTTP/1.1 requests and answers as bytes. What comes in is bounded and untrusted.

A gateway needs little of HTTP: no redirects, cookies, proxies or compression. The parser is
llhttp's, by httptools.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httptools

from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner.steps import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealflow.owner.steps import Ask

MAX_ANSWER_BYTES: Final = 64 * 2**20
_PIECE_BYTES: Final = 2**18
_FIRST_FINAL_STATUS: Final = 200
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a gateway listens. `path`: what stands before the path of every request."""

    host: str
    port: int
    tls: bool
    authority: str
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read `http://host:port` or `https://host:port`, with or without a path.

        Raises: ConfigError.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"gateway URL {url!r}: {error}") from error
        plain = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in _PORTS or not host or not plain:
            raise ConfigError(
                f"gateway URL {url!r}: write it as http://host:port or https://host:port"
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError("gateway URL: it takes no user, password, query or fragment")
        return cls(
            host=host,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "https",
            authority=parts.netloc,
            path=parts.path.rstrip("/"),
        )


def request_head(address: Address, ask: Ask) -> bytes:
    """Write what goes before the body of a request.

    Raises: ConfigError when the body is a file that cannot be read.
    """
    with _readable(ask.body):
        length = len(ask.body) if isinstance(ask.body, bytes) else ask.body.stat().st_size
    lines = [
        f"{ask.method} {address.path}{ask.path} HTTP/1.1",
        f"host: {address.authority}",
        "user-agent: sealflow",
        "accept-encoding: identity",
        *(f"{name}: {value}" for name, value in ask.headers.items()),
    ]
    if length or ask.method != "GET":
        lines.append(f"content-length: {length}")
    return "\r\n".join((*lines, "\r\n")).encode("ascii")


def body_pieces(body: bytes | Path) -> Iterator[bytes]:
    """Give a body as pieces to be sent one after the other; at least one, perhaps empty.

    Raises: ConfigError when the body is a file that cannot be read.
    """
    if isinstance(body, bytes):
        yield body
        return
    with _readable(body), body.open("rb") as file:
        while True:
            piece = file.read(_PIECE_BYTES)
            yield piece
            if not piece:
                return


class AnswerReader:
    """Reads one answer from bytes as they come."""

    def __init__(self) -> None:
        """Expect an answer from its first byte."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._taken_bytes = 0
        self._in_body = False
        self._surplus = False
        self._answer: Answer | None = None
        self._kept_alive = False

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._kept_alive and not self._surplus

    def take(self, data: bytes) -> Answer | None:
        """Take bytes, none when the connection has ended; gives the answer once it is complete.

        Raises: UnavailableError when it is no answer, ends early, or goes over the limit.
        """
        if not data:
            self._end()
        self._taken_bytes += len(data)
        if self._taken_bytes > MAX_ANSWER_BYTES:
            raise UnavailableError(f"the answer is over {MAX_ANSWER_BYTES} bytes")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What follows a complete answer matters to the next one only.
            if self._answer is None:
                raise UnavailableError(f"what came back is not HTTP: {error}") from error
            self._surplus = True
        return self._answer

    def on_message_begin(self) -> None:
        """A first byte, perhaps of an answer that nobody asked for."""
        self._surplus = self._answer is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        if self._answer is None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All header lines."""
        self._in_body = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self._answer is None:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The end; interim answers (1xx) are stepped over."""
        if self._answer is not None:
            return
        if self._parser.get_status_code() < _FIRST_FINAL_STATUS:
            self._headers.clear()
            self._in_body = False
            return
        self._kept_alive = bool(self._parser.should_keep_alive())
        self._complete()

    def _end(self) -> None:
        # Without a length, the end of the connection is the end of the answer.
        if self._answer is None:
            bounded = "content-length" in self._headers or "transfer-encoding" in self._headers
            if not self._in_body or bounded:
                raise UnavailableError("the connection ended before the answer did")
            self._complete()

    def _complete(self) -> None:
        pieces = self._pieces
        self._answer = Answer(
            status=self._parser.get_status_code(),
            headers=self._headers,
            body=pieces[0] if len(pieces) == 1 else b"".join(pieces),
        )


@contextmanager
def _readable(body: bytes | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{body!s}: {error.strerror}") from error
