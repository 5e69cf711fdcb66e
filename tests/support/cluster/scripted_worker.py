"""A real engine whose worker is a script of the test's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from sealflow.streams.keys import Keyspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.queue.server import QueueServer

    StartEngine = Callable[..., "EngineProcess"]

KEYS = Keyspace(deployment="test")
PLAYER = f"""#!{sys.executable}
import json, os, sys, time
from sealflow.wire.frames import FrameKind, decode_batch, decode_head, encode_batch, encode_frame

def send(kind, payload=b""):
    sys.stdout.buffer.write(encode_frame(kind, payload))
    sys.stdout.buffer.flush()

def receive():
    head = sys.stdin.buffer.read(8)
    if not head:
        sys.exit()
    kind, length = decode_head(head)
    return kind, sys.stdin.buffer.read(length)

def until(wanted):
    while True:
        kind, payload = receive()
        if kind is wanted:
            return payload

def ready(models=({{"name": "m", "version": "1", "digest": "ab"}},)):
    facts = {{"instance": "ab", "simulated": True, "threads": 1, "models": list(models)}}
    send(FrameKind.READY, json.dumps(facts).encode())

def say(**facts):
    send(FrameKind.EVENT, json.dumps(facts).encode())

until(FrameKind.BOOT)
"""
ANSWERING = """
ready()
while True:
    _, items = decode_batch(memoryview(until(FrameKind.BATCH)))
    send(FrameKind.REPLIES, encode_batch(0, [(slot, b"re:" + bytes(each)) for slot, each in items]))
"""


class EngineProcess:
    """`python -m sealflow.host.engine` with one worker."""

    def __init__(self, folder: Path, queue: QueueServer, player: str, **settings: Any) -> None:
        """Start it; its workers run `player`."""
        (folder / "enclaves" / "bin").mkdir(parents=True)
        (folder / "packages").mkdir()
        script = folder / "enclaves" / "bin" / "python"
        script.write_text(PLAYER + player)
        script.chmod(0o700)
        (folder / "deployment.json").write_text('{"tee":"simulated"}')
        (folder / "platform.json").write_text("{}")
        values = {
            "deployment": "test",
            "broker_url": queue.url,
            "deployment_file": str(folder / "deployment.json"),
            "simulated_platform_file": str(folder / "platform.json"),
            "packages_dir": str(folder / "packages"),
            "enclaves_dir": str(folder / "enclaves"),
            "logs_dir": str(folder),
            "instance": "played",
            "workers": 1,
            **settings,
        }
        config = folder / "engine.toml"
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        config.write_text("".join(lines))
        self.packages = folder / "packages"
        self._log = folder / "log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "sealflow.host.engine", str(config)),
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def await_log(self, words: str, count: int = 1) -> None:
        """Wait until it has logged something."""
        until = time.monotonic() + 30
        while self.log.count(words) < count:
            assert time.monotonic() < until, self.log
            time.sleep(0.02)

    def stop(self) -> int:
        """Ask it to end; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
