"""A real engine whose workers the test plays: what they may do wrong, and what it costs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.owner.transport import StreamTransport
from sealflow.wire.broker_address import BrokerAddress
from sealflow.wire.envelope import RefusalHeader, decode
from sealflow.wire.queueing import Keyspace
from sealflow.wire.refusal import RefusalCode
from tests.sim.gateway import PlayedEngine
from tests.sim.queue_server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., "Engine"]

KEYS = Keyspace(deployment="test")
PLAYER = f"""#!{sys.executable}
import json, os, sys, time
from sealflow.wire.framing import FrameKind, decode_batch, decode_head, encode_batch, encode_frame

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
    send(FrameKind.READY, json.dumps({{"simulated": True, "models": list(models)}}).encode())

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


class Engine:
    """`python -m sealflow.host.engine` with one worker."""

    def __init__(self, folder: Path, queue: Server, player: str, **settings: Any) -> None:
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


@pytest.fixture(scope="module")
def queue() -> Iterator[Server]:
    """A running queue."""
    running = Server()
    yield running
    running.remove()


@pytest.fixture
def start(tmp_path: Path, queue: Server) -> Iterator[Start]:
    """Start engines that end with the test."""
    engines: list[Engine] = []

    def run(player: str, **settings: Any) -> Engine:
        engines.append(Engine(tmp_path / str(len(engines)), queue, player, **settings))
        return engines[-1]

    yield run
    for engine in engines:
        engine.process.kill()
        engine.process.wait()
    queue.delete(KEYS.requests)
    queue.delete(KEYS.control)


@pytest.fixture
def owner(queue: Server) -> Iterator[StreamTransport]:
    """Somebody who sends requests."""
    transport = StreamTransport(BrokerAddress(url=queue.url), "test")
    yield transport
    transport.close()


def answers(owner: StreamTransport, count: int) -> dict[str, bytes]:
    """Wait for answers."""
    found: dict[str, bytes] = {}
    until = time.monotonic() + 40
    while len(found) < count:
        assert time.monotonic() < until
        found |= {name.decode(): reply for name, reply in owner.receive(1)}
    return found


def refused(reply: bytes) -> RefusalCode:
    """The code of a refusal."""
    header = decode(reply, max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    return header.code


def test_answers_are_stored(start: Start, owner: StreamTransport) -> None:
    """What a worker answers reaches who asked, by slot; SIGTERM then ends all, cleanly."""
    engine = start(ANSWERING)
    owner.submit([(f"id-{n}", b"%d" % n) for n in range(50)], capacity=100)
    assert answers(owner, 50) == {f"id-{n}": b"re:%d" % n for n in range(50)}
    assert engine.stop() == 0


def test_answers_to_nothing(start: Start, owner: StreamTransport) -> None:
    """Answers to slots that nobody has, and second answers, are nobody's."""
    start("""
ready()
_, items = decode_batch(memoryview(until(FrameKind.BATCH)))
(slot, _), = items
send(FrameKind.REPLIES, encode_batch(0, [(999, b"made up"), (slot, b"right"), (slot, b"twice")]))
until(FrameKind.BOOT)
""")
    owner.submit([("id", b"x")], capacity=100)
    assert answers(owner, 1) == {"id": b"right"}
    assert owner.receive(0.2) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("send(FrameKind.STATE, b'')", "a worker sends no STATE"),
        ("send(FrameKind.READY, b'{}')", "READY is not as it should be"),
        ("send(FrameKind.READY, b'[')", "READY is not as it should be"),
        ("ready(models=[{'name': 'm'}])", "READY is not as it should be"),
        ("ready(models=[7])", "READY is not as it should be"),
        ("send(FrameKind.REPLIES, b'short')", "batch"),
        ("print('hello from a library', flush=True)", "out of step"),
        ("sys.stdout.buffer.write(b'SF\\\\1'); sys.stdout.buffer.flush(); sys.exit()", "its head"),
    ],
)
def test_workers_out_of_step(start: Start, wrong: str, says: str) -> None:
    """A worker that says what it may not is ended, with the reason in the log, and replaced."""
    engine = start(f"{wrong}\ntime.sleep(600)")
    engine.await_log("worker ended")
    assert says in engine.log
    assert engine.stop() == 0


