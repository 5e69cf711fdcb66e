"""Requests by id through a client of the queue, and what must come of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from sealflow.owner import InferResult
from tests.support.cluster.gateway_clients import ROW

if TYPE_CHECKING:
    from sealflow.errors import SealflowError
    from sealflow.owner import QueueClient


def ask(client: QueueClient, *names: str, timeout_s: float = 20.0) -> None:
    """Queue a request by each id; it carries the id's number."""
    items = {name: {"x": ROW * (1 + len(name))} for name in names}
    client.enqueue_many("m", items, timeout_s=timeout_s)


def outcomes(client: QueueClient) -> dict[str, InferResult | SealflowError]:
    """Take all outcomes."""
    found: dict[str, InferResult | SealflowError] = {}
    until = time.monotonic() + 30
    while client:
        assert time.monotonic() < until
        found |= client.dequeue(timeout_s=5)
    return found | client.dequeue()


def check(name: str, outcome: Any) -> None:
    """The outcome is the right one for an id."""
    assert isinstance(outcome, InferResult), outcome
    np.testing.assert_array_equal(outcome.outputs["y"], -ROW * (1 + len(name)))
