"""The budget of held bytes: who waits, who ends, who passes."""

from __future__ import annotations

import asyncio

import pytest

from sealflow.host.gateway.limits.held_bytes import SMALL_BYTES, CrowdedError, HeldBytes

LIMIT = 2**20


def test_counts() -> None:
    """All bytes are counted once, and none are left."""
    budget = HeldBytes(LIMIT, 1.0)
    one, other = budget.holding("a"), budget.holding("b")
    one.add(5)
    other.add(7)
    one.drop(2)
    assert budget.total == 10
    one.drop(100)
    assert budget.total == 7
    other.close()
    other.close()
    assert budget.total == 0


def test_overflow() -> None:
    """Above the limit only small bodies may still arrive, up to the reserve."""
    budget = HeldBytes(LIMIT, 1.0)
    large, small = budget.holding("a"), budget.holding("b")
    large.add(LIMIT)
    assert not budget.overflows(large, LIMIT // 8)
    assert budget.overflows(large, LIMIT // 8 + 1)
    assert not budget.overflows(small, SMALL_BYTES)
    large.add(LIMIT // 4)
    assert budget.overflows(small, 1)


async def test_the_largest_ends() -> None:
    """Of those that wait for room the largest ends; the other goes on."""
    budget = HeldBytes(LIMIT, 1.0)
    large, smaller = budget.holding("a"), budget.holding("a")
    large.add(LIMIT)
    smaller.add(2 * SMALL_BYTES)
    waiting = asyncio.create_task(smaller.room())
    with pytest.raises(CrowdedError):
        await asyncio.wait_for(large.room(), 30)
    large.close()
    await asyncio.wait_for(waiting, 30)


async def test_one_that_does_not_wait_ends() -> None:
    """A body that stands still with most of the bytes ends, so that others go on."""
    budget = HeldBytes(LIMIT, 1.0)
    still, other = budget.holding("a"), budget.holding("b")
    still.add(LIMIT)
    still.end = still.close
    other.add(2 * SMALL_BYTES)
    await asyncio.wait_for(other.room(), 30)
    assert still.bytes == 0


async def test_shares() -> None:
    """A peer over its share waits, while another one goes on."""
    budget = HeldBytes(LIMIT, 0.5)
    greedy, other = budget.holding("a"), budget.holding("b")
    greedy.add(LIMIT // 2 + 1)
    other.add(LIMIT // 4)
    await other.room()
    with pytest.raises(CrowdedError):
        await asyncio.wait_for(greedy.room(), 30)
