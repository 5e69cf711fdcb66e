"""Host: an HTTP/1.1 connection with limits on request heads, on what is held, and on time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sealflow.host.gateway.request_parser import RequestParser

if TYPE_CHECKING:
    import asyncio

    from sealflow.host.gateway.limits.held_bytes import HeldBytes, Holding
    from sealflow.host.gateway.limits.peers import Peers

MAX_HEAD_BYTES: Final = 2**14
"""The limit on the bytes of a request outside its body: path, headers, trailers."""
MAX_HEADERS: Final = 100
_FREE_PIECES: Final = 1024
_LEAST_PIECE_BYTES: Final = 64
"""What the pieces of a body must have on average, as each costs a call, once there are many."""
MAX_PIPELINED: Final = 8
"""How many requests may wait behind the one that is answered."""
CONNECTION: Final = "sealflow.connection"
"""The key of the connection in the extensions of an ASGI scope."""
_UNSENT_BYTES: Final = 2**14
"""How much of an answer waits in the process before its sender has to wait."""
_LINGER_S: Final = 2.0
_MOST_DISCARDED_BYTES: Final = 2**20
_UNSENT_S: Final = 10.0
_SPARE_CONNECTIONS: Final = 64
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)
_BAD: Final = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_NOT_IMPLEMENTED: Final = (
    b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
_CROWDED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"connection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
)


class _RefusedRequestError(Exception):
    """Raised inside the parser's callbacks, so that it stops."""


class BoundedConnection(HttpToolsProtocol):
    """A uvicorn connection with limits of its own; uvicorn limits only idle time.

    Headers must be complete `header_timeout_s` after the connection opens or, for later requests,
    after their first byte; otherwise the connection is closed. Reading stops, as in uvicorn, while
    over 64 KiB of a body wait for the application. An answer that nobody reads ends the connection.
    """

    header_timeout_s: float
    held: HeldBytes
    peers: Peers
    peer = ""
    _host: str | None = None
    _unread: Holding | None = None
    _header_timer: asyncio.TimerHandle | None = None
    _end_timer: asyncio.TimerHandle | None = None
    _is_refused = False
    _is_half_closed = False
    _discarded_bytes = 0
    _head_bytes = 0
    _pieces = 0
    _body_bytes = 0

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        """Start the time limit for the headers of the first request; refuse one too many."""
        super().connection_made(transport)
        self.parser = RequestParser(self)  # type: ignore[assignment] # uvicorn names httptools
        transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        self._host = self.client[0] if self.client else None
        self._start_timer()
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > limit + _SPARE_CONNECTIONS:
            transport.abort()
            return
        for each in self.peers.connect(self._host, self):
            if isinstance(each, BoundedConnection) and (each is self or each.is_idle):
                each.abort()
                break

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the parser; refuse heads over 16 KiB."""
        if self._is_refused:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _MOST_DISCARDED_BYTES:
                self.flow.pause_reading()
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        if self.is_idle and self._header_timer is None and self.timeout_keep_alive_task is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Start the time limit for the headers, and reset the byte count."""
        super().on_message_begin()
        self._head_bytes = 0
        self._pieces = 0
        self._body_bytes = 0
        if self._header_timer is None:
            self._start_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, within the limit of their number."""
        if len(self.headers) >= MAX_HEADERS:
            self._stop(_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the time limit, and let uvicorn start the request."""
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.pipeline) >= MAX_PIPELINED:
            self._stop(_TOO_LARGE)
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            # RFC 9112, 3.2.
            self._stop(_BAD)
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if [each.lower() for each in codings] not in ([], [b"chunked"]):
            # RFC 9112, 6.1: the body would be in a form that nobody reads here.
            self._stop(_NOT_IMPLEMENTED)
        self.peer = self.peers.name(self._host, self.headers)
        extensions: dict[str, Any] = {CONNECTION: self}
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Exclude body bytes from the byte count, and hold them within the limits."""
        # Subtract twice the length, so that the framing of small chunks does not count.
        self._head_bytes -= 2 * len(body)
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > _FREE_PIECES + self._body_bytes // _LEAST_PIECE_BYTES:
            self._stop(_BAD)
        if self.cycle.response_complete:
            return
        unread = self._unread
        if unread is None or unread.peer != self.peer:
            if unread is not None:
                unread.close()
            unread = self._unread = self.held.holding(self.peer)
        if self.held.overflows(unread, len(body)):
            self._stop(_CROWDED)
        unread.add(len(body))
        super().on_body(body)

    def take(self, count: int, holding: Holding) -> None:
        """Count bytes of a body for `holding` from now on: the application has them."""
        if self._unread is not None:
            self._unread.drop(count)
        holding.add(count)

    def on_message_complete(self) -> None:
        """Keep the connection whose request came whole after its answer."""
        if not self._is_refused:
            self._cancel_end()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End a connection soon whose peer does not read its answer, or goes on with its body."""
        if self._unread is not None:
            self._unread.drop(self._unread.bytes - sum(len(each.body) for each, _ in self.pipeline))
        unfinished = self.cycle.response_complete and self.cycle.more_body
        super().on_response_complete()
        if unfinished:
            self._end_in(_LINGER_S)
        elif self._is_half_closed and self.is_idle:
            self.transport.close()
        elif self.transport.get_write_buffer_size():
            self.loop.call_later(_UNSENT_S, self._abort_unsent)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose last answer was not read."""
        self.abort()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn always ends it
        """Keep a connection whose client sends no more until its requests are answered."""
        cycle: Any = self.cycle
        awaited = cycle is not None and not cycle.response_complete and not cycle.more_body
        self._is_half_closed = awaited and not self._is_refused and self.scheme == "http"
        return self._is_half_closed

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limits, and hold nothing any more."""
        self._stop_timer()
        self._cancel_end()
        self.peers.disconnect(self._host, self)
        super().connection_lost(exc)
        self.pipeline.clear()
        if self.cycle is not None:
            self.cycle.body = bytearray()
        if self._unread is not None:
            self._unread.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is in work."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def end_crowded(self) -> None:
        """Refuse the request whose body arrives, and close the connection."""
        self._refuse(_CROWDED)

    def _stop(self, answer: bytes) -> None:
        """Refuse the request, and stop the parser."""
        self._refuse(answer)
        raise _RefusedRequestError

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
            self.abort()

    def _end_in(self, seconds: float) -> None:
        if self._end_timer is None:
            self._end_timer = self.loop.call_later(seconds, self.abort)

    def _cancel_end(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None

    def _abort_unsent(self) -> None:
        if self.transport.get_write_buffer_size():
            self.abort()

    def _refuse(self, answer: bytes) -> None:
        """Answer if that is still possible, discard what else comes, and close soon.

        A connection that is closed at once, with unread bytes, would lose the answer.
        """
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        cycle: Any = self.cycle
        if self.pipeline or (cycle is not None and cycle.response_started):
            self.abort()
            return
        if cycle is not None:
            cycle.disconnected = True
            cycle.body = bytearray()
            cycle.message_event.set()
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._end_in(_LINGER_S)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, unless the request was refused already."""
        if not self._is_refused:
            super().send_400_response(msg)


def bounded_connection(
    header_timeout_s: float, held: HeldBytes, peers: Peers
) -> type[BoundedConnection]:
    """Return a connection class with a limit of `header_timeout_s` seconds for request headers.

    `held`, `peers`: the budget and the shares of the process.
    """

    class Connection(BoundedConnection):
        pass

    Connection.header_timeout_s = header_timeout_s
    Connection.held = held
    Connection.peers = peers
    return Connection
