"""`kubectl port-forward`: connections of a client into a pod, as a node's runtime makes them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.support.kubernetes.api.spdy import Connection, Stream
from tests.support.kubernetes.node.pod_network import within

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase


def forward(reader: BufferedIOBase, writer: BufferedIOBase, space: str) -> None:
    """Serve one client until it goes; `space` is the network namespace of the pod.

    It connects to the pod's loopback from within, so no NetworkPolicy is asked.
    """
    connection = Connection(reader, writer)
    errors: dict[str, Stream] = {}
    for stream in connection.streams():
        request = stream.headers["requestid"]
        if stream.headers["streamtype"] == "error":
            errors[request] = stream
            continue
        port, error = int(stream.headers["port"]), errors.pop(request)
        threading.Thread(
            target=_carry, args=(connection, stream, error, space, port), daemon=True
        ).start()


def _carry(connection: Connection, stream: Stream, error: Stream, space: str, port: int) -> None:
    with suppress(OSError):
        try:
            pod = within(space, lambda: socket.create_connection(("127.0.0.1", port), 10))
        except OSError as failure:
            connection.send(error, str(failure).encode(), last=True)
            return
        with pod:
            pod.settimeout(None)
            up = threading.Thread(target=_send, args=(pod, stream.pieces.get), daemon=True)
            up.start()
            while piece := pod.recv(2**16):
                connection.send(stream, piece)
            connection.send(stream, b"", last=True)
        connection.send(error, b"", last=True)


def _send(pod: socket.socket, take: Callable[[], bytes]) -> None:
    with suppress(OSError):
        while piece := take():
            pod.sendall(piece)
        pod.shutdown(socket.SHUT_WR)
