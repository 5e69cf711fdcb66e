"""Objects of open formats: unknown fields are ignored unless they are critical."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.errors import MalformedError, NewerFormatError
from sealflow.wire.fields import Fields, OpenFields, evidence_error

BASE: dict[str, Any] = {"format": 1, "name": "a"}


def read(value: dict[str, Any]) -> OpenFields:
    """Read a versioned object with one base field and one extension that is known."""
    return OpenFields(value, "thing", ("name",), ("known",), versioned=True)


@pytest.mark.parametrize(
    "extension",
    [
        {},
        {"more": 1},
        {"more": {"critical": ["x"]}},
        {"known": 1},
        {"known": 1, "critical": ["known"]},
    ],
)
def test_extensions_that_pass(extension: dict[str, Any]) -> None:
    """What may be ignored is ignored, and a critical field that is known is no obstacle."""
    assert read(BASE | extension).text("name") == "a"


@pytest.mark.parametrize("field", ["more", "constructor", "__proto__"])
def test_critical_fields(field: str) -> None:
    """A field that must be known refuses the object, with its own code."""
    with pytest.raises(NewerFormatError, match=field) as caught:
        read(BASE | {field: 1, "known": 1, "critical": ["known", field]})
    assert caught.value.code == "critical"


@pytest.mark.parametrize(
    "critical",
    [None, "more", [], [1], ["absent"], ["name"], ["format"], ["critical"], ["more", "more"]],
)
def test_malformed_critical(critical: object) -> None:
    """It names different fields that are present and no base fields."""
    with pytest.raises(MalformedError, match="critical is not a list") as caught:
        read(BASE | {"more": 1, "critical": critical})
    assert caught.value.code == "malformed"


def test_too_many_critical_fields() -> None:
    """At most 16."""
    more = {f"x{n}": n for n in range(17)}
    with pytest.raises(MalformedError, match="critical is not a list"):
        read(BASE | more | {"critical": list(more)})


@pytest.mark.parametrize("reader", [Fields, OpenFields])
def test_formats(reader: type[Fields]) -> None:
    """Another format is refused before anything else is looked at."""
    for number in (0, 2, 2**62):
        with pytest.raises(NewerFormatError, match="thing: format") as caught:
            reader({"format": number, "else": 1}, "thing", ("name",), versioned=True)
        assert caught.value.code == "format"
    for malformed in ({}, {"format": None}, {"format": "1"}, {"format": True}):
        with pytest.raises(MalformedError, match="format") as refused:
            reader({"name": "a", **malformed}, "thing", ("name",), versioned=True)
        assert refused.value.code == "malformed"


def test_closed_objects() -> None:
    """Closed formats know no extension."""
    for more in ({"more": 1}, {"critical": ["more"], "more": 1}):
        with pytest.raises(MalformedError, match="unknown"):
            Fields(BASE | more, "thing", ("name",), versioned=True)


def test_evidence_errors() -> None:
    """The code of a newer format takes precedence over that of the document."""
    newer = NewerFormatError("format", "log entry: format 2 is not 1")
    assert evidence_error("log_chain", newer).code == "format"
    assert evidence_error("log_chain", MalformedError("x")).code == "log_chain"
