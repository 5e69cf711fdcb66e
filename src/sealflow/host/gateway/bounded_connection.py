"""Host: an HTTP/1.1 connection whose headers come soon, and end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

MAX_HEAD_BYTES: Final = 2**16
"""About how much of a message may be something else than its body: path, headers, trailers."""
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, which by itself bounds only the pause between requests."""

    header_timeout_s: float
    _header_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        """Wait for the first request."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the parser; refuse heads over 64 KiB."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse()
        if self._idle and self._header_timer is None and self.timeout_keep_alive_task is None:
            self._arm()

    def on_message_begin(self) -> None:
        """Wait for the headers."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._header_timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._disarm()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        # Twice, so that the framing of small chunks does not count.
        self._head_bytes -= 2 * len(body)
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._disarm()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _arm(self) -> None:
        self._header_timer = self.loop.call_later(self.header_timeout_s, self._expire)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _expire(self) -> None:
        if self.flow.read_paused:
            # What is missing may have come: requests before it are answered first.
            self._arm()
        else:
            self.transport.close()

    def _refuse(self) -> None:
        if self._idle and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
        self.transport.close()


def bounded_connection(header_timeout_s: float) -> type[BoundedConnection]:
    """Make the connection class of a gateway whose clients have `header_timeout_s` for headers."""

    class Connection(BoundedConnection):
        pass

    Connection.header_timeout_s = header_timeout_s
    return Connection
