"""A real engine whose workers the test plays: what they ask for, and what they report."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.support.cluster.gateway import ScriptedEngine
from tests.support.cluster.scripted_worker import KEYS

if TYPE_CHECKING:
    from tests.support.cluster.scripted_worker import StartEngine
    from tests.support.queue.server import QueueServer


def test_the_key_broker_is_asked(start: StartEngine, queue: QueueServer) -> None:
    """A worker's request goes to the key broker and its answer comes back; silence is no answer."""
    engine = start("""
send(FrameKind.CONTROL, b"who are you")
say(answer=until(FrameKind.CONTROL).decode())
until(FrameKind.BOOT)
""")
    played = ScriptedEngine(queue)
    delivery = played.take(KEYS.control)
    assert delivery.envelope == b"who are you"
    played.answer(delivery, b"it is me", KEYS.control)
    played.close()
    engine.await_log('"enclave_answer": "it is me"')


def test_packages_are_sent(start: StartEngine) -> None:
    """A package comes in pieces, whole; one that is not there, or empty, is said to be absent."""
    engine = start("""
from sealflow.wire.frames import decode_chunk
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


def test_events_of_any_form(start: StartEngine) -> None:
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


def test_packages_folder_that_is_gone(start: StartEngine) -> None:
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
    assert '"event": "package cannot be read"' in engine.log
