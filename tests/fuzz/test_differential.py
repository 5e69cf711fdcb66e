"""Python and JavaScript say the same of the same bytes; `make fuzz` compares them for longer."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.differential import BATCH, JavaScript, compare, inputs
from tests.fuzz.verdicts import TARGETS, tagged, verdict
from tests.support.clients.node import demand_node

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 20_000


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    """The client's parsers."""
    demand_node()
    with JavaScript() as running:
        yield running


def test_no_difference(javascript: JavaScript) -> None:
    """No vector and no changed vector is read differently, or ends in an error of another kind."""
    source = inputs(random.Random("sealflow"))  # noqa: S311 - must come again the same
    found = []
    for _ in range(RUNS // BATCH):
        batch = list(islice(source, BATCH))
        found += list(compare(batch, javascript))
    assert "\n".join(map(str, found)) == ""


def test_differences_are_seen(javascript: JavaScript) -> None:
    """The two are really asked: other bytes have other digests, and nonsense is refused."""
    texts = (b'{"a":1}', b'{"a":1.0}', b'{"a":-0}', b'{"a":true}', b'{"a":"1"}', b"{}", b"[]")
    said = javascript.verdicts(("numbers", each) for each in texts)
    assert said == [verdict("numbers", each) for each in texts]
    assert len(set(said)) == len(texts)
    for target in TARGETS:
        assert javascript.verdicts([(target, b"")]) == ["refused"]


def test_tags() -> None:
    """Values of different types and places have different bytes."""
    values: tuple[object, ...] = (
        None,
        True,
        1,
        1.0,
        "1",
        b"1",
        [1],
        [[1]],
        {"1": 1},
        [1, 1],
        "",
        b"",
        [],
        {},
    )
    assert len(set(map(tagged, values))) == len(values)
    with pytest.raises(TypeError):
        tagged(object())
