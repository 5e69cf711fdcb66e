"""Which owners are served, and by how many processes."""

from __future__ import annotations

import pytest

from sealflow.host.engine.owner_plan import ServedOwners, share_workers


@pytest.mark.parametrize(
    ("owners", "workers", "shares"),
    [
        ([], 4, {None: 4}),
        (["a"], 4, {"a": 4}),
        (["a", "b", "c"], 4, {"a": 2, "b": 1, "c": 1}),
        (["a", "b"], 1, {"a": 1, "b": 1}),
    ],
)
def test_shares(owners: list[str], workers: int, shares: dict[str | None, int]) -> None:
    """Each owner has a process; more are shared out equally."""
    assert share_workers(owners, workers) == shares


def test_all_owners_that_fit() -> None:
    """They are served in the order in which they came; one without models goes."""
    served = ServedOwners(3)
    assert served.update(["a", "b"], [], [], 0) == ["a", "b"]
    assert served.update(["b", "c"], [], [], 1) == ["b", "c"]
    assert served.update([], [], [], 2) == ["b", "c"]


def test_the_owner_that_was_idle_longest_gives_way() -> None:
    """But only to one with requests, and never while it has some."""
    served = ServedOwners(2)
    published = ["a", "b", "c"]
    assert served.update(published, [], [], 0) == ["a", "b"]
    assert served.update(published, [], ["a"], 1) == ["a", "b"]
    assert served.update(published, ["c"], ["a", "b"], 2) == ["a", "b"]
    assert served.update(published, ["c"], ["b"], 3) == ["b", "c"]
    assert served.update(published, ["a"], [], 4) == ["c", "a"]