def test_poison(start: Start, owner: StreamTransport, queue: Server) -> None:
    """A request that ends every worker is set aside; those in hand with it are tried alone."""
    start("""
ready()
while True:
    _, items = decode_batch(memoryview(until(FrameKind.BATCH)))
    if any(bytes(each) == b"poison" for _, each in items):
        os._exit(9)
    send(FrameKind.REPLIES, encode_batch(0, [(slot, b"re:" + bytes(each)) for slot, each in items]))
""")
    names = ["a", "b", "poison", "c", "d"]
    owner.submit([(name, name.encode()) for name in names], capacity=9)
    found = answers(owner, 5)
    assert refused(found.pop("poison")) is RefusalCode.UNDELIVERABLE
    assert found == {name: f"re:{name}".encode() for name in "abcd"}
    played = PlayedEngine(queue)
    assert played.streams.depth(KEYS.dead_letters(KEYS.requests)).waiting == 1
    queue.delete(KEYS.dead_letters(KEYS.requests))
    played.close()


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("not_approved", "policy does not accept their code"),
        ("deployment", "deployment_file is damaged"),
    ],
)
def test_hopeless(start: Start, reason: str, says: str) -> None:
    """An engine whose workers can never serve exits with the reason instead of trying on."""
    engine = start(f"send(FrameKind.FATAL, b'{reason}')")
    assert engine.process.wait(60) == 1
    assert says in engine.log.splitlines()[-1]
    assert engine.log.splitlines()[-1].startswith("error: ")


def test_the_key_broker_is_asked(start: Start, queue: Server) -> None:
    """A worker's request goes to the key broker and its answer comes back; silence is no answer."""
    engine = start("""
send(FrameKind.CONTROL, b"who are you")
say(answer=until(FrameKind.CONTROL).decode())
until(FrameKind.BOOT)
""")
    played = PlayedEngine(queue)
    delivery = played.take(KEYS.control)
    assert delivery.envelope == b"who are you"
    played.answer(delivery, b"it is me", KEYS.control)
    played.close()
    engine.await_log('"enclave_answer": "it is me"')


def test_packages_are_sent(start: Start) -> None:
    """A package comes in pieces, whole; one that is not there, or empty, is said to be absent."""
    engine = start("""
from sealflow.wire.framing import decode_chunk
time.sleep(0.5)
for byte in (b"\\1", b"\\2", b"\\3"):
    send(FrameKind.WANT, byte * 32)
    got, whole = 0, None
    while whole is None or got < whole:
        digest, offset, whole, piece = decode_chunk(memoryview(until(FrameKind.PACKAGE)))
        assert digest == byte * 32 and offset == got
        got += len(piece)
    say(package=digest[0], bytes=got)
until(FrameKind.BOOT)
""")
    (engine.packages / f"{'01' * 32}.sealed").write_bytes(bytes(3 * 2**20 + 5))
    (engine.packages / f"{'03' * 32}.sealed").touch()
    engine.await_log(f'"enclave_package": 1, "enclave_bytes": {3 * 2**20 + 5}')
    engine.await_log('"enclave_package": 2, "enclave_bytes": 0')
    engine.await_log('"enclave_package": 3, "enclave_bytes": 0')


def test_events_of_any_form(start: Start) -> None:
    """What a worker reports is logged under names of its own, and nonsense ends nothing."""
    engine = start("""
for payload in (b"", b"[", b"[1]", b"\\xff", b'{"event":"forged","level":"x"}'):
    send(FrameKind.EVENT, payload)
say(last=1)
until(FrameKind.BOOT)
""")
    engine.await_log('"enclave_last": 1')
    assert '"enclave_event": "forged"' in engine.log
    assert "worker ended" not in engine.log


def test_the_end_is_bounded(start: Start, owner: StreamTransport, queue: Server) -> None:
    """Workers that neither answer nor read cannot keep an engine from ending; nothing is lost."""
    engine = start("ready()\ntime.sleep(600)", drain_s=0.3)
    engine.await_log("worker ready")
    owner.submit([(str(number), bytes(2**20)) for number in range(8)], capacity=9)
    played = PlayedEngine(queue)
    until = time.monotonic() + 20
    while played.streams.depth(KEYS.requests).in_work == 0:
        assert time.monotonic() < until
    assert engine.stop() == 0
    left = played.streams.depth(KEYS.requests)
    assert left.waiting + left.in_work == 8
    played.close()


def test_no_environment_to_run(start: Start, tmp_path: Path) -> None:
    """A folder without what is to run ends the engine, with what to set."""
    engine = start(ANSWERING, enclaves_dir=str(tmp_path))
    assert engine.process.wait(60) == 1
    assert "set enclaves_dir to a Python environment" in engine.log


def test_packages_folder_that_is_gone(start: Start) -> None:
    """A folder that went away is said, and the worker hears that the package is absent."""
    engine = start("""
time.sleep(0.5)
send(FrameKind.WANT, b"\\1" * 32)
until(FrameKind.PACKAGE)
say(told=1)
until(FrameKind.BOOT)
""")
    shutil.rmtree(engine.packages)
    engine.await_log('"enclave_told": 1')
    assert '"event": "package"' in engine.log
