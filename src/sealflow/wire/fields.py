"""Core, pure: typed readers for the fields of untrusted JSON objects and TOML tables.

`Fields` refuses unknown fields, `OpenFields` ignores them. Spec: versions.md.
"""

from __future__ import annotations

import enum
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sealflow.errors import EvidenceError, MalformedError, NewerFormatError
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FORMAT: Final = 1
"""The format of all versioned documents that this release writes and reads."""
MAX_TIME_MS: Final = 2**53 - 1
_MAX_INTEGER: Final = 2**53 - 1
_MAX_TEXTS: Final = 256
_MAX_CRITICAL: Final = 16
_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=enum.Enum)


class Fields:
    """A reader for the fields of one untrusted object of a closed format.

    Every method raises MalformedError for a field that does not match.
    """

    __slots__ = ("_value", "_what")

    def __init__(
        self,
        value: object,
        what: str,
        required: Collection[str],
        optional: Collection[str] = (),
        *,
        versioned: bool = False,
        number: int = FORMAT,
    ) -> None:
        """Check that `value` has all fields of `required`, and no others but those of `optional`.

        `what`: the name of the document, which begins every error message. `versioned`: whether
        the object also has the field `format`, which must be `number`.

        Raises: MalformedError; NewerFormatError for another format.
        """
        if not isinstance(value, dict):
            raise MalformedError(f"{what}: not a table or JSON object")
        if versioned:
            _check_format(value, what, expected=number)
            required = ("format", *required)
        self._check_keys(value, what, required, optional)
        self._value: dict[str, object] = value
        self._what = what

    @staticmethod
    def _check_keys(
        value: dict[str, object], what: str, required: Collection[str], optional: Collection[str]
    ) -> None:
        require_keys(value, required, what, optional)

    @classmethod
    def from_bytes(
        cls,
        text: bytes | memoryview,
        what: str,
        required: Collection[str],
        optional: Collection[str] = (),
        *,
        versioned: bool = False,
        number: int = FORMAT,
    ) -> Self:
        """Return a reader for an object in strict JSON without fractions."""
        value = parse_object(text, what)
        return cls(value, what, required, optional, versioned=versioned, number=number)

    def malformed(self, name: str, problem: str) -> MalformedError:
        """Return an error that names the document and the field."""
        return MalformedError(f"{self._what}: {name} {problem}")

    def __contains__(self, name: str) -> bool:
        """Return whether the object has a field."""
        return name in self._value

    def get(self, name: str, default: object = None) -> object:
        """Return the unchecked value of a field, or `default` if it is absent."""
        return self._value.get(name, default)

    def read(self, name: str, parse: Callable[[object], _T]) -> _T:
        """Return the result of `parse` on a field."""
        return self._parsed(name, parse, self._value[name])

    def read_optional(self, name: str, parse: Callable[[object], _T]) -> _T | None:
        """Return the result of `parse` on a field, or None if it is null or absent."""
        return None if self._value.get(name) is None else self.read(name, parse)

    def text(self, name: str) -> str:
        """Return a string."""
        value = self._value[name]
        if not isinstance(value, str):
            raise self.malformed(name, "is not a string")
        return value

    def texts(self, name: str, most: int = _MAX_TEXTS) -> list[str]:
        """Return a list of at most `most` strings; empty if absent."""
        value = self._value.get(name, [])
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(each, str) for each in value)
        ):
            raise self.malformed(name, f"is not a list of at most {most} strings")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; false if absent."""
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise self.malformed(name, "is neither true nor false")
        return value

    def integer(
        self, name: str, *, least: int = 0, most: int = _MAX_INTEGER, default: int | None = None
    ) -> int:
        """Return an integer of `least` to `most`."""
        value = self._value.get(name, default)
        if not is_integer(value) or not least <= value <= most:
            raise self.malformed(name, f"is not an integer of {least} to {most}")
        return value

    def time_ms(self, name: str) -> int:
        """Return a time in Unix ms, 0 to 2^53-1. Spec: envelope.md, 2.3."""
        value = self._value[name]
        if not is_integer(value) or not 0 <= value <= MAX_TIME_MS:
            raise self.malformed(name, "is not a time in milliseconds")
        return value

    def digest(self, name: str) -> str:
        """Return a SHA-256 digest or an Ed25519 public key, 64 lower-case hex digits."""
        return self.read(name, parse_digest)

    def word(self, name: str, words: type[_Word], default: _Word | None = None) -> _Word:
        """Return a member of the enumeration `words`."""
        try:
            return words(self._value.get(name, default))
        except ValueError as error:
            raise self.malformed(name, f"is not one of {_listed(words)}") from error

    def known_word(self, name: str, words: type[_Word]) -> _Word | None:
        """Return a member of the enumeration `words`, or None for a value that is none of them.

        Raises: MalformedError for a value that is not a string.
        """
        if not isinstance(self._value[name], str):
            raise self.malformed(name, f"is not one of {_listed(words)}")
        try:
            return words(self._value[name])
        except ValueError:
            return None

    def words(self, name: str, words: type[_Word]) -> frozenset[_Word]:
        """Return a set of members of the enumeration `words`; empty if absent."""
        try:
            return frozenset(map(words, self.texts(name)))
        except ValueError as error:
            raise self.malformed(name, f"has a word that is not one of {_listed(words)}") from error

    def base64(self, name: str, limit: int) -> bytes:
        """Return the bytes of a base64 field, at most `limit`."""
        return base64_bytes(self._value[name], limit, f"{self._what}: {name}")

    def key(self, name: str, length: int) -> bytes:
        """Return the bytes of a base64 field, exactly `length`."""
        value = self.base64(name, length)
        if len(value) != length:
            raise self.malformed(name, f"is not {length} bytes")
        return value

    def list_of(self, name: str, parse: Callable[[object], _T], most: int) -> tuple[_T, ...]:
        """Return the results of `parse` on the items of a list of at most `most`."""
        value = self._value[name]
        if not isinstance(value, list) or len(value) > most:
            raise self.malformed(name, f"is not a list of at most {most}")
        return tuple(self._parsed(name, parse, each) for each in value)

    def known_of(self, name: str, parse: Callable[[object], _T], most: int) -> tuple[_T, ...]:
        """Return the results of `parse` on the items of a list of at most `most`.

        Items for which `parse` raises NewerFormatError are left out. Spec: versions.md, 3.
        """

        def known(value: object) -> _T | None:
            try:
                return parse(value)
            except NewerFormatError:
                return None

        return tuple(each for each in self.list_of(name, known, most) if each is not None)

    def nested(self, name: str, required: Collection[str], optional: Collection[str] = ()) -> Self:
        """Return a reader for the object in a field; an absent field is an empty object."""
        return type(self)(self._value.get(name, {}), f"{self._what}.{name}", required, optional)

    def _parsed(self, name: str, parse: Callable[[object], _T], value: object) -> _T:
        try:
            return parse(value)
        except NewerFormatError:
            raise
        except MalformedError as error:
            raise MalformedError(f"{self._what}: {name}: {error}") from error


class OpenFields(Fields):
    """A reader for the fields of one untrusted object of an open format.

    It ignores unknown fields, unless the object names them in its list `critical`. Spec:
    versions.md, section 3.
    """

    __slots__ = ()

    @staticmethod
    def _check_keys(
        value: dict[str, object], what: str, required: Collection[str], optional: Collection[str]
    ) -> None:
        if "critical" in value:
            _check_critical(value, what, required, optional)
        missing = [key for key in required if key not in value]
        if missing:
            raise MalformedError(f"{what}: missing {', missing '.join(missing)}")


def _check_critical(
    value: dict[str, object], what: str, required: Collection[str], optional: Collection[str]
) -> None:
    names = value["critical"]
    if (
        not isinstance(names, list)
        or not 1 <= len(names) <= _MAX_CRITICAL
        or not all(isinstance(name, str) and name in value for name in names)
        or len(set(names)) != len(names)
        or not {*required, "critical", "format"}.isdisjoint(names)
    ):
        raise MalformedError(f"{what}: critical is not a list of extension fields")
    unknown = [name[:40] for name in names if name not in optional]
    if unknown:
        raise NewerFormatError("critical", f"{what}: the field {unknown[0]!r} must be known")


def _check_format(value: dict[str, object], what: str, expected: int) -> None:
    number = value.get("format")
    if number is None:
        raise MalformedError(f"{what}: missing format")
    if not is_integer(number):
        raise MalformedError(f"{what}: format is not an integer")
    if number != expected:
        raise NewerFormatError("format", f"{what}: format {str(number)[:20]} is not {expected}")


def _listed(words: type[enum.Enum]) -> str:
    return ", ".join(str(word.value) for word in words)


def evidence_error(code: str, error: MalformedError) -> EvidenceError:
    """Return the error for a document of an enclave that does not parse.

    It has `code`, but for a document of a newer format the code of that.
    """
    return EvidenceError(error.code if isinstance(error, NewerFormatError) else code, str(error))


def json_object(value: object) -> dict[str, object]:
    """Return a JSON object with any fields.

    Raises: MalformedError if the value is not an object.
    """
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return value


def base64_bytes(text: object, limit: int, what: str) -> bytes:
    """Return at most `limit` bytes from their base64 (RFC 4648, section 4, with padding).

    The length is checked before decoding, and each value has one spelling: unused bits are zero.
    `what`: the name of the value for error messages.

    Raises: MalformedError.
    """
    if not isinstance(text, str) or len(text) > (limit + 2) // 3 * 4:
        raise MalformedError(f"{what}: not base64, or over {limit} bytes")
    try:
        decoded = a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise MalformedError(f"{what}: not base64") from error
    # Only the last group can have a second spelling: its unused bits.
    rest = (len(decoded) - 1) % 3 + 1
    if decoded and b2a_base64(decoded[-rest:], newline=False) != text[-4:].encode():
        raise MalformedError(f"{what}: not base64")
    if len(decoded) > limit:
        raise MalformedError(f"{what}: over {limit} bytes")
    return decoded
