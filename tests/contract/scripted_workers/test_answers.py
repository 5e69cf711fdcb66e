"""A real engine whose workers the test plays: what they answer, and what they may not say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusalCode
from sealflow.wire.envelope import Envelope, RefusalHeader
from tests.support.cluster.gateway import ScriptedEngine
from tests.support.cluster.scripted_worker import ANSWERING, KEYS

if TYPE_CHECKING:
    from sealflow.owner.queue.transport import StreamTransport
    from tests.support.cluster.scripted_worker import StartEngine
    from tests.support.queue.server import QueueServer


def await_answers(owner: StreamTransport, count: int) -> dict[str, bytes]:
    """Wait for answers."""
    found: dict[str, bytes] = {}
    until = time.monotonic() + 40
    while len(found) < count:
        assert time.monotonic() < until
        found |= {name.decode(): reply for name, reply in owner.receive(1)}
    return found


def refused(reply: bytes) -> RefusalCode:
    """The code of a refusal."""
    header = Envelope.from_bytes(reply, max_body_bytes=0).header
    assert isinstance(header, RefusalHeader)
    return header.code


def test_answers_are_stored(start: StartEngine, owner: StreamTransport) -> None:
    """What a worker answers reaches who asked, by slot; SIGTERM then ends all, cleanly."""
    engine = start(ANSWERING)
    owner.submit([(f"id-{n}", b"%d" % n) for n in range(50)], capacity=100)
    assert await_answers(owner, 50) == {f"id-{n}": b"re:%d" % n for n in range(50)}
    assert engine.stop() == 0


def test_answers_to_nothing(start: StartEngine, owner: StreamTransport) -> None:
    """Answers to slots that nobody has, and second answers, are nobody's."""
    start("""
ready()
_, items = decode_batch(memoryview(until(FrameKind.BATCH)))
(slot, _), = items
send(FrameKind.REPLIES, encode_batch(0, [(999, b"made up"), (slot, b"right"), (slot, b"twice")]))
until(FrameKind.BOOT)
""")
    owner.submit([("id", b"x")], capacity=100)
    assert await_answers(owner, 1) == {"id": b"right"}
    assert owner.receive(0.2) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("send(FrameKind.STATE, b'')", "a worker does not send STATE"),
        ("send(FrameKind.READY, b'{}')", "READY: missing instance"),
        ("send(FrameKind.READY, b'[')", "READY: not strict JSON"),
        ("ready(models=[{'name': 'm'}])", "READY: models: model: missing version"),
        ("ready(models=[7])", "READY: models: model: not a table"),
        ("send(FrameKind.REPLIES, b'short')", "batch"),
        ("print('hello from a library', flush=True)", "out of step"),
        ("sys.stdout.buffer.write(b'SF\\\\1'); sys.stdout.buffer.flush(); sys.exit()", "its head"),
    ],
)
def test_workers_out_of_step(start: StartEngine, wrong: str, says: str) -> None:
    """A worker that says what it may not is ended, with the reason in the log, and replaced."""
    engine = start(f"{wrong}\ntime.sleep(600)")
    engine.await_log("worker ended")
    assert says in engine.log
    assert engine.stop() == 0


def test_poison(start: StartEngine, owner: StreamTransport, queue: QueueServer) -> None:
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
    found = await_answers(owner, 5)
    assert refused(found.pop("poison")) is RefusalCode.UNDELIVERABLE
    assert found == {name: f"re:{name}".encode() for name in "abcd"}
    played = ScriptedEngine(queue)
    assert played.streams.depth(KEYS.dead_letters(KEYS.requests)).waiting == 1
    queue.delete(KEYS.dead_letters(KEYS.requests))
    played.close()
