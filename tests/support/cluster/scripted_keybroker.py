"""A key broker that answers on a queue as a test says."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from sealflow.host.broker.redis_streams import RedisStreams
from tests.support.cluster.scripted_service import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.queue.server import QueueServer

    Script = Callable[[dict[str, Any]], object]


def error(code: str) -> dict[str, object]:
    """Return an answer that says what went wrong."""
    return {"error": {"code": code, "detail": "because"}}


class ScriptedKeyBroker:
    """Answers what comes to the key broker, as a test says."""

    def __init__(self, queue: QueueServer) -> None:
        """Begin to answer."""
        self._streams = RedisStreams(queue.url)
        self._streams.ensure_group(KEYS.control)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.script: Script = lambda _: error("unavailable")
        self.seen: list[dict[str, Any]] = []
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended.is_set():
            for delivery in self._streams.claim(KEYS.control, "played", 1, 100):
                request = json.loads(delivery.envelope)
                self.seen.append(request)
                answer = json.dumps(self.script(request)).encode()
                self._streams.answer(KEYS.control, [(delivery, answer)])

    def close(self) -> None:
        """Answer no more."""
        self._ended.set()
        self._thread.join(20)
        self._streams.close()
