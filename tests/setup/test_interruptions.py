"""A set-up that was stopped is completed by the next one, and no two run at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.setup.checkout import Checkout, installed
from tests.setup.loopback import Index, index

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.setup.stages import Stages

LISTED = {"lx-alpha": "1.0", "lx-beta": "1.0"}
STEP = ".venv-audit: pip-audit … "
WAITING = "another set-up of this checkout is running: waiting for it\n"


@contextmanager
def half_way(
    stages: Stages, checkout: Checkout, stage: str
) -> Iterator[tuple[Index, subprocess.Popen[str]]]:
    """Start a set-up and yield when half of a file has arrived, and the rest waits."""
    (path,) = stages.wheels.glob("uv-*" if stage == "pip" else "lx_alpha-*")
    with (
        index(stages.wheels, held={path.name: threading.Event()}) as served,
        checkout.start("audit", PIP_INDEX_URL=served.address) as process,
    ):
        try:
            assert served.half_sent.wait(100)
            yield served, process
        finally:
            process.kill()


def release(served: Index) -> None:
    """Send the rest."""
    for event in served.held.values():
        event.set()


def is_running(group: int) -> bool:
    """Say whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("stage", "stop"),
    [("pip", signal.SIGINT), ("uv", signal.SIGINT), ("uv", signal.SIGTERM), ("uv", signal.SIGHUP)],
)
def test_stopped(stage: str, stop: signal.Signals, stages: Stages) -> None:
    """A set-up that is told to stop says how to go on, and leaves no installer behind."""
    checkout = stages.new(stage)
    with half_way(stages, checkout, stage) as (served, process):
        process.send_signal(stop)
        printed, told = process.communicate()
        assert process.returncode != 0
        assert not is_running(process.pid)
        assert printed == f"{STEP}\n"
        assert told == "interrupted: run the same command again; it goes on where it stopped\n"
        release(served)
        done = checkout.run("audit", PIP_INDEX_URL=served.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert installed(checkout.root / ".venv-audit") == LISTED


@pytest.mark.parametrize("stage", ["pip", "uv"])
def test_killed(stage: str, stages: Stages) -> None:
    """After a kill the next one waits for the installer that is left, and completes."""
    checkout = stages.new(stage)
    with half_way(stages, checkout, stage) as (served, process):
        process.kill()
        process.wait()
        assert is_running(process.pid)
        with checkout.start("audit", PIP_INDEX_URL=served.address) as second:
            assert second.stdout
            assert second.stdout.readline() == WAITING
            release(served)
            printed, told = second.communicate()
    assert (second.returncode, told) == (0, "")
    assert printed.startswith(STEP)
    assert installed(checkout.root / ".venv-audit") == LISTED


def test_two_at_once(stages: Stages) -> None:
    """Of two set-ups the second one waits, and finds everything done."""
    checkout = stages.new("uv")
    with (
        half_way(stages, checkout, "uv") as (served, first),
        checkout.start("audit", PIP_INDEX_URL=served.address) as second,
    ):
        assert second.stdout
        assert second.stdout.readline() == WAITING
        release(served)
        assert first.communicate()[1] == ""
        assert second.communicate() == ("", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert installed(checkout.root / ".venv-audit") == LISTED


def test_what_was_fetched_is_kept(stages: Stages) -> None:
    """An environment that is made anew takes from uv's cache what was fetched before."""
    checkout = stages.new("uv")
    with index(stages.wheels) as served:
        checkout.run("audit", PIP_INDEX_URL=served.address)
        served.asked.clear()
        (checkout.root / ".venv-audit" / ".complete").unlink()
        done = checkout.run("audit", PIP_INDEX_URL=served.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert served.asked == []
