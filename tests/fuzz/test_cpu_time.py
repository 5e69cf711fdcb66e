"""A short run of the search for inputs that take long; `make fuzz` searches for longer."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.cpu_time import KINDS, search


@pytest.mark.parametrize("name", KINDS)
def test_short_search(name: str) -> None:
    """Whatever is tried ends in a result or an error of ours, and what took longest is named."""
    kind = KINDS[name]
    _, genes = search(kind, random.Random(name), 3)  # noqa: S311 - must come again the same
    assert genes.keys() == kind.genes.keys()
