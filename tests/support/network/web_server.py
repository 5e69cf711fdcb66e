"""A real web server that gives set answers, and misbehaves when told to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


Answer = tuple[int, dict[str, str], bytes]


class WebServer:
    """Serves `answers` by path with query; `calls` are the paths that were asked for.

    `behave`: what to do with a connection instead of answering; may write what it wants.
    """

    def __init__(self, answers: dict[str, Answer], tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port, by TLS when a context is given."""
        self.answers = dict(answers)
        self.calls: list[str] = []
        self.behave: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.calls.append(self.path)
                if outer.behave is not None:
                    outer.behave(self)
                    return
                status, headers, body = outer.answers.get(self.path, (404, {}, b"not here"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self.released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        """Serve within a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop listening."""
        self.stop()
