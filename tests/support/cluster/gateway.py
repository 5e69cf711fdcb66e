"""The gateway's process on a queue; the test plays engine and key broker."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.owner import ModelRef
from sealflow.seal.exchange import OutgoingCall, Session, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.streams.keys import Keyspace
from sealflow.wire.envelope import MEDIA_TYPE, Envelope, RefusalHeader
from sealflow.wire.ids import RequestId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.errors import RefusalCode
    from sealflow.host.broker.redis_streams import Delivery
    from tests.support.queue.server import QueueServer

KEYS = Keyspace(deployment="test")
KEY = OpeningKey.generate(Suite.SIMULATED_X25519)
SESSION = Session.start(KEY.public_key)
DIGEST = "cd" * 32
INSTANCE = RequestId("ab" * 16)
START_S = 60.0


class GatewayProcess:
    """`python -m sealflow.host.gateway` on a free port."""

    def __init__(self, queue: QueueServer, **settings: str | float | bool | list[str]) -> None:
        """Start it and wait until it listens; `settings` are those of its file."""
        folder = queue.folder / f"gateway-{secrets.token_hex(4)}"
        folder.mkdir()
        self.log = folder / "log"
        self.process = start_gateway(
            folder / "gateway.toml",
            self.log,
            {"deployment": "test", "broker_url": queue.url, "port": 0, **settings},
        )
        self.url = self._await_url()
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def _await_url(self) -> str:
        until = time.monotonic() + START_S
        while True:
            for line in self.log.read_text().splitlines():
                if '"listening"' in line:
                    return str(json.loads(line)["url"])
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until
            time.sleep(0.01)

    def post(self, envelope: bytes, query: str = "", **headers: str) -> httpx.Response:
        """Send an envelope, each time over a connection of its own."""
        sent = {"content-type": MEDIA_TYPE, **headers}
        return httpx.post(
            f"{self.url}/v1/envelopes{query}", content=envelope, headers=sent, timeout=60
        )

    def raw(self) -> socket.socket:
        """A connection to write anything to."""
        return socket.create_connection(self.address, timeout=30)

    def figure(self, name: str) -> float:
        """One of its figures."""
        found = [
            line.rpartition(" ")[2]
            for line in self.http.get("/metrics").text.splitlines()
            if line.startswith(f"{name} ")
        ]
        return float(found[0])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; gives its exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.stop()


def start_gateway(config: Any, log: Any, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Write the settings and start the process; its output goes to `log`."""
    # JSON's strings, numbers, booleans and lists of them are TOML's too.
    config.write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    )
    with log.open("wb") as output:
        return subprocess.Popen(
            (sys.executable, "-m", "sealflow.host.gateway", str(config)),
            stdout=output,
            stderr=output,
        )


class ScriptedEngine:
    """Takes requests off the queue and answers them, as the test says."""

    def __init__(self, queue: QueueServer) -> None:
        """Read the queue."""
        self.streams = RedisStreams(queue.url)
        self.streams.ensure_group(KEYS.requests)
        self.streams.ensure_group(KEYS.control)
        self._secrets = SessionSecrets(8)

    def take(self, stream: str = KEYS.requests) -> Delivery:
        """Wait for one request."""
        until = time.monotonic() + 20
        while not (found := self.streams.claim(stream, "played", 1, 1000)):
            assert time.monotonic() < until, "no request came"
        return found[0]

    def answer(self, delivery: Delivery, reply: bytes, stream: str = KEYS.requests) -> None:
        """Answer one request with any bytes."""
        self.streams.answer(stream, [(delivery, reply)])

    def sealed(self, envelope: bytes, content: bytes = b"the answer") -> bytes:
        """Open an envelope of `call` and seal a reply to it."""
        opened = open_request(
            Envelope.from_bytes(envelope, max_body_bytes=2**24), KEY, self._secrets
        )
        return opened.seal_reply([b"\1\0\0\0\0", content], model_digest=DIGEST, instance=INSTANCE)

    def serve(self, content: bytes = b"the answer") -> None:
        """Wait for one request and answer it with a sealed reply."""
        delivery = self.take()
        self.answer(delivery, self.sealed(delivery.envelope, content))

    def waiting(self) -> int:
        """How many requests nobody has taken."""
        return self.streams.depth(KEYS.requests).waiting

    def close(self) -> None:
        """Take and delete what is left, and disconnect."""
        with contextlib.suppress(Exception):
            for stream in (KEYS.requests, KEYS.control):
                self.streams.delete(stream)
        self.streams.close()


def seal_call(*, timeout_s: float = 30.0, size: int = 10) -> OutgoingCall:
    """Seal a request with so many bytes of content."""
    return SESSION.seal_request(
        ModelRef(name="m", version="1"),
        DIGEST,
        [b"\1\0\0\0\0", bytes(size)],
        deadline_ms=time.time_ns() // 10**6 + int(timeout_s * 1000),
    )


def open_answer(outgoing: OutgoingCall, response: httpx.Response) -> bytes:
    """What a sealed answer holds."""
    _, content = outgoing.open_reply(Envelope.from_bytes(response.content, max_body_bytes=2**24))
    return bytes(content.binary)


def read_refusal(response: httpx.Response) -> RefusalCode:
    """The code of an answer that is a refusal envelope."""
    assert response.headers["content-type"] == MEDIA_TYPE, response.text
    header = Envelope.from_bytes(response.content, max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    return header.code


def await_answer(
    ask: Callable[[], httpx.Response], good: Callable[[httpx.Response], bool]
) -> httpx.Response:
    """Ask until the answer is good: what is read of the broker may be a second old."""
    until = time.monotonic() + 20
    while not good(answer := ask()):
        assert time.monotonic() < until, answer.text
        time.sleep(0.05)
    return answer
