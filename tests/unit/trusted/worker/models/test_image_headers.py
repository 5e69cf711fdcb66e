"""Sizes of images before they are decoded: bombs and damage are refused with a reason."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.trusted.worker.models.image_headers import MAX_SCANS, read_size

PIXELS = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
PROGRESSIVE = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


def _read(image: bytes, max_pixels: int = 10_000) -> tuple[int, int, bool]:
    size = read_size(memoryview(image), max_pixels=max_pixels)
    return size.width, size.height, size.jpeg


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def _png(header: bytes, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + b"".join(chunks) + _chunk(b"IEND", b"")


def _frame(marker: int = 0xC0, *, bits: int = 8, components: int = 3) -> bytes:
    body = struct.pack(">BHHB", bits, 20, 30, components) + b"\1\x11\0" * components
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
END = b"\xff\xd9"


def test_sizes_are_read() -> None:
    """Baseline, progressive and PNG give width and height."""
    assert _read(JPEG) == (30, 20, True)
    assert _read(PROGRESSIVE) == (30, 20, True)
    assert _read(PNG) == (30, 20, False)


def test_pixels_are_bounded_before_decoding() -> None:
    """The limit counts pixels, and the message says both figures."""
    assert _read(PNG, max_pixels=600) == (30, 20, False)
    with pytest.raises(InvalidInputError, match="30 x 20 = 600 pixels; the limit is 599"):
        _read(PNG, max_pixels=599)


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    """A few kilobytes that would unpack to gigabytes never reach the decoder."""
    bomb = _png(struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0), _chunk(b"IDAT", b"x" * 999))
    with pytest.raises(InvalidInputError, match="900000000 pixels"):
        _read(bomb, max_pixels=50_000_000)


@pytest.mark.parametrize("image", [JPEG, PROGRESSIVE, PNG])
def test_every_truncation_is_refused(image: bytes) -> None:
    """A file that ends early is refused, not filled up with grey."""
    for end in range(len(image) - (2 if image is not PNG else 1), 0, -1):
        with pytest.raises(InvalidInputError):
            _read(image[:end])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "neither"),
        (b"GIF89a" + bytes(20), "neither"),
        (b"RIFF\0\0\0\0WEBP", "neither"),
        (b"\xff\xd8" + _frame(0xC3) + SCAN + END, "lossless"),
        (b"\xff\xd8" + _frame(0xC9) + SCAN + END, "arithmetic"),
        (b"\xff\xd8" + _frame(bits=12) + SCAN + END, "12 bits"),
        (b"\xff\xd8" + _frame(components=4) + SCAN + END, "CMYK"),
        (b"\xff\xd8" + _frame() + _frame() + SCAN + END, "several frames"),
        (b"\xff\xd8" + SCAN + END, "without a size"),
        (b"\xff\xd8" + _frame() + SCAN, "cut off"),
        (b"\xff\xd8" + _frame() + b"\0" + SCAN + END, "between"),
        (b"\xff\xd8\xff\xc0\x00\x05abcdefgh", "frame header"),
        (b"\xff\xd8\xff\xc0\x00\x09\x08\0\1\0\1\x03\x01abcd", "frame header"),
        (b"\xff\xd8\xff\xd8\xff\xd8\xff\xd8", "out of place"),
        (b"\xff\xd8\xff\xe0\x00\x01" + _frame(), "ends early"),
        (b"\xff\xd8" + b"\xff" * 50, "ends early"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 9000, "segments"),
        (_png(struct.pack(">IIBBBBB", 30, 20, 7, 2, 0, 0, 0)), "unknown kind"),
        (_png(struct.pack(">IIBBBBB", 30, 20, 8, 2, 0, 0, 2)), "unknown kind"),
        (_png(struct.pack(">IIBBBBB", 0, 20, 8, 2, 0, 0, 0)), "0 x 20"),
        (_png(struct.pack(">II", 30, 20)), "broken header"),
        (_png(PNG[16:29], _chunk(b"acTL", bytes(8))), "animated"),
        (_png(PNG[16:29], _chunk(b"IHDR", PNG[16:29])), "exactly one header"),
        (_png(PNG[16:29], *[_chunk(b"tEXt", b"")] * 9000), "chunks"),
        (b"\x89PNG\r\n\x1a\n" + _chunk(b"IDAT", b"") + PNG[8:], "exactly one header"),
    ],
)
def test_what_no_camera_writes_is_refused(image: bytes, reason: str) -> None:
    """Each refusal says in words what is wrong."""
    with pytest.raises(InvalidInputError, match=reason):
        _read(image)


def test_scans_are_bounded() -> None:
    """A JPEG cannot ask for thousands of passes over its pixels."""
    assert _read(b"\xff\xd8" + _frame(0xC2) + SCAN * MAX_SCANS + END) == (30, 20, True)
    with pytest.raises(InvalidInputError, match="scans"):
        _read(b"\xff\xd8" + _frame(0xC2) + SCAN * (MAX_SCANS + 1) + END)


@given(st.binary(max_size=200), st.integers(0, 2), st.data())
def test_damage_is_an_error_of_ours(noise: bytes, which: int, data: st.DataObject) -> None:
    """Whatever bytes come, the answer is a size or an InvalidInputError."""
    image = bytearray((JPEG, PROGRESSIVE, PNG)[which])
    at = data.draw(st.integers(0, len(image)))
    image[at : at + len(noise)] = noise
    try:
        width, height, _ = _read(bytes(image))
    except InvalidInputError:
        return
    assert width * height <= 10_000
