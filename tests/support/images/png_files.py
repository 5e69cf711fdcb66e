"""PNG files of any header and chunks."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """One chunk with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def header(
    width: int, height: int, *, depth: int = 8, colour: int = 2, interlace: int = 0
) -> bytes:
    """The chunk that every PNG starts with."""
    content = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return chunk(b"IHDR", content)


def raw_rows(
    width: int, height: int, *, depth: int = 8, colour: int = 2, filtering: int = 0
) -> bytes:
    """Rows of equal pixels, as they are before they are packed."""
    row = (width * CHANNELS[colour] * depth + 7) // 8
    return (bytes((filtering,)) + b"\x55" * row) * height


def png(
    width: int,
    height: int,
    *extra: bytes,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    raw: bytes | None = None,
) -> bytes:
    """A whole PNG. `extra`: chunks before the pixels. `raw`: unpacked rows, else grey ones."""
    rows = raw_rows(width, height, depth=depth, colour=colour) if raw is None else raw
    start = header(width, height, depth=depth, colour=colour, interlace=interlace)
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return SIGNATURE + start + b"".join(extra) + pixels + chunk(b"IEND")
