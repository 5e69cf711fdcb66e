"""ONNX files: weights in other files are found wherever a tensor can be, and noise is no model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import BundleError
from sealflow.owner.models.onnx_weights import has_external_data
from tests.support.models import onnx_models

EXAMPLES = Path(__file__).parents[4] / "examples"


def varint(value: int) -> bytes:
    """A number as protobuf has it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int) -> bytes:
    """A field of a message: bytes, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def along(*path: int, tensor: bytes) -> bytes:
    """A model with one tensor at the end of a path of field numbers."""
    for number in reversed(path):
        tensor = field(number, tensor)
    return tensor


OUTSIDE = field(13, b"location") + field(14, 1)
INSIDE = field(9, bytes(16)) + field(14, 0)
PLACES = {
    "initializer": (7, 5),
    "sparse initializer's values": (7, 15, 1),
    "sparse initializer's indices": (7, 15, 2),
    "attribute's tensor": (7, 1, 5, 5),
    "attribute's tensors": (7, 1, 5, 10),
    "attribute's sparse tensor": (7, 1, 5, 22, 1),
    "attribute's sparse tensors": (7, 1, 5, 23, 2),
    "subgraph": (7, 1, 5, 6, 5),
    "subgraphs": (7, 1, 5, 11, 1, 5, 5),
    "function's node": (25, 7, 5, 5),
    "function's attribute": (25, 11, 5),
}


@pytest.mark.parametrize("place", PLACES)
def test_outside_weights_are_found_everywhere(place: str) -> None:
    """In each place where onnx.proto has a tensor."""
    assert has_external_data(along(*PLACES[place], tensor=OUTSIDE))
    assert not has_external_data(along(*PLACES[place], tensor=INSIDE))


def test_a_real_model_is_told_apart() -> None:
    """The examples keep their weights inside."""
    assert has_external_data(onnx_models.with_outside_weights("weights.bin"))
    assert not has_external_data(onnx_models.linear(np.zeros((4, 2), np.float32)))
    for name in ("tiny", "efficientnet-lite0"):
        assert not has_external_data((EXAMPLES / name / "model.onnx").read_bytes())


def test_fields_of_every_type_are_passed_over() -> None:
    """Versions to come may add fields."""
    added = (
        varint(100 << 3 | 1) + bytes(8) + varint(101 << 3 | 5) + bytes(4) + field(102, 2**64 - 1)
    )
    assert has_external_data(added + field(7, added + field(5, added + OUTSIDE)))


@pytest.mark.parametrize(
    "model",
    [
        b"",
        b"\x08",
        b"\x80",
        b"\x08" + b"\xff" * 10 + b"\x01",
        field(1, 8),
        field(7, 1),
        b"\x3a\x05abc",
        b"\x3a" + varint(2**63) + b"a",
        b"\x3b\x3c",
        b"\x39abc",
        b"\x80\x02]q\x00.",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        b"\x93NUMPY\x01\x00",
        b"<net/>",
        along(7, *(1, 5, 6) * 20, 5, tensor=INSIDE),
    ],
)
def test_what_is_no_onnx_model_is_refused(model: bytes) -> None:
    """Pickles, archives, other formats, damaged and endlessly nested files."""
    with pytest.raises(BundleError, match="not an ONNX model"):
        has_external_data(model)


@given(st.binary(max_size=100))
def test_noise_is_judged_or_refused(noise: bytes) -> None:
    """There is no other error."""
    for model in (noise, field(7, noise)):
        try:
            has_external_data(model)
        except BundleError:
            continue


def test_a_cut_off_model_is_refused() -> None:
    """Most damage is noticed before anything is uploaded."""
    model = field(7, field(5, INSIDE))
    for end in range(len(model)):
        with pytest.raises(BundleError):
            has_external_data(model[:end])
