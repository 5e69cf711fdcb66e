"""The chart, rendered once for each set of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.chart.rendering import COMBINATIONS, Object, render

if TYPE_CHECKING:
    from collections.abc import Callable

Rendered = list[Object]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Rendered]:
    """Give the objects of a combination by its name."""
    known: dict[str, Rendered] = {}

    def get(name: str) -> Rendered:
        if name not in known:
            known[name] = render(COMBINATIONS[name], tmp_path_factory.mktemp("helm"))
        return known[name]

    return get


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a combination on each of them."""
    if "combination" in metafunc.fixturenames:
        metafunc.parametrize("combination", COMBINATIONS)
