"""JPEG files of any frame, tables and scans."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

START = b"\xff\xd8"
END = b"\xff\xd9"
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
GREY = (0x11,)
FULL_COLOUR = (0x11, 0x11, 0x11)
HALF_COLOUR = (0x22, 0x11, 0x11)


class Scan(NamedTuple):
    """A scan: its components, coefficients, and approximation before and after it."""

    components: Sequence[int]
    first: int = 0
    last: int = 63
    before: int = 0
    after: int = 0


def segment(marker: int, body: bytes) -> bytes:
    """A marker with its length and content."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(
    width: int,
    height: int,
    sampling: Sequence[int] = FULL_COLOUR,
    *,
    marker: int = BASELINE,
    bits: int = 8,
) -> bytes:
    """The header of a frame, with components 1, 2, 3."""
    components = b"".join(bytes((each, of, 0)) for each, of in enumerate(sampling, 1))
    return segment(marker, struct.pack(">BHHB", bits, height, width, len(sampling)) + components)


def huffman(table: int, *symbols: int) -> bytes:
    """A table of codes 0, 10, 110 and so on; 0x00 is the first for DC, 0x10 for AC."""
    lengths = [1] * len(symbols) + [0] * (16 - len(symbols))
    return segment(0xC4, bytes((table, *lengths, *symbols)))


TABLES = segment(0xDB, b"\0" + b"\1" * 64) + huffman(0x00, 0) + huffman(0x10, 0)
"""Quantisation by 1; DC and AC codes of one bit that say `nothing`."""


def scan_header(scan: Scan) -> bytes:
    """What stands before a scan's coded data."""
    components = b"".join(bytes((each, 0)) for each in scan.components)
    approximation = scan.before << 4 | scan.after
    body = bytes((len(scan.components),)) + components
    return segment(0xDA, body + bytes((scan.first, scan.last, approximation)))


def jpeg(
    width: int,
    height: int,
    scans: Sequence[tuple[Scan, bytes]],
    *extra: bytes,
    sampling: Sequence[int] = FULL_COLOUR,
    marker: int = BASELINE,
    tables: bytes = TABLES,
) -> bytes:
    """A whole JPEG. `scans`: each with its coded data. `extra`: segments before the frame."""
    coded = b"".join(scan_header(scan) + data for scan, data in scans)
    start = START + b"".join(extra) + tables
    return start + frame(width, height, sampling, marker=marker) + coded + END


def blocks(width: int, height: int) -> int:
    """Blocks of a component that is stored at full size."""
    return -(-width // 8) * -(-height // 8)
