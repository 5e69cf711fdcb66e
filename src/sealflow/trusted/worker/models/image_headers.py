"""Worker, pure, stdlib only: reads the size of a JPEG or PNG from its header before it is decoded.

A decoder allocates memory for the size in the header, so the header is parsed here first, strictly.
Other formats are refused, and so are CMYK, 12-bit, lossless, hierarchical and arithmetic JPEG,
animated PNG, JPEG with several frames or more than 128 scans, and files that end early.
Spec: content.md, 6.2. Source: ITU-T T.81, annex B; W3C, PNG specification, third edition.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from sealflow.errors import InvalidInputError

MAX_SIDE: Final = 32_768
MAX_SCANS: Final = 128
"""Each scan is a pass over all pixels; a file of some MB could contain a million of them."""
MAX_SEGMENTS: Final = 8_192

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE: Final = b"\xff\xd8\xff"
_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")
_CHUNK_FRAME: Final = 12
_PNG_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODABLE_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_START_OF_SCAN: Final = 0xDA
_SCAN = b"\xff\xda"
_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """The stored width and height of an image in pixels, and whether it is a JPEG or a PNG."""

    width: int
    height: int
    jpeg: bool


def read_size(image: memoryview, *, max_pixels: int) -> ImageSize:
    """Return the size of one JPEG or PNG file without decoding it.

    Raises: InvalidInputError when the format is not supported, the header is invalid, a side is
    over `MAX_SIDE`, or the image has more than `max_pixels` pixels.
    """
    start = bytes(image[:8])
    if start == _PNG_SIGNATURE:
        size = _png_size(image)
    elif start.startswith(_JPEG_SIGNATURE):
        size = _jpeg_size(image)
    else:
        raise _invalid("is neither a JPEG nor a PNG file: convert it to one")
    if not (0 < size.width <= MAX_SIDE and 0 < size.height <= MAX_SIDE):
        raise _invalid(f"is {size.width} x {size.height} pixels: each side must be 1 to {MAX_SIDE}")
    if size.width * size.height > max_pixels:
        raise _invalid(
            f"is {size.width} x {size.height} = {size.width * size.height} pixels; "
            f"the limit is {max_pixels}: send a smaller image"
        )
    return size


def _png_size(image: memoryview) -> ImageSize:
    size: ImageSize | None = None
    at = len(_PNG_SIGNATURE)
    for _ in range(MAX_SEGMENTS):
        if len(image) - at < _CHUNK_FRAME:
            raise _invalid("is a PNG that ends early")
        length, kind = _CHUNK.unpack_from(image, at)
        if length > len(image) - at - _CHUNK_FRAME:
            raise _invalid("is a PNG that ends early")
        if (size is None) is not (kind == b"IHDR"):
            raise _invalid("is a PNG without exactly one header at its start")
        if kind == b"IHDR":
            size = _png_header(image[at + _CHUNK.size : at + _CHUNK.size + length])
        elif kind == b"acTL":
            raise _invalid("is an animated PNG: send a still image")
        elif kind == b"IEND" and size is not None:
            return size
        at += _CHUNK_FRAME + length
    raise _invalid(f"is a PNG of more than {MAX_SEGMENTS} chunks")


def _png_header(header: memoryview) -> ImageSize:
    if len(header) != _IHDR.size:
        raise _invalid("is a PNG with a broken header")
    width, height, depth, colour, compression, filtering, interlace = _IHDR.unpack(header)
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise _invalid(f"is a PNG of an unknown kind (colour type {colour}, {depth} bits)")
    return ImageSize(width=width, height=height, jpeg=False)


def _jpeg_size(image: memoryview) -> ImageSize:
    size: ImageSize | None = None
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker, at = _jpeg_marker(image, at)
        length = int.from_bytes(image[at : at + 2])
        if len(image) - at < length or length < 2:  # noqa: PLR2004 - counts its own two bytes
            raise _invalid("is a JPEG that ends early")
        if marker in _FRAMES:
            if size is not None:
                raise _invalid("is a JPEG with several frames")
            size = _jpeg_frame(marker, image[at + 2 : at + length])
        elif marker == _START_OF_SCAN:
            if size is None:
                raise _invalid("is a JPEG without a size before its pixels")
            _check_scans(image[at:])
            return size
        at += length
    raise _invalid(f"is a JPEG of more than {MAX_SEGMENTS} segments")


def _jpeg_marker(image: memoryview, at: int) -> tuple[int, int]:
    if len(image) - at < 4:  # noqa: PLR2004 - marker and length, 2 bytes each
        raise _invalid("is a JPEG that ends early")
    if image[at] != 0xFF:  # noqa: PLR2004 - the first byte of every marker
        raise _invalid("is a JPEG with bytes between its segments")
    while image[at] == 0xFF:  # noqa: PLR2004 - any number of fill bytes
        at += 1
        if len(image) - at < 3:  # noqa: PLR2004 - second byte of the marker, and length
            raise _invalid("is a JPEG that ends early")
    marker = image[at]
    if marker < 0xC0 or 0xD0 <= marker <= 0xD9:  # noqa: PLR2004 - reserved or without a length
        raise _invalid("is a JPEG with a marker out of place")
    return marker, at + 1


def _jpeg_frame(marker: int, frame: memoryview) -> ImageSize:
    if len(frame) < 6:  # noqa: PLR2004 - precision, height, width, components
        raise _invalid("is a JPEG with a broken frame header")
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    if len(frame) != 6 + 3 * components:
        raise _invalid("is a JPEG with a broken frame header")
    if marker not in _DECODABLE_FRAMES:
        raise _invalid(
            "is a lossless, hierarchical or arithmetic JPEG: save it as baseline or progressive"
        )
    if precision != 8:  # noqa: PLR2004 - bits
        raise _invalid(f"is a JPEG of {precision} bits per sample: save it with 8")
    if components not in (1, 3):
        raise _invalid(f"is a JPEG of {components} components (CMYK?): save it as RGB or greyscale")
    return ImageSize(width=width, height=height, jpeg=True)


def _check_scans(rest: memoryview) -> None:
    """Check the number of scans and that the end marker is present.

    Markers are found by their bytes, as entropy-coded data never contains one (T.81, B.1.1.5).
    """
    pixels = rest.tobytes()
    if 1 + pixels.count(_SCAN) > MAX_SCANS:
        raise _invalid(f"is a JPEG of more than {MAX_SCANS} scans")
    if pixels.rfind(_END) < 0:
        raise _invalid("is a JPEG that ends early: its pixels are cut off")


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"the image {reason}")
