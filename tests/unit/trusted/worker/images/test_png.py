"""Headers and chunks of PNG: what a decoder gets, and what is refused before it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.trusted.worker.images.png import read_png
from tests.support.images.png_files import SIGNATURE, chunk, header, png

if TYPE_CHECKING:
    from sealflow.trusted.worker.images.files import ImageFile

PNG = png(30, 20)
EXIF = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)


def _read(image: bytes, max_pixels: int = 10_000) -> ImageFile:
    return read_png(memoryview(image), max_pixels=max_pixels)


def _whole(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def test_sizes_are_read() -> None:
    """Width and height are those of the header, and the file is passed on as it is."""
    file = _read(PNG)
    assert (file.width, file.height, file.jpeg, file.orientation) == (30, 20, False, 1)
    assert b"".join(file.parts) == PNG


def test_only_the_picture_is_passed_on() -> None:
    """Texts, profiles, times and whatever comes next never reach the decoder."""
    kinds = (b"zTXt", b"iTXt", b"iCCP", b"tEXt", b"tIME", b"sPLT", b"eXIf", b"tRNS", b"abCd")
    extra = [chunk(kind, b"\0" * 40) for kind in kinds]
    assert b"".join(_read(png(30, 20, *extra)).parts) == PNG


def test_orientations_are_read() -> None:
    """EXIF in a PNG counts as it does in a JPEG."""
    assert _read(png(30, 20, chunk(b"eXIf", EXIF))).orientation == 6


def test_every_truncation_is_refused() -> None:
    """A file that ends early is refused, not filled up with grey."""
    for end in range(len(PNG) - 1, 8, -1):
        with pytest.raises(InvalidInputError, match="ends early"):
            _read(PNG[:end])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (_whole(header(30, 20, depth=7)), "unknown kind"),
        (_whole(header(30, 20, colour=5)), "unknown kind"),
        (_whole(header(30, 20, interlace=2)), "unknown kind"),
        (_whole(header(0, 20)), "0 x 20"),
        (_whole(header(30_000, 30_000)), "900000000 pixels"),
        (_whole(chunk(b"IHDR", bytes(8))), "broken header"),
        (_whole(header(30, 20), chunk(b"acTL", bytes(8))), "animated"),
        (_whole(header(30, 20), header(30, 20)), "exactly one header"),
        (_whole(chunk(b"IDAT"), header(30, 20)), "exactly one header"),
        (_whole(), "exactly one header"),
        (_whole(header(30, 20), chunk(b"PICT")), "unknown critical chunk"),
        (_whole(header(30, 20), *[chunk(b"tEXt")] * 9000), "chunks"),
        (_whole(header(30, 20)), "too few bytes"),
        (_whole(header(100, 100), chunk(b"IDAT", bytes(29))), "too few bytes"),
    ],
)
def test_what_no_camera_writes_is_refused(image: bytes, reason: str) -> None:
    """Each refusal says in words what is wrong."""
    with pytest.raises(InvalidInputError, match=reason):
        _read(image)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (png(30, 20), png(30, 40)),
        (png(30, 20), png(30, 20, depth=16)),
        (png(30, 20, colour=0), png(30, 20, colour=2)),
        (png(30, 20), png(30, 20, interlace=1)),
        (png(30, 20, colour=0), png(30, 20, colour=0, depth=1)),
        (png(30, 20), png(30, 20, chunk(b"tEXt", b"\0"))),
    ],
)
def test_work_follows_from_the_header(less: bytes, more: bytes) -> None:
    """More rows, bits, channels, passes or chunks are more work."""
    assert 0 < _read(less).work < _read(more).work


@given(st.binary(max_size=200), st.integers(0, len(PNG)))
def test_damage_is_an_error_of_ours(noise: bytes, at: int) -> None:
    """Whatever bytes come, the answer is a file or an InvalidInputError."""
    try:
        file = _read(PNG[:at] + noise + PNG[at + len(noise) :])
    except InvalidInputError:
        return
    assert file.width * file.height <= 10_000
