"""Programs that are kept up: restarted, given up, ended in bounded time, never orphaned."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from sealflow.errors import ConfigError
from sealflow.host.service import MAX_FAILURES
from sealflow.local.supervisor import ProcessSpec, Supervisor, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEP = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture
def cluster() -> Iterator[Supervisor]:
    """A cluster that ends with the test."""
    made = Supervisor()
    yield made
    for name in made.names():
        made.stop_process(name, within_s=0)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., ProcessSpec]:
    """Make programs of a few lines."""

    def make(text: str, name: str = "one") -> ProcessSpec:
        return ProcessSpec(
            name=name, argv=(sys.executable, "-c", text), log=tmp_path / f"{name}.log"
        )

    return make


def supervised(cluster: Supervisor, wanted: Callable[[list[str]], bool]) -> None:
    """Supervise until what was restarted is as wanted."""
    until = time.monotonic() + 30
    while not wanted(cluster.supervise()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_restarted(cluster: Supervisor, program: Callable[..., ProcessSpec]) -> None:
    """A program that is killed is started again under its name; the others stay."""
    cluster.start_process(program(SLEEP))
    cluster.start_process(program(SLEEP, "two"))
    before = {name: cluster.pid(name) for name in cluster.names()}
    assert cluster.supervise() == []
    psutil.Process(before["one"]).kill()
    supervised(cluster, lambda restarted: restarted == ["one"])
    assert cluster.pid("one") != before["one"]
    assert cluster.pid("two") == before["two"]


def test_given_up(cluster: Supervisor, program: Callable[..., ProcessSpec], tmp_path: Path) -> None:
    """A program that ends with an error each time is given up: its last words, and its log."""
    cluster.start_process(
        program("print('trying', flush=True); raise SystemExit('no such setting: cow')")
    )
    said = (
        rf"one exits with code 1 again and again: no such setting: cow \(see {tmp_path}/one.log\)"
    )
    with pytest.raises(ConfigError, match=said):
        supervised(cluster, lambda _: False)
    assert (tmp_path / "one.log").read_text().count("trying") == MAX_FAILURES


def test_a_program_that_is_not_there(cluster: Supervisor, tmp_path: Path) -> None:
    """What cannot be run is said by name."""
    absent = tmp_path / "absent"
    cluster.start_process(ProcessSpec(name="one", argv=(str(absent),), log=tmp_path / "log"))
    with pytest.raises(ConfigError, match=f"cannot start {absent}: No such file"):
        supervised(cluster, lambda _: False)


def test_ended_by_force(
    cluster: Supervisor, program: Callable[..., ProcessSpec], tmp_path: Path
) -> None:
    """A program that does not heed SIGTERM is killed when its time is over."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    cluster.start_process(program(deaf + SLEEP))
    while "up" not in last_line(tmp_path / "one.log"):
        time.sleep(0.01)
    process = psutil.Process(cluster.pid("one"))
    cluster.stop_process("one", within_s=0.2)
    assert not process.is_running()
    assert cluster.names() == []
    cluster.stop_process("one", within_s=0.2)


def test_last_words(tmp_path: Path) -> None:
    """The last line of a log that says something; none of a log that is not there."""
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"first\nlast \xff words\n\n  \n")
    assert last_line(log) == "last � words"
    log.write_text("x" * 5000)
    assert len(last_line(log)) == 1000
