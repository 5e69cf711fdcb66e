"""Segments and scans of JPEG: what a decoder gets, and what is refused before it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.trusted.worker.images.jpeg import MAX_SCANS, read_jpeg
from tests.support.images.jpeg_files import (
    BASELINE,
    END,
    GREY,
    HALF_COLOUR,
    PROGRESSIVE,
    START,
    Scan,
    frame,
    jpeg,
    scan_header,
    segment,
)

if TYPE_CHECKING:
    from sealflow.trusted.worker.images.files import ImageFile

PIXELS = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
WEB = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
EXIF = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
ALL, DC, AC = Scan((1, 2, 3)), Scan((1, 2, 3), 0, 0), Scan((1,), 1, 63)
CODED = bytes(100)
SCAN = scan_header(ALL) + CODED


def _read(image: bytes, max_pixels: int = 10_000) -> ImageFile:
    return read_jpeg(memoryview(image), max_pixels=max_pixels)


def _simple(*scans: tuple[Scan, bytes], marker: int = BASELINE) -> bytes:
    return jpeg(30, 20, scans, marker=marker)


@pytest.mark.parametrize("image", [JPEG, WEB])
def test_sizes_are_read(image: bytes) -> None:
    """Baseline and progressive files give width and height."""
    file = _read(image)
    assert (file.width, file.height, file.jpeg, file.orientation) == (30, 20, True, 1)
    assert b"".join(file.parts) == image


def test_only_the_picture_is_passed_on() -> None:
    """Comments, profiles, thumbnails and what lies behind the end never reach the decoder."""
    extra = [segment(marker, b"MPF\0" + bytes(40)) for marker in (*range(0xE0, 0xF0), 0xFE)]
    image = jpeg(30, 20, [(ALL, CODED)], *extra) + b"video"
    assert b"".join(_read(image).parts) == _simple((ALL, CODED))
    between = START + frame(30, 20) + SCAN + segment(0xFE, b"x") + SCAN + END
    assert b"".join(_read(between).parts) == START + frame(30, 20) + SCAN + SCAN + END


def test_what_says_the_colours_is_passed_on() -> None:
    """JFIF and Adobe segments decide whether components are RGB."""
    extra = [segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")]
    image = jpeg(30, 20, [(ALL, CODED)], *extra)
    assert b"".join(_read(image).parts) == image


def test_orientations_are_read() -> None:
    """That of EXIF is read, and EXIF is not passed on."""
    file = _read(jpeg(30, 20, [(ALL, CODED)], segment(0xE1, EXIF)))
    assert file.orientation == 6
    assert b"Exif" not in b"".join(file.parts)


@pytest.mark.parametrize("image", [JPEG, WEB])
def test_every_truncation_is_refused(image: bytes) -> None:
    """A file that ends early is refused, not filled up with grey."""
    for end in range(len(image) - 1, 2, -1):
        with pytest.raises(InvalidInputError):
            _read(image[:end])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (START + frame(30, 20, marker=0xC3) + SCAN + END, "lossless"),
        (START + frame(30, 20, marker=0xC5) + SCAN + END, "hierarchical"),
        (START + frame(30, 20, marker=0xC9) + SCAN + END, "arithmetic"),
        (START + frame(30, 20, marker=0xCA) + SCAN + END, "arithmetic"),
        (START + segment(0xCC, b"\0\0") + frame(30, 20) + SCAN + END, "out of place"),
        (START + frame(30, 20, bits=12) + SCAN + END, "12 bits"),
        (START + frame(30, 20, (0x11,) * 4) + SCAN + END, "CMYK"),
        (START + frame(30, 20, (0x11, 0x11)) + SCAN + END, "2 components"),
        (START + frame(30, 20, (0x01, 0x11, 0x11)) + SCAN + END, "frame header"),
        (START + frame(30, 20, (0x51, 0x11, 0x11)) + SCAN + END, "frame header"),
        (START + frame(30, 20) + frame(30, 20) + SCAN + END, "several frames"),
        (START + frame(30, 20) + SCAN + frame(30, 20) + SCAN + END, "several frames"),
        (START + frame(30, 0) + SCAN + segment(0xDC, b"\0\x14") + END, "30 x 0"),
        (START + frame(30, 20) + SCAN + segment(0xDC, b"\xff\xff") + END, "out of place"),
        (START + frame(3300, 100) + SCAN + END, "32 times"),
        (START + frame(300, 200) + SCAN + END, "60000 pixels"),
        (START + SCAN + END, "without a size"),
        (START + frame(30, 20) + SCAN, "cut off"),
        (START + frame(30, 20) + b"\0" + SCAN + END, "between"),
        (START + frame(30, 20) + END, "scans, or of none"),
        (START + b"\xff\xc0\x00\x05abcdefgh", "frame header"),
        (START + b"\xff\xc0\x00\x09\x08\0\1\0\1\x03\x01abcd", "frame header"),
        (START * 4, "out of place"),
        (START + b"\xff\xe0\x00\x01" + frame(30, 20), "ends early"),
        (START + b"\xff" * 50, "ends early"),
        (START + b"\xff\xe0\x00\x02" * 9000, "segments"),
        (_simple((ALL, b"")), "too few bytes"),
        (_simple((ALL, bytes(8))), "too few bytes"),
        (_simple((DC, bytes(4)), marker=PROGRESSIVE), "too few bytes"),
        (_simple((Scan((1, 2, 4)), CODED)), "scan header"),
        (_simple((Scan((1, 1)), CODED)), "scan header"),
        (_simple((Scan(()), CODED)), "scan header"),
        (_simple((ALL, CODED), marker=PROGRESSIVE), "scan header"),
        (_simple((Scan((1, 2), 1, 5), CODED), marker=PROGRESSIVE), "scan header"),
        (_simple((Scan((1,), 5, 64), CODED), marker=PROGRESSIVE), "scan header"),
        (_simple((Scan((1,), 5, 4), CODED), marker=PROGRESSIVE), "scan header"),
        (START + frame(30, 20) + segment(0xDA, b"\3") + CODED + END, "scan header"),
    ],
)
def test_what_no_camera_writes_is_refused(image: bytes, reason: str) -> None:
    """Each refusal says in words what is wrong."""
    with pytest.raises(InvalidInputError, match=reason):
        _read(image)


def test_scans_are_bounded() -> None:
    """A JPEG cannot ask for thousands of passes over its pixels."""
    scans = [(DC, CODED), *[(AC, b"\0")] * (MAX_SCANS - 1)]
    assert _read(_simple(*scans, marker=PROGRESSIVE)).width == 30
    with pytest.raises(InvalidInputError, match="scans"):
        _read(_simple(*scans, (AC, b"\0"), marker=PROGRESSIVE))


def test_restarts_belong_to_coded_data() -> None:
    """Neither they nor stuffed bytes end a scan."""
    coded = CODED + b"\xff\xd0\xff\x00\xff\xd7" + CODED
    image = jpeg(30, 20, [(ALL, coded)], segment(0xDD, b"\0\1"))
    assert b"".join(_read(image).parts) == image


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (_simple((ALL, CODED)), jpeg(30, 40, [(ALL, CODED)])),
        (_simple((ALL, CODED)), _simple((ALL, CODED), (ALL, CODED))),
        (_simple((DC, CODED), marker=PROGRESSIVE),
         _simple((DC, CODED), (AC, b"\0"), marker=PROGRESSIVE)),
        (_simple((DC, CODED), (Scan((1,), 1, 2), b"\0"), marker=PROGRESSIVE),
         _simple((DC, CODED), (AC, b"\0"), marker=PROGRESSIVE)),
        (jpeg(30, 20, [(Scan((1,)), CODED)], sampling=GREY), _simple((ALL, CODED))),
        (jpeg(30, 20, [(ALL, CODED)], sampling=HALF_COLOUR), _simple((ALL, CODED))),
        (_simple((ALL, CODED)), jpeg(30, 20, [(ALL, CODED)], segment(0xFE, b""))),
    ],
)  # fmt: skip
def test_work_follows_from_the_header(less: bytes, more: bytes) -> None:
    """More rows, scans, coefficients, components or segments are more work."""
    assert 0 < _read(less).work < _read(more).work


@given(st.binary(max_size=200), st.sampled_from([JPEG, WEB]), st.data())
def test_damage_is_an_error_of_ours(noise: bytes, image: bytes, data: st.DataObject) -> None:
    """Whatever bytes come, the answer is a file or an InvalidInputError."""
    at = data.draw(st.integers(0, len(image)))
    try:
        file = _read(image[:at] + noise + image[at + len(noise) :])
    except InvalidInputError:
        return
    assert file.width * file.height <= 10_000
