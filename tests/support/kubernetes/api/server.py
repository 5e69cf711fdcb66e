"""The API server of a small cluster, on a port of loopback: real helm, kubectl and Flink use it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support.kubernetes.api import protobuf
from tests.support.kubernetes.api.access import Access
from tests.support.kubernetes.api.discovery import discovery
from tests.support.kubernetes.api.kinds import KINDS, Kind
from tests.support.kubernetes.api.port_forwarding import forward
from tests.support.kubernetes.api.selectors import select_objects
from tests.support.kubernetes.api.status_objects import bookmark, failure
from tests.support.kubernetes.api.store import Object, StatusError, Store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_VERBS: Final = {
    "GET": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


class ApiServer:
    """Serves a store until closed.

    `logs` gives what a pod has written, `space` the network namespace of a pod, by its name.
    With `tls` it is as pods find it, and a client may do what the Roles of its account say;
    without, all.
    """

    def __init__(
        self,
        store: Store,
        logs: Callable[[str, str], str],
        address: tuple[str, int] = ("127.0.0.1", 0),
        space: Callable[[str], str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen at once."""
        self.store = store
        self.access = Access(store)
        self.logs = logs
        self.space = space
        self.closing = False
        handler = type("Bound", (_Requests,), {"api": self})
        self._server = ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        self.secure = tls is not None
        if tls is not None:
            # Not yet the handshake: that is the business of each connection's thread.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        host, port = self._server.server_address[:2]
        return f"{'https' if self.secure else 'http'}://{host!s}:{port}"

    def close(self) -> None:
        """Stop, ending watches."""
        self.closing = True
        with self.store.changed:
            self.store.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Requests(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_PATCH(self) -> None:
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, method: Callable[[], Object | None]) -> None:
        parts = urlsplit(self.path)
        self._query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self._path = parts.path.rstrip("/")
        try:
            found = method()
        except StatusError as error:
            self._send(error.code, failure(error))
        except OSError:
            self.close_connection = True
        else:
            if found is not None:
                self._send(201 if method == self._post else 200, found)

    def _send(self, code: int, body: Object) -> None:
        self._send_bytes(code, json.dumps(body).encode(), "application/json")

    def _send_bytes(self, code: int, body: bytes, media_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if raw.startswith(protobuf.MAGIC):
            return protobuf.decode(raw)
        return yaml.safe_load(raw) if raw else {}

    def _place(self) -> tuple[Kind, str, str, str]:
        """Find kind, namespace, name and subresource of the request, if it is allowed."""
        kind, namespace, name, part = self._named()
        verb = _VERBS[self.command]
        if self.command == "GET" and not name:
            verb = "watch" if self._watching else "list"
        if not self.api.secure:
            return kind, namespace, name, part
        who = self.headers.get("Authorization", "")
        # Kubernetes takes the name that a list or watch is limited to for the object's.
        wanted = name or self._query.get("fieldSelector", "").removeprefix("metadata.name=")
        self.api.access.check(who, verb, kind, namespace, wanted)
        return kind, namespace, name, part

    @property
    def _watching(self) -> bool:
        return self._query.get("watch") in {"true", "1"}

    def _named(self) -> tuple[Kind, str, str, str]:
        for kind in KINDS:
            if not self._path.startswith(f"{kind.root}/"):
                continue
            rest = self._path.removeprefix(f"{kind.root}/").split("/")
            namespace = ""
            if kind.namespaced and rest[0] == "namespaces" and len(rest) > 2:
                namespace, rest = rest[1], rest[2:]
            # What lies in a namespace has a path that begins as the namespace's own.
            if rest[0] == kind.plural and (kind.name != "Namespace" or len(rest) <= 2):
                return kind, namespace, *([*rest[1:], "", ""])[:2]  # type: ignore[return-value]
        raise StatusError(404, "NotFound", f"nothing at {self._path}")

    def _get(self) -> Object | None:
        found = discovery(self._path)
        if found is not None:
            return found
        kind, namespace, name, part = self._place()
        if part == "portforward":
            # Clients ask for a WebSocket first, and then for SPDY.
            raise StatusError(400, "BadRequest", "ports are forwarded over SPDY here")
        if part == "log":
            text = self.api.logs(namespace, name)
            self._send_bytes(200, text.encode(), "text/plain")
            return None
        if name:
            return self.api.store.get(kind, namespace, name)
        if self._watching:
            self._watch(kind, namespace)
            return None
        with self.api.store.changed:
            items = [
                each
                for each in self.api.store.all(kind, namespace)
                if select_objects(each, self._query)
            ]
            version = str(self.api.store.version)
        return {
            "apiVersion": kind.api_version,
            "kind": f"{kind.name}List",
            "metadata": {"resourceVersion": version},
            "items": items,
        }

    def _post(self) -> Object | None:
        kind, namespace, name, part = self._place()
        if part == "portforward" and self.api.space is not None:
            self._forward(self.api.space(name))
            return None
        return self.api.store.create(kind, namespace, self._body())

    def _put(self) -> Object:
        kind, namespace, _, _ = self._place()
        return self.api.store.replace(kind, namespace, self._body())

    def _patch(self) -> Object:
        kind, namespace, name, _ = self._place()
        media_type = self.headers.get("Content-Type", "").partition(";")[0]
        body = self._body()
        if media_type == "application/apply-patch+yaml":
            manager = self._query["fieldManager"]
            return self.api.store.apply(kind, namespace, name, body, manager)
        if media_type in {
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        }:
            return self.api.store.merge(kind, namespace, name, body)
        if media_type == "application/json-patch+json":
            return self.api.store.edit(kind, namespace, name, body)
        raise StatusError(415, "UnsupportedMediaType", media_type)

    def _delete(self) -> Object:
        kind, namespace, name, _ = self._place()
        self._body()
        if name:
            return self.api.store.delete(kind, namespace, name)
        for each in self.api.store.all(kind, namespace):
            if select_objects(each, self._query):
                self.api.store.delete(kind, namespace, each["metadata"]["name"])
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}

    def _forward(self, space: str) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "SPDY/3.1")
        self.send_header("X-Stream-Protocol-Version", "portforward.k8s.io")
        self.end_headers()
        forward(self.rfile, self.wfile, space)
        self.close_connection = True

    def _watch(self, kind: Kind, namespace: str) -> None:
        """Stream events until the client or this server goes."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        store = self.api.store
        with store.changed:
            seen = int(self._query.get("resourceVersion") or 0)
            initial = [] if seen else store.all(kind, namespace)
            seen = seen or store.version
            at = len(store.events) if initial else 0
        for each in initial:
            if select_objects(each, self._query):
                self._event("ADDED", each)
        if self._query.get("sendInitialEvents") == "true":
            self._event("BOOKMARK", bookmark(kind, seen))
        while not self.api.closing:
            with store.changed:
                fresh, at = store.events[at:], len(store.events)
                if not fresh:
                    store.changed.wait(1)
            for version, event, each in fresh:
                metadata = each["metadata"]
                if (
                    version > seen
                    and each["kind"] == kind.name
                    and namespace in {"", metadata.get("namespace", "")}
                    and select_objects(each, self._query)
                ):
                    self._event(event, each)
        self.close_connection = True

    def _event(self, event: str, each: Object) -> None:
        line = json.dumps({"type": event, "object": each}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()
