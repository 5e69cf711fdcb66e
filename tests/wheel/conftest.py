"""The wheel, built once, and an environment for each of its extras."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.hosts.python_environments import ROOT, Uv, build_distributions, read_pins
from tools.setup.pythons import find_flink_python, flink_note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hosts.python_environments import Environment, MakeEnvironment

DOWNLOADS_S: Final = 900
"""For the first run on a machine, which fills uv's cache."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this folder the time that a download takes."""
    for item in items:
        if "tests/wheel" in item.nodeid:
            item.add_marker(pytest.mark.timeout(DOWNLOADS_S))


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source archive, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build_distributions(ROOT, folder, "wheel", "sdist")
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def make(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeEnvironment]:
    """Make an environment with an extra, or without one for "", once."""
    uv = Uv()
    made: dict[tuple[str, str], Environment] = {}

    def of(extra: str, python: str = sys.executable) -> Environment:
        if (extra, python) not in made:
            folder = tmp_path_factory.mktemp(extra or "base") / "env"
            what = (
                f"sealflow[{extra}] @ {wheel.as_uri()}" if extra else f"sealflow @ {wheel.as_uri()}"
            )
            listed = read_pins("flink.txt" if extra == "flink" else "constraints.txt")
            made[extra, python] = uv.make(folder, python, what, listed)
        return made[extra, python]

    yield of
    # Otherwise the cache keeps the wheel of every run.
    uv("cache", "clean", "sealflow")


@pytest.fixture(scope="session")
def python_of_flink() -> str:
    """A Python for which Apache Flink 2.3 has wheels."""
    found = find_flink_python()
    if found is None:
        pytest.skip(flink_note())
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A working directory outside of the checkout, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
