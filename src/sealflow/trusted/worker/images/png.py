"""Worker, pure, stdlib only: reads a PNG's header and chunks before it is decoded.

Only the chunks of the picture are kept: texts, profiles and all others never reach the
decoder. Source: W3C, PNG specification, third edition.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.trusted.worker.images.files import (
    BYTE_WORK,
    MAX_SEGMENTS,
    SEGMENT_WORK,
    ImageFile,
    check_size,
    invalid,
    read_orientation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")
_CHUNK_FRAME: Final = 12
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PICTURE: Final = frozenset({b"PLTE", b"IDAT", b"IEND"})
_CRITICAL: Final = 0x20
"""This bit of a chunk's first letter is 0 where a decoder must understand the chunk."""
_MAX_INFLATION: Final = 1032
"""The most bytes that one byte of DEFLATE can stand for."""
_RAW_WORK: Final = {1: 3, 2: 3, 4: 3, 8: 3, 16: 5}
_UNPACK_WORK: Final = 13
"""For each pixel of less than 8 bits."""
_INTERLACE_WORK: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """`raw`: bytes of all rows when inflated."""

    width: int
    height: int
    raw: int
    work: int


def read_png(image: memoryview, *, max_pixels: int) -> ImageFile:
    """Read a PNG's header and chunks.

    Raises: InvalidInputError when it is damaged, animated, too large, or could not inflate to its
    size.
    """
    chunks = _chunks(image)
    kind, content, whole = next(chunks)
    if kind != b"IHDR":
        raise invalid("is a PNG without exactly one header at its start")
    header = _read_header(content, max_pixels)
    parts: list[bytes | memoryview] = [PNG_SIGNATURE, whole]
    orientation, packed, count = 1, 0, 1
    for kind, content, whole in chunks:
        count += 1
        if kind in _PICTURE:
            parts.append(whole)
            packed += len(content) if kind == b"IDAT" else 0
        elif kind == b"eXIf":
            orientation = read_orientation(bytes(content))
        else:
            _check_unused(kind)
    if header.raw > _MAX_INFLATION * packed:
        raise invalid("is a PNG that has too few bytes for its size")
    return ImageFile(
        jpeg=False,
        width=header.width,
        height=header.height,
        work=header.work + packed * BYTE_WORK + count * SEGMENT_WORK,
        orientation=orientation,
        parts=parts,
    )


def _chunks(image: memoryview) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Return each chunk's kind, content and whole, up to the last one of a picture."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_SEGMENTS):
        if len(image) - at < _CHUNK_FRAME:
            raise invalid("is a PNG that ends early")
        length, kind = _CHUNK.unpack_from(image, at)
        end = at + _CHUNK_FRAME + length
        if end > len(image):
            raise invalid("is a PNG that ends early")
        yield kind, image[at + _CHUNK.size : end - 4], image[at:end]
        if kind == b"IEND":
            return
        at = end
    raise invalid(f"is a PNG of more than {MAX_SEGMENTS} chunks")


def _check_unused(kind: bytes) -> None:
    """Check that a chunk which is not kept may be left out."""
    if kind == b"IHDR":
        raise invalid("is a PNG without exactly one header at its start")
    if kind == b"acTL":
        raise invalid("is an animated PNG: send a still image")
    if not kind[0] & _CRITICAL:
        raise invalid("is a PNG with an unknown critical chunk")


def _read_header(header: memoryview, max_pixels: int) -> _Header:
    if len(header) != _IHDR.size:
        raise invalid("is a PNG with a broken header")
    width, height, depth, colour, compression, filtering, interlace = _IHDR.unpack(header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise invalid(f"is a PNG of an unknown kind (colour type {colour}, {depth} bits)")
    check_size(width, height, max_pixels)
    raw = height * (1 + (width * _CHANNELS[colour] * depth + 7) // 8)
    pixel_work = _UNPACK_WORK * (depth < 8) + _INTERLACE_WORK * interlace  # noqa: PLR2004 - a byte
    work = raw * _RAW_WORK[depth] + width * height * pixel_work
    return _Header(width=width, height=height, raw=raw, work=work)
