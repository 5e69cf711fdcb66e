"""`sealflow up`: what keeps it from starting, and how it ends, whenever it is told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.cluster.engines import await_ended
from tests.support.cluster.local_cluster import TINY, sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose paths are short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def up(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a cluster, without waiting for anything."""
    port = () if "--port" in arguments else ("--port", "0")
    return subprocess.Popen(
        sealflow("up", "--home", str(home), "--workers", "1", *port, *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def children(process: subprocess.Popen[str]) -> list[int]:
    """Every process that was started by it, directly or not."""
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--time", "epoch_s"), "--time epoch_s: write NAME=SECONDS, where NAME is one of "),
        (("--time", "cow_s=5"), "--time cow_s=5"),
        (("--time", "epoch_s=0"), "epoch_s"),
        (("--deployment", "a b"), "--deployment: 'a b' is not a valid name"),
        (("--model", "{home}"), "model.toml"),
        (("--broker-url", "http://x"), "broker URL: write it as"),
        (("--engine", "flink", "--flink-venv", "{home}"), "run `make flink`"),
        (("--enclaves", "{home}"), "set enclaves_dir to a Python environment"),
        (("--tls-certificate", "{home}/bad.pem", "--tls-key", "{home}/bad.pem"), "bad.pem"),
    ],
)
def test_what_cannot_start(home: Path, arguments: tuple[str, ...], says: str) -> None:
    """A cluster that cannot start says why in one line, exits with 2, and leaves nothing behind."""
    (home / "bad.pem").write_text("nonsense")
    process = up(home, *(word.format(home=home) for word in arguments))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert out == ""
    [reason] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert says in reason
    assert "Traceback" not in err
    assert not (home / "cluster.json").exists()
    assert not [each for each in psutil.process_iter(["cmdline"]) if _of(each, home)]


def _of(process: psutil.Process, home: Path) -> bool:
    return any(str(home) in word for word in process.info["cmdline"] or ())


def test_port_that_is_taken(home: Path) -> None:
    """A port that somebody has is said before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = up(home, "--port", str(port))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in err
    assert "use another --port" in err
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_it_starts(home: Path, number: int) -> None:
    """Ctrl-C before it is ready ends what was started already."""
    process = up(home, "--model", str(TINY))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("processes"):
            break
    started = children(process)
    assert started
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping: requests in flight are answered first" in err
    await_ended(started)
    assert not (home / "cluster.json").exists()


def test_interrupted_again_and_again(home: Path) -> None:
    """Ready is one document; an impatient Ctrl-C, or two, end all of it in good order."""
    process = up(home, "--model", str(TINY), "--json")
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert facts["pid"] == process.pid
    assert facts["models"] == "tiny:1"
    started = children(process)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        time.sleep(0.05)
        if process.poll() is None:
            os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert "Traceback" not in err
    await_ended(started)
    assert not (home / "cluster.json").exists()


def test_shown_to_people(home: Path) -> None:
    """People read where all is, that nothing is protected, and what to do next."""
    process = up(home)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    shown = "".join(lines)
    assert "SIMULATED" in shown
    assert "http://127.0.0.1:" in shown
    assert "sealflow verify" in shown
    assert "none: sealflow model publish" in " ".join(shown.split())
    assert "\x1b" not in shown


def test_a_home_of_last_year(home: Path) -> None:
    """A home whose simulated platform has grown old gets a new one, and serves again."""
    for _ in range(2):
        process = up(home, "--model", str(TINY), "--json")
        assert process.stdout is not None
        assert process.stdout.readline(), process.communicate()[1]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        old = time.time() - 331 * 86_400
        os.utime(home / "simulated-platform.json", (old, old))
    assert {path.name for path in home.glob("*.former")} == {"broker.former", "keybroker.former"}
