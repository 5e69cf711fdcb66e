"""Worker, pure, stdlib only: image files with valid headers, and limits that JPEG and PNG share.

A decoder's time and memory follow from a file's header, not from its length. So the header is
parsed here first, strictly, and the work of decoding is reckoned from it. Spec: content.md, 6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SIDE: Final = 32_768
MAX_PROPORTION: Final = 32
"""The longer side is at most this multiple of the shorter: a model sees little of a strip."""
MAX_SEGMENTS: Final = 8_192

SEGMENT_WORK: Final = 1_000
BYTE_WORK: Final = 10

_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_IFD_ENTRY: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """One JPEG or PNG whose header is valid.

    `work`: of reading the stored pixels, without that for each pixel that is put out; a unit takes
    about a nanosecond. `orientation`: that of EXIF, 1 to 8. `parts`: the file without what a
    decoder does not need.
    """

    jpeg: bool
    width: int
    height: int
    work: int
    orientation: int
    parts: Sequence[bytes | memoryview] = field(repr=False)


def invalid(reason: str) -> InvalidInputError:
    """Return the error that says what an image is."""
    return InvalidInputError(f"the image {reason}")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check an image's stored size.

    Raises: InvalidInputError when a side is 0, over `MAX_SIDE` or over `MAX_PROPORTION` times the
    other, or the pixels are over `max_pixels`.
    """
    size = f"is {width} x {height} pixels"
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise invalid(f"{size}: each side must be 1 to {MAX_SIDE}")
    if max(width, height) > MAX_PROPORTION * min(width, height):
        raise invalid(f"{size}: a side must be at most {MAX_PROPORTION} times the other; crop it")
    if width * height > max_pixels:
        raise invalid(
            f"is {width} x {height} = {width * height} pixels; "
            f"the limit is {max_pixels}: send a smaller image"
        )


def read_orientation(exif: bytes) -> int:
    """Return the orientation of an EXIF block, 1 to 8; 1 if it has none or is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + entries * _IFD_ENTRY, _IFD_ENTRY):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if (tag, kind, count) == (_ORIENTATION_TAG, _SHORT, 1):
                return value if 1 <= value <= 8 else 1  # noqa: PLR2004 - turns and mirrors
    except struct.error:
        pass
    return 1
