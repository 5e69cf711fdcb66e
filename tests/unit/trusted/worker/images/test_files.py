"""What JPEG and PNG have in common: limits of size, and the orientation of EXIF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.trusted.worker.images.files import check_size, read_orientation


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (0, 20, "0 x 20 pixels: each side must be 1 to 32768"),
        (20, 0, "each side"),
        (32_769, 32_769, "each side"),
        (33, 1, "at most 32 times the other; crop it"),
        (1, 33, "at most 32 times"),
        (30, 20, "30 x 20 = 600 pixels; the limit is 599: send a smaller image"),
    ],
)
def test_sizes_are_bounded(width: int, height: int, reason: str) -> None:
    """Sides, their proportion and the pixels have limits, and the message says which."""
    with pytest.raises(InvalidInputError, match=reason):
        check_size(width, height, 599)


def test_sizes_at_the_limits_are_taken() -> None:
    """The limits themselves are allowed."""
    check_size(1, 32, 32)
    check_size(32, 1, 32)
    check_size(32_768, 32_768, 2**30)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientations_are_found(order: str) -> None:
    """The tag is found behind other tags, in both byte orders."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(f"{order}HHIHH", 0x010F, 2, 1, 65, 0)
    for orientation in range(1, 9):
        entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
        exif = mark + struct.pack(f"{order}IH", 8, 2) + other + entry
        assert read_orientation(exif) == orientation


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"XX*\0" + bytes(40),
        b"MM\0*" + struct.pack(">I", 2**32 - 1),
        b"MM\0*" + struct.pack(">IH", 8, 65_535),
        b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 9, 0),
        b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 4, 1, 6, 0),
        b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 2, 6, 0),
    ],
)
def test_damaged_orientations_turn_nothing(exif: bytes) -> None:
    """A value or block that EXIF does not allow counts as none."""
    assert read_orientation(exif) == 1


@given(st.binary(max_size=80))
def test_any_bytes_have_an_orientation(noise: bytes) -> None:
    """No bytes are an error."""
    assert 1 <= read_orientation(b"II*\0" + noise) <= 8
