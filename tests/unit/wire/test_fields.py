"""Reading the fields of a peer's object."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields, json_object
from sealflow.wire.ids import parse_name

if TYPE_CHECKING:
    from collections.abc import Callable


class Colour(enum.StrEnum):
    """A closed list."""

    RED = "red"
    BLUE = "blue"


def one(value: object) -> Fields:
    """Return the reader of an object with one field."""
    return Fields({"field": value}, "letter", ("field",))


def none() -> Fields:
    """Return the reader of an object whose one field is absent."""
    return Fields({}, "letter", (), ("field",))


@pytest.mark.parametrize(
    ("read", "good", "bad", "words"),
    [
        (lambda f: f.text("field"), ("", "a"), (1, None, b"a"), "is not a string"),
        (lambda f: f.texts("field"), ([], ["a"]), ("a", [1], ["a"] * 257), "at most 256 strings"),
        (lambda f: f.flag("field"), (True, False), (0, 1, None, "true"), "neither true nor false"),
        (lambda f: f.integer("field", most=9), (0, 9), (-1, 10, True, 1.0, "1"), "0 to 9"),
        (lambda f: f.integer("field"), (2**53 - 1,), (2**53, -1, None), "is not an integer"),
        (lambda f: f.time_ms("field"), (0, 2**53 - 1), (2**53, -1, 0.5, True, "0"), "not a time"),
        (lambda f: f.digest("field"), ("ab" * 32,), ("AB" * 32, "ab", None), "field: digest"),
        (lambda f: f.word("field", Colour), ("red",), ("green", 1, None, []), "one of red, blue"),
        (lambda f: f.base64("field", 2), ("", "AAA="), ("AAAA", "A", 1, "AAAAAAAA"), "field: "),
        (lambda f: f.list_of("field", parse_name, 1), ([], ["a"]), (["a", "b"], "a"), "at most 1"),
        (lambda f: f.list_of("field", parse_name, 1), (["a"],), ([1],), "field: name"),
        (lambda f: f.read("field", json_object), ({}, {"a": 1}), ([], None), "field: not a JSON"),
        (lambda f: f.read_optional("field", parse_name), (None, "a"), ("-",), "field: name"),
        (lambda f: f.words("field", Colour), ([], ["red"]), (["green"],), "not one of red, blue"),
        (lambda f: f.nested("field", ("a",)), ({"a": 1},), ({}, {"b": 1}, []), "letter.field: "),
    ],
)
def test_fields(
    read: Callable[[Fields], object],
    good: tuple[object, ...],
    bad: tuple[object, ...],
    words: str,
) -> None:
    """Each kind of field has its bounds, and the error names document and field."""
    for value in good:
        read(one(value))
    for value in bad:
        with pytest.raises(MalformedError, match=words) as caught:
            read(one(value))
        assert str(caught.value).startswith(("letter: field", "letter.field"))


def test_absent_fields() -> None:
    """What may be absent has a default."""
    fields = none()
    assert "field" not in fields
    assert "field" in one(None)
    assert fields.get("field", 5) == 5
    assert (fields.texts("field"), fields.flag("field")) == ([], False)
    assert fields.integer("field", default=3) == 3
    assert fields.word("field", Colour, Colour.BLUE) is Colour.BLUE
    assert fields.words("field", Colour) == frozenset()
    assert fields.read_optional("field", parse_name) is None
    assert fields.nested("field", (), ("a",)).get("a") is None


def test_the_object_itself() -> None:
    """Anything but an object, a missing and an unknown field are refused."""
    with pytest.raises(MalformedError, match="letter: not a table or JSON object"):
        Fields(None, "letter", ())
    with pytest.raises(MalformedError, match="letter: missing b, unknown 'a'"):
        Fields.from_bytes(b'{"a":1}', "letter", ("b",))
