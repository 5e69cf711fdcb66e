"""What README and guides tell people to run does run, as written, in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.cli.operator.up import up
from tests.support.cluster.local_cluster import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "guide" / "python-client.md"
DEFAULT_URL = "http://127.0.0.1:8470"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """The `sealflow` commands of a page."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [line for line in lines if line.startswith("sealflow ")]


class Reader:
    """Somebody who follows the README in a folder that has the examples."""

    def __init__(self, folder: Path) -> None:
        """Start the cluster, as the tour's first command does, at a free port."""
        self.folder = folder
        (folder / "examples").symlink_to(ROOT / "examples")
        start, *self.after = commands(README)
        assert start.startswith("sealflow up")
        self._cluster = subprocess.Popen(
            [*shlex.split(start), "--port", "0", "--json"],
            cwd=folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._cluster.stdout is not None
        self.url = json.loads(self._cluster.stdout.readline())["url"]

    def run(self, line: str) -> str:
        """Run a command in a shell; gives what it printed."""
        return self._finish(["sh", "-c", line])

    def python(self, program: str) -> str:
        """Run a program; gives what it printed."""
        return self._finish([sys.executable, "-c", program.replace(DEFAULT_URL, self.url)])

    def stop(self) -> int:
        """Press Ctrl-C; gives the exit code."""
        self._cluster.send_signal(signal.SIGINT)
        code = self._cluster.wait(60)
        assert self._cluster.stdout is not None
        self._cluster.stdout.close()
        return code

    def _finish(self, argv: list[str]) -> str:
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """One reader for all pages."""
    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    found = Reader(folder)
    found.run("sealflow model pack examples/tiny -o tiny.sealed")
    found.run("sealflow model publish tiny.sealed")
    yield found
    assert found.stop() == 0
    shutil.rmtree(folder)


def test_the_address_is_the_default() -> None:
    """Pages name the gateway where `sealflow up` starts it."""
    port = next(option.default for option in up.params if option.name == "port")
    assert DEFAULT_URL.endswith(f":{port}")
    for page in (README, GUIDE):
        assert set(re.findall(r"https?://127[^\"\s]*", page.read_text())) == {DEFAULT_URL}


def test_the_tour(reader: Reader) -> None:
    """Every command of the tour ends well, and shows what it is about."""
    shown = {}
    for line in reader.after:
        shown[line.split()[1]] = reader.run(line.replace("-n 1000", "-n 60"))
    assert shown.keys() == {"model", "verify", "infer", "bench", "status"}
    assert "tiger cat" in shown["infer"]
    assert "Served 60 images in" in shown["bench"]
    assert (reader.folder / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_python_of_the_readme(reader: Reader) -> None:
    """Its programs run."""
    assert reader.python("\n".join(blocks(README, "python"))).startswith("tiger cat")


def test_python_of_the_guide(reader: Reader) -> None:
    """Its programs run one after the other, as a reader would type them."""
    printed = reader.python("\n".join(blocks(GUIDE, "python")))
    for word in ("tiger cat", "espresso", "missile"):
        assert word in printed
