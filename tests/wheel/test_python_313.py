"""The newest Python that the wheel is tested with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hosts.python_environments import find_python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import MakeEnvironment

pytestmark = pytest.mark.e2e


def test_all(make: MakeEnvironment, place: Path) -> None:
    """On Python 3.13 the extra `all` serves a model and benchmarks it."""
    python = find_python("3.13")
    if python is None:
        pytest.skip("no python3.13 here")
    environment = make("all", python)
    environment.run("example", "tiny", "ex", cwd=place)
    with environment.up(place, "--model", "ex/model"):
        done = environment.run("bench", "-n", "50", "--tensor", "-m", "tiny", cwd=place)
    assert done.code == 0, done.err
    assert "Served 50 " in done.out
