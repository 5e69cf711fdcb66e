"""The host's end of the pipes to a trusted process: frames, and processes that misbehave."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sealflow.errors import MalformedError, WorkerGoneError
from sealflow.host.enclave.relay import Relay
from sealflow.wire.frames import MAX_FRAME_BYTES, FrameKind, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Relay]

ECHO = """
import sys
while data := sys.stdin.buffer.read1():
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""
DEAF = "import time; time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program of a few lines behind a relay; it ends with the test."""
    relays: list[Relay] = []

    def run(program: str, **options: Any) -> Relay:
        command = (sys.executable, "-u", "-c", program)
        relays.append(Relay(command, tmp_path / "log", **options))
        return relays[-1]

    yield run
    for relay in relays:
        relay.kill()
        relay.wait(10)
        relay.release()


def writing(data: bytes) -> str:
    """A program that writes bytes and ends."""
    return f"import sys; sys.stdout.buffer.write(bytes.fromhex('{data.hex()}'))"


@pytest.mark.parametrize("length", [0, 1, 2**16, 40 * 2**20 + 7])
def test_frames_of_all_sizes(start: Start, length: int) -> None:
    """Frames come whole, both ways at a time, however much more they hold than a pipe does."""
    relay = start(ECHO)
    payload = os.urandom(min(length, 997)) * (length // 997 + 1)
    payload = payload[:length]
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(relay.send, FrameKind.PACKAGE, payload)
        frame = relay.receive()
        sent.result()
    assert frame is not None
    assert frame[0] is FrameKind.PACKAGE
    assert frame[1] == payload
    relay.close_input()
    assert relay.receive() is None
    assert relay.wait(10) == 0


def test_senders_take_turns(start: Start) -> None:
    """Frames of several threads do not mix."""
    relay = start(ECHO)
    payloads = [bytes([number]) * (100_000 + number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for payload in payloads:
            pool.submit(relay.send, FrameKind.BATCH, payload)
        found = [relay.receive() for _ in payloads]
    assert sorted(bytes(frame[1]) for frame in found if frame) == sorted(payloads)


def test_too_large_a_frame(start: Start) -> None:
    """What no frame may hold is refused here, and nothing of it was sent."""
    relay = start(ECHO)
    with pytest.raises(MalformedError, match="over the limit"):
        relay.send(FrameKind.PACKAGE, bytearray(MAX_FRAME_BYTES + 1))
    relay.send(FrameKind.TICK, b"on")
    assert relay.receive() == (FrameKind.TICK, b"on")


WHOLE = encode_frame(FrameKind.READY, b"hello")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (WHOLE[:3], "ends within its head"),
        (WHOLE[:8], "ended within a frame"),
        (WHOLE[:-1], "ended within a frame"),
        (b"Traceback (most recent call last):", "out of step: frame: does not start with SF"),
        (b"SF\2\1" + WHOLE[4:], "does not start with SF"),
        (b"SF\x63\0\0\0\0\0", "unknown kind 99"),
        (b"SF\2\0\xff\xff\xff\xff", "over the limit"),
    ],
)
def test_out_of_step(start: Start, written: bytes, says: str) -> None:
    """Half a frame, or what is none, is the end of a process: nothing more of it is believed."""
    relay = start(writing(WHOLE + written))
    assert relay.receive() == (FrameKind.READY, b"hello")
    with pytest.raises(WorkerGoneError, match=says):
        relay.receive()


def test_the_end(start: Start) -> None:
    """A process that ends between frames has simply ended; its exit code is known."""
    relay = start(writing(WHOLE) + "; sys.exit(7)")
    assert relay.receive() is not None
    assert relay.receive() is None
    assert relay.receive() is None
    assert relay.wait(10) == 7


def test_sending_to_the_dead(start: Start) -> None:
    """Whoever writes to a process that has ended, or ends meanwhile, is told at once."""
    relay = start("import os; os.read(0, 1000)")
    with pytest.raises(WorkerGoneError, match="has ended"):
        relay.send(FrameKind.BATCH, bytes(2**24))
    with pytest.raises(WorkerGoneError, match="has ended"):
        relay.send(FrameKind.TICK)


def test_sending_after_the_end(start: Start) -> None:
    """A pipe that was closed here takes nothing more."""
    relay = start(ECHO)
    relay.close_input()
    with pytest.raises(WorkerGoneError):
        relay.send(FrameKind.TICK)
    relay.close_input()


def test_killed_in_mid_frame(start: Start) -> None:
    """A process that is killed while a frame is on its way leaves no half of it."""
    program = (
        "import sys, time; out = sys.stdout.buffer; "
        f"out.write({WHOLE!r} + {WHOLE[:-2]!r}); out.flush(); time.sleep(600)"
    )
    relay = start(program)
    assert relay.receive() is not None
    threading.Timer(0.1, os.kill, (relay.pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerGoneError, match="within a frame"):
        relay.receive()


def test_end_by_force(start: Start) -> None:
    """A process that does not end when its input does is killed when its time is over."""
    relay = start(DEAF)
    assert relay.wait(0.2) == -signal.SIGKILL
    assert relay.receive() is None


def test_end_while_somebody_sends(start: Start) -> None:
    """A process that reads no more can be ended, also while a thread waits to write to it."""
    relay = start(DEAF)
    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(relay.send, FrameKind.BATCH, bytes(2**24))
        while not relay._sending.locked():
            time.sleep(0.001)
        assert pool.submit(relay.wait, 0.2).result(30) == -signal.SIGKILL
        with pytest.raises(WorkerGoneError):
            sending.result(30)


def test_nobody_reads(start: Start) -> None:
    """A process that takes nothing for long is as good as dead: its sender is told."""
    relay = start(DEAF, stuck_s=0.3)
    with pytest.raises(WorkerGoneError, match=r"read nothing for 0\.3 s"):
        relay.send(FrameKind.BATCH, bytes(2**24))
    assert relay.receive() is None
    assert relay.wait(10) == -signal.SIGKILL


def test_slow_readers_are_waited_for(start: Start) -> None:
    """A process that reads slowly but does read gets its frame, however long that takes."""
    program = (
        "import os, time\n"
        "left = 2**22 + 8\n"
        "while left:\n"
        "    time.sleep(0.05)\n"
        "    left -= len(os.read(0, 2**17))\n"
        f"os.write(1, {WHOLE!r})\n"
    )
    relay = start(program, stuck_s=0.5)
    relay.send(FrameKind.BATCH, bytes(2**22))
    assert relay.receive() == (FrameKind.READY, b"hello")


def test_complaints_go_to_the_log(start: Start, tmp_path: Path) -> None:
    """What a program says on standard error lies in the log; a program that is not there, too."""
    assert start("import sys; sys.exit('cannot load')").receive() is None
    assert "cannot load" in (tmp_path / "log").read_text()
    absent = Relay((str(tmp_path / "absent"),), tmp_path / "log")
    assert absent.receive() is None
    assert absent.wait(10) != 0
    absent.release()
    assert f"cannot start {tmp_path}/absent: No such file" in (tmp_path / "log").read_text()


def test_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted process gets nothing of the host's environment."""
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    program = "import os; from sys import stdout as out; names = ' '.join(sorted(os.environ)); "
    relay = start(
        program + "out.buffer.write(b'SF\\2\\0' + len(names).to_bytes(4) + names.encode())"
    )
    frame = relay.receive()
    assert frame is not None
    names = bytes(frame[1]).decode().split()
    assert names == [
        "GLIBC_TUNABLES", "LANG", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "PATH",
    ]  # fmt: skip


def test_a_signal_to_the_group(start: Start) -> None:
    """Ctrl-C at the host's terminal does not reach trusted processes: they end with their input."""
    relay = start(ECHO)
    assert os.getpgid(relay.pid) != os.getpgid(0)


def test_no_orphans(tmp_path: Path) -> None:
    """A host process that is killed takes its trusted process along."""
    program = (
        "import sys, time; from pathlib import Path; "
        "from sealflow.host.enclave.relay import Relay; "
        f"relay = Relay((sys.executable, '-c', {DEAF!r}), None); print(relay.pid, flush=True); "
        "time.sleep(600)"
    )
    with psutil.Popen((sys.executable, "-c", program), stdout=-1, text=True) as host:
        child = psutil.Process(int(host.stdout.readline()))
        host.kill()
        assert psutil.wait_procs([child], 20)[1] == []


def test_memory_is_bounded(start: Start) -> None:
    """A program that asks for more than it may have is told so, and lives."""
    relay = start(
        """
import resource, sys
try:
    bytearray(2**31)
except MemoryError:
    assert resource.getrlimit(resource.RLIMIT_DATA) == (2**29, 2**29)
    sys.stdout.buffer.write(b"SF" + bytes([11, 0, 0, 0, 0, 6]) + b"memory")
""",
        memory_bytes=2**29,
    )
    assert relay.receive() == (FrameKind.FATAL, b"memory")


def test_a_worker_without_memory_says_so() -> None:
    """Where a frame of its host does not fit, it ends with a word for it."""
    command = (sys.executable, "-I", "-B", "-m", "sealflow.trusted.worker")
    relay = Relay(command, None, memory_bytes=200 * 2**20)
    with pytest.raises(WorkerGoneError):
        relay.send(FrameKind.BOOT, bytes(240 * 2**20))
    assert relay.receive() == (FrameKind.FATAL, b"memory")
    relay.wait(10)
    relay.release()
