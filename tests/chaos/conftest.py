"""One cluster an engine, and the table that all tests write into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.slow_model import write_slow_model
from tests.chaos.table import Row, write
from tests.support.cluster.flink import installed_flink
from tests.support.cluster.local_cluster import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINES = {"local": (), "flink": ("--engine", "flink")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "tests/chaos" in item.nodeid:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that all of them serve."""
    return write_slow_model(tmp_path_factory.mktemp("models") / "slow")


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a cluster runs; tests name it, as each has faults of its own."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def cluster(engine: str, model: Path) -> Iterator[LocalCluster]:
    """A cluster of two workers, which the tests of a module break and mend."""
    if engine == "flink":
        installed_flink()
    options = ("--workers", "2", "--queue-capacity", "5000", *ENGINES[engine])
    with LocalCluster(model, options=options) as running:
        yield running


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """The rows of this run's table."""
    found: list[Row] = []
    yield found
    write(found)
