"""Worker: reads a JPEG's header and the shape of its scans before it is decoded.

Only the segments that a decoder needs are kept: comments, thumbnails and profiles never reach
it. Refused are CMYK, 12-bit, lossless, hierarchical and arithmetic JPEG, several frames, heights
that come after the pixels, and scans that have fewer bits than blocks. Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

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
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

JPEG_SIGNATURE: Final = b"\xff\xd8\xff"
MAX_SCANS: Final = 128

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODABLE_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_PROGRESSIVE: Final = 0xC2
_HUFFMAN_TABLES, _START_OF_SCAN, _QUANTISATION, _RESTARTS = 0xC4, 0xDA, 0xDB, 0xDD
_END: Final = 0xD9
_NEEDED: Final = frozenset({_HUFFMAN_TABLES, _START_OF_SCAN, _QUANTISATION, _RESTARTS, *_FRAMES})
_COLOURS: Final = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
"""Segments of applications that say which colours the components are."""
_EXIF: Final = (0xE1, b"Exif\0\0")
_IGNORED: Final = frozenset({*range(0xE0, 0xF0), 0xFE})

_SIDE: Final = 8
_COEFFICIENTS: Final = 64
_SCAN_BLOCK_WORK: Final = 8
"""Of a block in a scan, besides 1 for each of its coefficients that the scan covers."""
_SAMPLE_WORK: Final = 1
_PROGRESSIVE_SAMPLE_WORK: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """`blocks`: of 8 x 8 samples, by component."""

    width: int
    height: int
    progressive: bool
    blocks: Mapping[int, int]

    @property
    def work(self) -> int:
        """That of all samples, besides the scans."""
        samples = _SIDE * _SIDE * sum(self.blocks.values())
        return samples * (_PROGRESSIVE_SAMPLE_WORK if self.progressive else _SAMPLE_WORK)


def read_jpeg(image: memoryview, *, max_pixels: int) -> ImageFile:
    """Read a JPEG's segments up to its end.

    Raises: InvalidInputError when it is damaged, of a kind that is refused, or too large.
    """
    parts: list[bytes | memoryview] = [JPEG_SIGNATURE[:2]]
    frame: _Frame | None = None
    orientation, scans, work = 1, 0, 0
    for marker, body, coded_bytes, whole in _segments(image):
        work += SEGMENT_WORK + len(whole) * BYTE_WORK
        if marker in _FRAMES:
            if frame is not None:
                raise invalid("is a JPEG with several frames")
            frame = _read_frame(marker, body)
            check_size(frame.width, frame.height, max_pixels)
        elif marker == _START_OF_SCAN:
            if frame is None:
                raise invalid("is a JPEG without a size before its pixels")
            scans += 1
            work += _scan_work(frame, body, coded_bytes)
        elif (marker, bytes(body[:6])) == _EXIF:
            orientation = read_orientation(bytes(body[6:]))
        if marker in _NEEDED or bytes(body[:5]) == _COLOURS.get(marker):
            parts += (bytes((0xFF, marker)), whole)
    if frame is None or not 0 < scans <= MAX_SCANS:
        raise invalid(f"is a JPEG of more than {MAX_SCANS} scans, or of none")
    parts.append(b"\xff\xd9")
    return ImageFile(
        jpeg=True,
        width=frame.width,
        height=frame.height,
        work=work + frame.work,
        orientation=orientation,
        parts=parts,
    )


def _segments(image: memoryview) -> Iterator[tuple[int, memoryview, int, memoryview]]:
    """Return each segment up to the end of the image.

    That is its marker, its content, how many bytes of coded data follow it, and all of these from
    its length on.
    """
    markers = _markers(image)
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker, at = _read_marker(image, at)
        if marker == _END:
            return
        if marker not in _NEEDED and marker not in _IGNORED:
            raise invalid("is a JPEG with a marker out of place")
        end = at + int.from_bytes(image[at : at + 2])
        if end > len(image) or end < at + 2:
            raise invalid("is a JPEG that ends early")
        body, coded_bytes = image[at + 2 : end], 0
        if marker == _START_OF_SCAN:
            found = int(markers.searchsorted(end))
            if found == len(markers):
                raise invalid("is a JPEG that ends early: its pixels are cut off")
            coded_bytes = int(markers[found]) - end
        yield marker, body, coded_bytes, image[at : end + coded_bytes]
        at = end + coded_bytes
    raise invalid(f"is a JPEG of more than {MAX_SEGMENTS} segments")


def _markers(image: memoryview) -> NDArray[np.intp]:
    """Return where coded data would end: at 0xFF without a 0 after it, or a restart (B.1.1.5)."""
    values = np.frombuffer(image, np.uint8)
    found = np.flatnonzero(values[:-1] == 0xFF)  # noqa: PLR2004 - the first byte of every marker
    kinds = values[found + 1]
    coded = (kinds == 0) | (kinds == 0xFF) | ((kinds >= 0xD0) & (kinds <= 0xD7))  # noqa: PLR2004
    markers: NDArray[np.intp] = found[~coded]
    return markers


def _read_marker(image: memoryview, at: int) -> tuple[int, int]:
    """Return the marker at `at`, before which fill bytes may be, and where its segment begins."""
    if len(image) - at < 2:  # noqa: PLR2004 - a marker's bytes
        raise invalid("is a JPEG that ends early")
    if image[at] != 0xFF:  # noqa: PLR2004 - the first byte of every marker
        raise invalid("is a JPEG with bytes between its segments")
    while image[at] == 0xFF:  # noqa: PLR2004 - any number of fill bytes
        at += 1
        if at == len(image):
            raise invalid("is a JPEG that ends early")
    return image[at], at + 1


def _read_frame(marker: int, frame: memoryview) -> _Frame:
    if len(frame) < 6:  # noqa: PLR2004 - precision, height, width, components
        raise invalid("is a JPEG with a broken frame header")
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    if len(frame) != 6 + 3 * components:
        raise invalid("is a JPEG with a broken frame header")
    if marker not in _DECODABLE_FRAMES:
        raise invalid(
            "is a lossless, hierarchical or arithmetic JPEG: save it as baseline or progressive"
        )
    if precision != 8:  # noqa: PLR2004 - bits
        raise invalid(f"is a JPEG of {precision} bits per sample: save it with 8")
    if components not in (1, 3):
        raise invalid(f"is a JPEG of {components} components (CMYK?): save it as RGB or greyscale")
    sampling = {frame[at]: divmod(frame[at + 1], 16) for at in range(6, len(frame), 3)}
    factors = [factor for pair in sampling.values() for factor in pair]
    if len(sampling) != components or not all(1 <= factor <= 4 for factor in factors):  # noqa: PLR2004
        raise invalid("is a JPEG with a broken frame header")
    most_across = max(across for across, _ in sampling.values())
    most_down = max(down for _, down in sampling.values())
    blocks = {
        component: -(-width * across // (_SIDE * most_across))
        * -(-height * down // (_SIDE * most_down))
        for component, (across, down) in sampling.items()
    }
    progressive = marker == _PROGRESSIVE
    return _Frame(width=width, height=height, progressive=progressive, blocks=blocks)


def _scan_work(frame: _Frame, header: memoryview, coded_bytes: int) -> int:
    """Check a scan and return its work.

    Each block takes at least a bit in a scan of first coefficients, and two in one of all.
    """
    count = header[0] if header else 0
    components = [each for each in header[1 : 1 + 2 * count : 2] if each in frame.blocks]
    if len(header) != 4 + 2 * count or not len(set(components)) == count > 0:
        raise invalid("is a JPEG with a broken scan header")
    blocks = sum(frame.blocks[component] for component in components)
    first, last = header[-3:-1]
    if not frame.progressive:
        first, last = 0, _COEFFICIENTS - 1
    elif not first <= last < _COEFFICIENTS or (last and not first) or (first and count > 1):
        raise invalid("is a JPEG with a broken scan header")
    bits = (2 if last else 1) * blocks if first == 0 else 0
    if 8 * coded_bytes < bits:
        raise invalid("is a JPEG that has too few bytes for its size")
    return blocks * (_SCAN_BLOCK_WORK + last - first + 1)
