"""Names of keys in the broker: all of a deployment in one slot, none of another's."""

from __future__ import annotations

import pytest

from sealflow.errors import MalformedError
from sealflow.streams.keys import Keyspace


def test_all_keys_share_the_tag() -> None:
    """A Redis Cluster keeps a deployment's keys together, and each has a name of its own."""
    keys = Keyspace(deployment="one")
    names = [
        keys.requests,
        keys.control,
        keys.directory,
        keys.dead_letters(keys.requests),
        keys.inbox("gateway-1"),
        keys.status("engine", "1"),
        keys.log,
        keys.keybroker_leader,
        keys.keybroker_state,
        keys.keybroker_keys,
    ]
    assert all(name.startswith("{sealflow:one}:") for name in names)
    assert len(set(names)) == len(names)
    assert keys.status_pattern.removesuffix("*") in keys.status("engine", "1")


@pytest.mark.parametrize("name", ["", "a}b", "a:{b", "x" * 1000, "a b", "*"])
def test_names_that_break_out(name: str) -> None:
    """No deployment or inbox can be named into another's keys."""
    with pytest.raises(MalformedError):
        Keyspace(deployment=name)
    with pytest.raises(MalformedError):
        Keyspace(deployment="one").inbox(name)
