"""A package index on this machine, as PEP 503 says, and a proxy; each can refuse."""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(kw_only=True)
class Index:
    """What a test says about its index, and sees of it."""

    folder: Path
    address: str = ""
    login: str = ""
    """`user:password` that it asks for; empty for none."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Refusals by the last part of an address; `""` is for all others."""
    held: dict[str, threading.Event] = field(default_factory=dict)
    """Files that are sent to the half, and whole once their event is set."""
    asked: list[str] = field(default_factory=list)
    """Paths that were asked for."""
    half_sent: threading.Event = field(default_factory=threading.Event)

    def with_login(self, login: str) -> str:
        """Return its address with a user and a password."""
        return self.address.replace("://", f"://{login}@")


@contextmanager
def index(folder: Path, *, certificate: Path | None = None, **options: object) -> Iterator[Index]:
    """Serve the wheels of a folder, over TLS if there is a PEM file with certificate and key."""
    served = Index(folder=folder, **options)  # type: ignore[arg-type]

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, served)

        do_HEAD = do_GET  # noqa: N815 - the standard library's name

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Answer, certificate) as port:
        scheme = "https" if certificate else "http"
        # pip 24.2 does not verify certificates for numeric addresses: it stops at them.
        host = "127.0.0.1" if certificate is None else "localhost"
        served.address = f"{scheme}://{host}:{port}/simple"
        try:
            yield served
        finally:
            for event in served.held.values():
                event.set()


@dataclass(kw_only=True)
class Proxy:
    """An HTTP proxy, and what it was asked for."""

    address: str = ""
    login: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def proxy(*, login: str = "") -> Iterator[Proxy]:
    """Pass requests on, or only those with a user and a password."""
    served = Proxy(login=login)

    class Pass(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _pass_on(self, served)

        def do_CONNECT(self) -> None:
            _pass_on(self, served)

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Pass, None) as port:
        served.address = f"http://127.0.0.1:{port}"
        yield served


def closed_port() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/simple"


@contextmanager
def _serving(answer: type[BaseHTTPRequestHandler], certificate: Path | None) -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Clients that go away are what some tests are about."""

    with Server(("127.0.0.1", 0), answer) as server:
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, served: Index) -> None:
    parts = unquote(request.path).strip("/").split("/")
    served.asked.append(request.path)
    status = served.statuses.get(parts[-1], served.statuses.get("", 200))
    if served.login and not _is_allowed(request.headers.get("Authorization"), served.login):
        status = 401
    if status != 200:
        request.send_response(status)
        request.send_header("WWW-Authenticate", 'Basic realm="index"')
        request.send_header("Content-Length", "0")
        request.end_headers()
    elif parts[0] == "simple" and len(parts) == 2:
        _send(request, served, _page(served.folder, parts[1]).encode(), "text/html")
    elif parts[0] == "files" and (served.folder / parts[1]).is_file():
        content = (served.folder / parts[1]).read_bytes()
        _send(request, served, content, "application/octet-stream")
    else:
        request.send_error(404)


def _page(folder: Path, project: str) -> str:
    paths = [
        path
        for path in sorted(folder.glob("*.whl"))
        if re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() == project
    ]
    return "".join(
        f'<a href="/files/{each.name}#sha256={_digest(each)}">{each.name}</a>\n' for each in paths
    )


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _send(request: BaseHTTPRequestHandler, served: Index, content: bytes, kind: str) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command == "HEAD":
        return
    event = served.held.get(request.path.rpartition("/")[2])
    half = len(content) // 2 if event else 0
    request.wfile.write(content[:half])
    if event:
        request.wfile.flush()
        served.half_sent.set()
        event.wait()
    request.wfile.write(content[half:])


def _pass_on(request: BaseHTTPRequestHandler, served: Proxy) -> None:
    request.close_connection = True
    if served.login and not _is_allowed(request.headers.get("Proxy-Authorization"), served.login):
        request.send_response(407)
        request.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    served.asked.append(request.path)
    parts = urlsplit(f"//{request.path}" if request.command == "CONNECT" else request.path)
    with socket.create_connection((parts.hostname, parts.port)) as upstream:
        if request.command == "CONNECT":
            request.send_response(200)
            request.end_headers()
        else:
            lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
            allowed = request.headers.get("Authorization")
            lines += [f"Authorization: {allowed}"] if allowed else []
            upstream.sendall("\r\n".join([*lines, "", ""]).encode())
        _relay(request.connection, upstream)


def _relay(client: socket.socket, upstream: socket.socket) -> None:
    other = {client: upstream, upstream: client}
    while True:
        for ready in select.select([client, upstream], [], [])[0]:
            chunk = ready.recv(65536)
            if not chunk:
                return
            other[ready].sendall(chunk)


def _is_allowed(header: str | None, login: str) -> bool:
    return header == f"Basic {base64.b64encode(login.encode()).decode()}"
