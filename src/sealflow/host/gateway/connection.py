"""Host: an HTTP/1.1 connection that cannot be held open by sending headers slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio


def bounded_connection(header_timeout_s: float) -> type[HttpToolsProtocol]:
    """Make the connection class of a gateway whose clients have `header_timeout_s` for headers.

    uvicorn bounds only the pause between requests, not the time that a request's headers take.
    """

    class BoundedConnection(HttpToolsProtocol):
        _header_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's signature
            super().connection_made(transport)
            self._arm()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            cycle: Any = self.cycle
            idle = cycle is None or cycle.response_complete
            if idle and self._header_timer is None and self.timeout_keep_alive_task is None:
                self._arm()

        def on_headers_complete(self) -> None:
            self._disarm()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self) -> None:
            self._header_timer = self.loop.call_later(header_timeout_s, self.transport.close)

        def _disarm(self) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

    return BoundedConnection
