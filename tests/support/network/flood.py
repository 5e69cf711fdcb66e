"""Many connections at once that send what they are told, and read nothing or all."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self


class Flood:
    """Connections in a thread of their own; each sends its data as far as the peer takes it.

    `again`: open a new connection for each that the peer ends. `read`: read what comes.
    """

    def __init__(
        self,
        address: tuple[str, int],
        count: int,
        data: bytes,
        *,
        read: bool = True,
        again: bool = False,
    ) -> None:
        """Start to connect and to send."""
        self.sent_bytes = 0
        self.ended = 0
        self.answers: list[bytes] = []
        self._address = address
        self._count = count
        self._data = data
        self._read = read
        self._again = again
        self._kept: list[socket.socket] = []
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for _ in range(self._count):
            self._connect()
        while not self._stop.is_set():
            for key, events in self._selector.select(0.05):
                try:
                    if events & selectors.EVENT_READ:
                        self._receive(key)
                    elif events & selectors.EVENT_WRITE:
                        self._send(key)
                except OSError:
                    self._end(key)

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        connection.connect_ex(self._address)
        if not self._read:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._selector.register(connection, self._events(sending=True), [0])

    def _events(self, *, sending: bool) -> int:
        reading = selectors.EVENT_READ if self._read else 0
        return reading | (selectors.EVENT_WRITE if sending else 0)

    def _send(self, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        start = key.data[0]
        count = connection.send(memoryview(self._data)[start : start + 2**18])
        self.sent_bytes += count
        key.data[0] += count
        if key.data[0] == len(self._data):
            events = self._events(sending=False)
            if events:
                self._selector.modify(connection, events, key.data)
            else:
                self._selector.unregister(connection)
                self._kept.append(connection)

    def _receive(self, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        data = connection.recv(2**16)
        if not data:
            raise ConnectionResetError
        if len(self.answers) < 2 * self._count:
            self.answers.append(data)

    def _end(self, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        self._selector.unregister(connection)
        connection.close()
        self.ended += 1
        if self._again:
            self._connect()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close all connections."""
        self._stop.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            with contextlib.suppress(OSError):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
        for connection in self._kept:
            connection.close()
        self._selector.close()
