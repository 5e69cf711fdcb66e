"""JSON that a hostile peer cannot bend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import MalformedError
from sealflow.streams.keys import Keyspace
from sealflow.wire.ids import ModelRef, parse_key_id, parse_name
from sealflow.wire.strict_json import (
    canonical_json,
    parse_object,
    parse_object_with_floats,
    require_keys,
)

values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_we_write_we_read(value: dict[str, object]) -> None:
    """Canonical JSON is strict JSON."""
    assert parse_object(canonical_json(value), "value") == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{} ",
        b"{}{}",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e400}',
        b'{"a":1.0}',
        b'{"a":111111111111111111111}',
        b'{"a":"\xff"}',
        b"1",
        b"[" * 5000,
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_bends_the_rules_is_refused(text: bytes) -> None:
    """Each rule of the spec has its case."""
    if text != b"{} ":
        with pytest.raises(MalformedError):
            parse_object(text, "value")
    else:
        with pytest.raises(MalformedError):
            parse_object(text + b"x", "value")


def test_floats_are_read_only_where_asked_for() -> None:
    """Finite fractions pass, infinities never do."""
    assert parse_object_with_floats(b'{"a":1.5}', "value") == {"a": 1.5}
    with pytest.raises(MalformedError):
        parse_object_with_floats(b'{"a":1e999}', "value")


def test_missing_and_unknown_keys_are_named() -> None:
    """The error says which key is wrong."""
    with pytest.raises(MalformedError, match="missing b, unknown 'c'"):
        require_keys({"a": 1, "c": 2}, ("a", "b"), "value")
    require_keys({"a": 1, "c": 2}, ("a",), "value", optional=("c",))


def test_names_are_names() -> None:
    """Ids and names are matched whole."""
    assert str(ModelRef(name="lite0", version="1.2")) == "lite0:1.2"
    assert parse_key_id("sim-" + "0" * 64).startswith("sim-")
    for bad in ("", "-a", "a" * 65, "a b", "a\n", None, "}:x"):
        with pytest.raises(MalformedError):
            parse_name(bad)


def test_all_keys_of_a_deployment_share_a_hash_tag() -> None:
    """A Redis Cluster keeps them in one slot, and a deployment's name cannot break out."""
    keys = Keyspace(deployment="demo")
    names = [
        keys.requests,
        keys.control,
        keys.directory,
        keys.inbox("a1"),
        keys.status("engine", "x"),
        keys.status_pattern,
        keys.dead_letters(keys.requests),
    ]
    assert all(name.startswith("{sealflow:demo}:") for name in names)
    assert len(set(names)) == len(names)
    with pytest.raises(MalformedError):
        Keyspace(deployment="a}b")
