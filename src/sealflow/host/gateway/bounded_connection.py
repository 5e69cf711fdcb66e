"""Host: an HTTP/1.1 connection with limits on the size and the time of request headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

MAX_HEAD_BYTES: Final = 2**16
"""The approximate limit on the bytes of a request outside its body: path, headers, trailers."""
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedConnection(HttpToolsProtocol):
    """A uvicorn connection that also limits request heads; uvicorn limits only idle time.

    Headers must be complete `header_timeout_s` after the connection opens or, for later requests,
    after their first byte; otherwise the connection is closed.
    """

    header_timeout_s: float
    _header_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        """Start the time limit for the headers of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the parser; refuse heads over 64 KiB."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse()
        if self._idle and self._header_timer is None and self.timeout_keep_alive_task is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Start the time limit for the headers, and reset the byte count."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._header_timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """Stop the time limit, and let uvicorn start the request."""
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Exclude body bytes from the byte count, and pass them on to uvicorn."""
        # Subtract twice the length, so that the framing of small chunks does not count.
        self._head_bytes -= 2 * len(body)
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.header_timeout_s, self._expire)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _expire(self) -> None:
        if self.flow.read_paused:
            # The headers may have arrived already, unread behind pipelined requests.
            self._start_timer()
        else:
            self.transport.close()

    def _refuse(self) -> None:
        if self._idle and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
        self.transport.close()


def bounded_connection(header_timeout_s: float) -> type[BoundedConnection]:
    """Return a connection class with a limit of `header_timeout_s` seconds for request headers."""

    class Connection(BoundedConnection):
        pass

    Connection.header_timeout_s = header_timeout_s
    return Connection
