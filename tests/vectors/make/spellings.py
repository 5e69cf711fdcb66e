"""Spellings of base64 and JSON that every reader refuses, as changes of a right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAD_BASE64: Final[tuple[tuple[str, Callable[[str], str], str], ...]] = (
    ("no padding", lambda good: good.rstrip("="), "padding is needed"),
    ("half the padding", lambda good: good[:-1], "padding is needed"),
    ("more padding", lambda good: good + "=", "one character too many"),
    ("text behind", lambda good: good + "AAAA", "text behind the padding"),
    ("white space", lambda good: good[:8] + "\n" + good[8:], "a line end"),
    ("blank", lambda good: good + " ", "a blank"),
    ("unused bits", lambda good: good[:-3] + _next(good[-3]) + "==", "unused bits are zero"),
    ("URL alphabet", lambda good: "-_" + good[2:], "another alphabet"),
    ("other character", lambda good: "*" + good[1:], "not in the alphabet"),
    ("not ASCII", lambda good: "é" + good[1:], "not in the alphabet"),
)
"""Each takes base64 that ends in `==`."""


def _next(character: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return letters[letters.index(character) + 1]


def _nested(depth: int) -> bytes:
    return b'"more":' + b"[" * (depth - 1) + b"]" * (depth - 1)


def _with(extra: bytes) -> Callable[[bytes], bytes]:
    return lambda good: b"{" + extra + b"," + good.strip()[1:]


BAD_JSON: Final[tuple[tuple[str, Callable[[bytes], bytes], str], ...]] = (
    ("empty", lambda _good: b"", "nothing"),
    ("list", lambda good: b"[" + good + b"]", "not an object"),
    ("null", lambda _good: b"null", "not an object"),
    ("BOM", lambda good: b"\xef\xbb\xbf" + good, "a byte order mark"),
    ("UTF-16", lambda good: good.decode().encode("utf-16-le"), "another encoding"),
    ("not UTF-8", _with(b'"more":"\xff"'), "a byte that is no UTF-8"),
    ("overlong UTF-8", _with(b'"more":"\xc0\xaf"'), "two bytes for a character of one"),
    ("surrogate in UTF-8", _with(b'"more":"\xed\xa0\x80"'), "a lone surrogate, encoded"),
    ("lone surrogate", _with(b'"more":"\\ud800"'), "a lone surrogate, escaped"),
    ("lone low surrogate", _with(b'"more":"\\udc00"'), "a lone surrogate, escaped"),
    ("lone surrogate in a key", _with(b'"\\ud800":1'), "keys are text, too"),
    ("control character", _with(b'"more":"a\nb"'), "a line end within a string"),
    ("unknown escape", _with(b'"more":"\\x41"'), "JSON has no such escape"),
    ("doubled key", _with(b'"more":1,"more":1'), "a key twice"),
    ("doubled key, escaped", _with(b'"more":1,"mor\\u0065":1'), "a key twice, once escaped"),
    ("doubled key within", _with(b'"more":[{"a":1,"a":1}]'), "a key twice, further in"),
    ("33 deep", _with(_nested(33)), "one level too many"),
    ("900 deep", _with(_nested(900)), "many levels too many"),
    ("fraction", _with(b'"more":1.0'), "documents have integers only"),
    ("exponent", _with(b'"more":1e3'), "documents have integers only"),
    ("minus zero", _with(b'"more":-0'), "zero has one spelling"),
    ("leading zero", _with(b'"more":01'), "not a number of JSON"),
    ("plus", _with(b'"more":+1'), "not a number of JSON"),
    ("21 digits", _with(b'"more":100000000000000000000'), "an integer of 21 characters"),
    ("NaN", _with(b'"more":NaN'), "not a number of JSON"),
    ("Infinity", _with(b'"more":-Infinity'), "not a number of JSON"),
    ("comma", lambda good: good.strip()[:-1] + b",}", "a comma behind the last"),
    ("comment", lambda good: good + b"/* */", "JSON has no comments"),
    ("single quotes", _with(b"'more':1"), "JSON has double ones"),
    ("byte behind", lambda good: good + b"x", "something behind the object"),
    ("zero behind", lambda good: good + b"\0", "a zero byte is no white space"),
    ("form feed behind", lambda good: good + b"\f", "white space is blank, tab, CR and LF"),
    ("object behind", lambda good: good + b"{}", "a second object"),
    ("cut", lambda good: good.strip()[:-1], "its end is missing"),
)
"""Each takes an object in JSON that ignores the key `more`."""


def _escaped_key(good: bytes) -> bytes:
    at = good.index(b'"') + 1
    return good[:at] + b"\\u%04x" % good[at] + good[at + 1 :]


GOOD_JSON: Final[tuple[tuple[str, Callable[[bytes], bytes], str], ...]] = (
    ("white space", lambda good: b" \t\r\n" + good + b" \t\r\n", "around the object"),
    ("32 deep", _with(_nested(32)), "as deep as allowed"),
    ("20 characters", _with(b'"more":-9223372036854775808'), "as long as allowed"),
    ("escaped key", _escaped_key, "keys count after unescaping"),
    ("surrogate pair", _with(b'"more":"\\ud83e\\udd8a"'), "one character, escaped as two"),
    ("__proto__", _with(b'"__proto__":{"x":1}'), "a key as any other"),
)


_NUMBERS: Final = frozenset(
    {"fraction", "exponent", "minus zero", "leading zero", "plus", "21 digits", "NaN", "Infinity"}
)
_IN_A_TEXT: Final = {
    "doubled key": b'"id":"a","id":"a"',
    "doubled key, escaped": b'"id":"a","\\u0069d":"a"',
    "doubled key within": b'"parameters":{"a":1,"a":1}',
    "lone surrogate in a key": b'"parameters":{"\\ud800":1}',
}


def bad_message(encoded: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield faults of a message's JSON that have no unknown key and no number in them."""
    for fault, spelled, description in BAD_JSON:
        if fault in _NUMBERS or fault.endswith("deep"):
            continue
        if fault in _IN_A_TEXT:
            yield fault, _with(_IN_A_TEXT[fault])(encoded), description
        elif fault == "single quotes":
            yield fault, encoded.replace(b'"', b"'"), description
        else:
            yield fault, spelled(encoded).replace(b'"more"', b'"id"'), description
