"""One cluster for all tests that leave it as they found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.local_cluster import LITE0, TINY, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "tests/e2e" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with the two example models."""
    with LocalCluster(TINY, LITE0) as running:
        yield running


@pytest.fixture(scope="session")
def policy(cluster: LocalCluster) -> Path:
    """The policy of its clients."""
    return cluster.policy
