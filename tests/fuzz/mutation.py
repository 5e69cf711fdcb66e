"""Changes of JSON that keep most of its structure, drawn from a seeded generator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\s+|"', re.DOTALL)
SPACES: Final = (b" ", b"\n", b"\t\r", b"\x0b", b"\x0c", b"\xc2\xa0", b"\xef\xbb\xbf", b"\0", b"//")
NUMBERS: Final = (
    b"0", b"-0", b"1", b"-1", b"00", b"01", b"+1", b"1.0", b"1.", b".5", b"1e3", b"1E3", b"1e",
    b"1e+2", b"-0.0", b"0e0", b"-0e5", b"1e308", b"1e309", b"-1e309", b"5e-324", b"1e-400",
    b"2.2250738585072011e-308", b"0.1", b"65504", b"65519.99", b"65520", b"3.4028235677973366e38",
    b"16777217", b"9007199254740991", b"9007199254740992", b"9007199254740993",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
    b"18446744073709551615", b"18446744073709551616", b"12345678901234567890",
    b"-1234567890123456789", b"-12345678901234567890", b"123456789012345678901",
    b"NaN", b"Infinity", b"-Infinity", b"0x1", b"1_0", b"1n",
    "\u0661".encode(), b"true", b"false", b"null", b"True", b"nul", b"undefined",
)  # fmt: skip
STRINGS: Final = (
    b'""', b'"a"', b'"__proto__"', b'"constructor"', b'"format"', b'"critical"', b'"\\u0061"',
    b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\ude00\\ud83d"', b'"\\uD83D\\uDE00"',
    b'"\\/\\b\\f\\n\\r\\t\\"\\\\"', b'"\\a"', b'"\\u12"', b'"\\u00g0"', b'"\\U0041"', b'"\x7f"',
    b'"\x01"', b'"\n"', '"é\u2028\U0001f600"'.encode(), b'"\xed\xa0\x80"', b'"\xc0\xaf"',
    b'"\xf4\x90\x80\x80"', b'"\xff"', b"'a'", b'"', '"\ufeff"'.encode(), '"\u00ad"'.encode(),
    '"\ufffe"'.encode(), '"\U000e0001"'.encode(), b'"BYTES"', b'"FP16"', b'"BF16"', b'"INT64"',
    b'"BOOL"', b"[]", b"{}", b"[[]]", b'{"a":1,"a":2}',
)  # fmt: skip
BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{2,}={0,2}")


class JsonMutator:
    """Changes JSON texts; the same generator makes the same changes."""

    def __init__(self, chance: random.Random) -> None:
        """Draw from `chance`."""
        self._chance = chance
        self._ways: tuple[Callable[[list[bytes]], None], ...] = (
            self._replace,
            self._replace,
            self._remove,
            self._repeat,
            self._swap,
            self._nest,
            self._space,
            self._double_key,
            self._escape,
            self._spell_base64,
            self._flip,
            self._add_member,
        )

    def change(self, text: bytes) -> bytes:
        """Return the text with one to three changes."""
        tokens = TOKEN.findall(text)
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            if tokens:
                self._chance.choice(self._ways)(tokens)
        return b"".join(tokens)

    def _at(self, tokens: list[bytes], start: bytes = b"") -> int | None:
        """Return the place of any token, or of one that begins with `start`."""
        if not start:
            return self._chance.randrange(len(tokens))
        places = [at for at, token in enumerate(tokens) if token.startswith(start)]
        return self._chance.choice(places) if places else None

    def _value(self) -> bytes:
        return self._chance.choice(self._chance.choice((NUMBERS, STRINGS)))

    def _replace(self, tokens: list[bytes]) -> None:
        """Put another value where a value is, or a key."""
        places = [at for at, token in enumerate(tokens) if token not in b"{}[],:" and token.strip()]
        if places:
            at = self._chance.choice(places)
            same = NUMBERS if tokens[at][:1] in b"-0123456789" else STRINGS
            tokens[at] = self._chance.choice((self._value(), self._chance.choice(same)))

    def _remove(self, tokens: list[bytes]) -> None:
        at = self._chance.randrange(len(tokens))
        del tokens[at : at + self._chance.choice((1, 1, 2, 4))]

    def _repeat(self, tokens: list[bytes]) -> None:
        at = self._chance.randrange(len(tokens))
        tokens[at:at] = tokens[at : at + self._chance.choice((1, 2, 4, 8))]

    def _swap(self, tokens: list[bytes]) -> None:
        one, other = (self._chance.randrange(len(tokens)) for _ in range(2))
        tokens[one], tokens[other] = tokens[other], tokens[one]

    def _nest(self, tokens: list[bytes]) -> None:
        """Wrap a token in lists or objects, around the greatest depth."""
        at, depth = self._chance.randrange(len(tokens)), self._chance.choice((1, 2, 29, 30, 31, 32))
        if self._chance.randrange(2):
            tokens[at] = b"[" * depth + tokens[at] + b"]" * depth
        else:
            tokens[at] = b'{"a":' * depth + tokens[at] + b"}" * depth

    def _space(self, tokens: list[bytes]) -> None:
        place = self._chance.choice((0, len(tokens), self._chance.randrange(len(tokens))))
        tokens.insert(place, self._chance.choice(SPACES))

    def _double_key(self, tokens: list[bytes]) -> None:
        """Write a member twice, perhaps with its key in another spelling."""
        at = self._at(tokens, b'"')
        if at is not None and len(tokens[at]) > 2:
            key = tokens[at]
            if self._chance.randrange(2):
                key = b'"\\u%04x%s' % (key[1], key[2:])
            tokens[at:at] = [key, b":", self._value(), b","]

    def _escape(self, tokens: list[bytes]) -> None:
        """Spell one ASCII character of a string as an escape, in either case of the digits."""
        at = self._at(tokens, b'"')
        if at is not None and len(tokens[at]) > 2:
            token = tokens[at]
            place = self._chance.randrange(1, len(token) - 1)
            form = self._chance.choice((b"\\u%04x", b"\\u%04X", b"\\u%03x", b"\\x%02x"))
            tokens[at] = token[:place] + form % token[place] + token[place + 1 :]

    def _spell_base64(self, tokens: list[bytes]) -> None:
        """Spell base64 in another way: padding, alphabet, bits that do not count, white space."""
        at = self._at(tokens, b'"')
        if at is None or not BASE64.fullmatch(tokens[at][1:-1]):
            return
        text = tokens[at][1:-1]
        last = text.rstrip(b"=")
        place = self._chance.randrange(len(text))
        text = self._chance.choice(
            (
                last,
                text + b"=",
                text[:place] + b"\\n" + text[place:],
                text[:place] + b" " + text[place:],
                text[:place] + b"=" + text[place:],
                text.replace(b"+", b"-").replace(b"/", b"_"),
                last[:-1] + bytes([last[-1] ^ 1]) + text[len(last) :],
                text[:-4],
                text + b"AAAA",
                text[:-1],
                text.lower(),
                text.upper(),
            )
        )
        tokens[at] = b'"' + text + b'"'

    def _flip(self, tokens: list[bytes]) -> None:
        at = self._chance.randrange(len(tokens))
        if tokens[at]:
            token = bytearray(tokens[at])
            token[self._chance.randrange(len(token))] ^= 1 << self._chance.randrange(8)
            tokens[at] = bytes(token)

    def _add_member(self, tokens: list[bytes]) -> None:
        """Add a member that no format defines, or that says how to read others."""
        at = self._at(tokens, b"{")
        if at is not None and tokens[at] == b"{":
            member = self._chance.choice(
                (
                    b'"later":1',
                    b'"critical":["later"],"later":{}',
                    b'"critical":[]',
                    b'"critical":["name"]',
                    b'"format":2',
                    b'"format":1',
                    b'"__proto__":{"kid":1}',
                    b'"parameters":{"a":1}',
                    b'"parameters":{"binary_data_size":8}',
                    b'"shape":[2]',
                )
            )
            empty = at + 1 < len(tokens) and tokens[at + 1] == b"}"
            tokens.insert(at + 1, member if empty else member + b",")
