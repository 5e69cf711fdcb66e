"""A real engine whose workers the test plays: when the engine ends, and that it can."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.gateway import ScriptedEngine
from tests.support.cluster.scripted_worker import ANSWERING, KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.owner.queue.transport import StreamTransport
    from tests.support.cluster.scripted_worker import StartEngine
    from tests.support.queue.server import QueueServer


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("not_approved", "policy does not accept their code"),
        ("deployment", "deployment_file is damaged"),
    ],
)
def test_hopeless(start: StartEngine, reason: str, says: str) -> None:
    """An engine whose workers can never serve exits with the reason instead of trying on."""
    engine = start(f"send(FrameKind.FATAL, b'{reason}')")
    assert engine.process.wait(60) == 1
    assert says in engine.log.splitlines()[-1]
    assert engine.log.splitlines()[-1].startswith("error: ")


def test_the_end_is_bounded(start: StartEngine, owner: StreamTransport, queue: QueueServer) -> None:
    """Workers that neither answer nor read cannot keep an engine from ending; nothing is lost."""
    engine = start("ready()\ntime.sleep(600)", drain_s=0.3)
    engine.await_log("worker ready")
    owner.submit([(str(number), bytes(2**20)) for number in range(8)], capacity=9)
    played = ScriptedEngine(queue)
    until = time.monotonic() + 20
    while played.streams.depth(KEYS.requests).in_work == 0:
        assert time.monotonic() < until
    assert engine.stop() == 0
    left = played.streams.depth(KEYS.requests)
    assert left.waiting + left.in_work == 8
    played.close()


def test_no_environment_to_run(start: StartEngine, tmp_path: Path) -> None:
    """A folder without what is to run ends the engine, with what to set."""
    engine = start(ANSWERING, enclaves_dir=str(tmp_path))
    assert engine.process.wait(60) == 1
    assert "set enclaves_dir to a Python environment" in engine.log
