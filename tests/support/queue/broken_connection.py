"""A connection to a queue's server that breaks once, at the worst time."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sealflow.host.broker.embedded_server import SOCKET_NAME

if TYPE_CHECKING:
    from tests.support.queue.server import QueueServer


class BreakingProxy:
    """Passes commands on to a server, and hangs up instead of passing on the answer to one."""

    def __init__(self, server: QueueServer, word: bytes) -> None:
        """Listen; `word` is in the command whose answer is lost, once."""
        self._path = str(server.folder / SOCKET_NAME)
        self._word: bytes | None = word
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        # A server that has ended ends its connections, which is what clients are to see.
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            while command := client.recv(65536):
                server.sendall(command)
                answer = server.recv(65536)
                if self._word is not None and self._word in command:
                    self._word = None
                    return
                client.sendall(answer)

    def close(self) -> None:
        """Take no more."""
        self._listening.close()
