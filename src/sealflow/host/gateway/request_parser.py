"""Host: the parser of HTTP/1.1 requests, which ignores offers of other protocols.

A client may offer HTTP/2 with any request, as Java's does; a server may ignore that (RFC 9110,
7.8). The parser stops behind such a head and leaves out its body, so the head is parsed again
without the offer.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import httptools

_OFFERS: Final = (b"upgrade", b"http2-settings")
_CONNECT: Final = b"CONNECT"


class _Callbacks(Protocol):
    url: bytes
    headers: list[tuple[bytes, bytes]]

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class RequestParser:
    """A parser of httptools for one connection, whose requests never change its protocol."""

    def __init__(self, callbacks: _Callbacks) -> None:
        self._callbacks = callbacks
        self.on_message_begin = callbacks.on_message_begin
        self.on_url = callbacks.on_url
        self.on_header = callbacks.on_header
        self.on_body = callbacks.on_body
        self._parser: Any
        self._start()

    def feed_data(self, data: bytes) -> None:
        """Parse received bytes, and call back.

        Raises: HttpParserError when they are not HTTP/1.1.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self._parser.get_method() == _CONNECT:
                    raise httptools.HttpParserError("CONNECT is not for this server") from offer
                head, data = self._head_without_offer(), data[offer.args[0] :]
                self._start()
                self._parser.feed_data(head)
            else:
                return

    def on_headers_complete(self) -> None:
        """Pass on, unless the head is parsed again."""
        if not self._parser.should_upgrade():
            self._callbacks.on_headers_complete()

    def on_message_complete(self) -> None:
        """Pass on, unless the head is parsed again."""
        if not self._parser.should_upgrade():
            self._callbacks.on_message_complete()

    def get_http_version(self) -> str:
        """Return the version of the request, such as 1.1."""
        return str(self._parser.get_http_version())

    def get_method(self) -> bytes:
        """Return the method of the request."""
        return bytes(self._parser.get_method())

    def should_keep_alive(self) -> bool:
        """Return whether the connection may be used again."""
        return bool(self._parser.should_keep_alive())

    def should_upgrade(self) -> bool:
        """Return False: no offer is taken."""
        return False

    def _start(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # As uvicorn: a request that is pipelined behind the last one may be answered.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_offer(self) -> bytes:
        version = self._parser.get_http_version()
        lines = [b"%s %s HTTP/%s" % (self.get_method(), self._callbacks.url, version.encode())]
        for name, value in self._callbacks.headers:
            kept = value
            if name == b"connection":
                options = [each.strip() for each in value.split(b",")]
                kept = b", ".join(each for each in options if each.lower() not in _OFFERS)
            if name not in _OFFERS and (kept or not value):
                lines.append(b"%s: %s" % (name, kept))
        return b"\r\n".join(lines) + b"\r\n\r\n"
