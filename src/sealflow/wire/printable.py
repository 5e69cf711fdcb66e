"""Core, pure, stdlib only: the characters of untrusted text that may reach a terminal.

The list is closed and of fixed code points, so that every reader, of any Unicode version, accepts
the same names. Spec: content.md, 2.5.
"""

from __future__ import annotations

import re
from typing import Final

_REFUSED: Final = (
    (0x0000, 0x001F),
    (0x007F, 0x00A0),
    (0x00AD, 0x00AD),
    (0x061C, 0x061C),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x3000, 0x3000),
    (0xD800, 0xDFFF),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFEFF, 0xFEFF),
    (0xFFF0, 0xFFFB),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(15)),
    (0xE0000, 0xE0FFF),
    (0xF0000, 0x10FFFF),
)
"""First and last code point of controls, separators but the space, invisible marks, surrogates,
private use and noncharacters."""
_PRINTABLE: Final = re.compile("[^" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _REFUSED) + "]*")


def is_printable(text: str) -> bool:
    """Return whether a text has only printable characters, of which the space is one."""
    # For ASCII, Python's rule is the same in every version, and faster.
    return (text.isascii() and text.isprintable()) or _PRINTABLE.fullmatch(text) is not None


def as_line(text: object, most: int) -> str:
    """Return a peer's text as one line of at most `most` printable characters."""
    return "".join(each if is_printable(each) else " " for each in str(text)[:most])
