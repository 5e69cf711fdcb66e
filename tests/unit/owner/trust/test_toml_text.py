"""TOML that we write says what was meant."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.owner.trust.toml_text import table_lines

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.lists(texts))
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
tables = st.recursive(
    st.dictionaries(st.from_regex(r"[a-z_-]{1,8}", fullmatch=True), values, max_size=4),
    lambda inner: st.dictionaries(
        st.from_regex(r"[a-z_-]{1,8}", fullmatch=True), st.one_of(values, inner), max_size=4
    ),
    max_leaves=8,
)


def read(table: dict[str, object]) -> dict[str, object]:
    """What a parser finds in what was written."""
    return tomllib.loads("\n".join(table_lines(table)))


@given(tables)
def test_tables_come_back(table: dict[str, object]) -> None:
    """Tables within tables, with all values that policies and settings have."""
    assert read(table) == table


@given(names, values)
def test_any_name_of_a_value(name: str, value: object) -> None:
    """A name that is no bare key is quoted."""
    assert read({name: value}) == {name: value}


@pytest.mark.parametrize("text", ["\U0001f680", "\x7f", "\u2028", '"', "\\", "\n", "\x00"])
def test_characters_that_json_writes_otherwise(text: str) -> None:
    """Those beyond the basic plane, and DEL, are written as TOML wants them."""
    assert read({"path": text}) == {"path": text}
