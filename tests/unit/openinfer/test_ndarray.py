"""Tensors as numpy arrays, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import dtype_of, from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from tests.support.models.tensors import IN_JSON, WITH_CODE, tensors


@given(tensors(IN_JSON))
def test_a_tensor_comes_back_through_numpy(tensor: Tensor) -> None:
    """Shape, datatype and every bit are kept."""
    array = to_numpy(tensor)
    assert array.shape == tensor.shape
    again = from_numpy(tensor.name, array)
    assert (again.name, again.datatype, again.shape, bytes(again.data)) == (
        tensor.name,
        tensor.datatype,
        tensor.shape,
        bytes(tensor.data),
    )


@pytest.mark.parametrize("datatype", WITH_CODE)
def test_arrays_of_each_type_become_tensors(datatype: DataType) -> None:
    """Big-endian, transposed and strided arrays are written little-endian in C order."""
    array = np.arange(24).reshape(2, 3, 4).astype(dtype_of(datatype))
    for seen in (array, array.T, array[:, ::-2], array.astype(array.dtype.newbyteorder(">"))):
        tensor = from_numpy("x", seen)
        assert tensor.datatype is datatype
        assert tensor.shape == seen.shape
        assert bytes(tensor.data) == array.dtype.type(seen).tobytes()


def test_memory_is_shared_and_read_only() -> None:
    """No copy is made in either direction, and nobody writes into a message."""
    array = np.arange(4, dtype="<f4")
    tensor = from_numpy("x", array)
    array[0] = 9
    seen = to_numpy(tensor)
    assert seen[0] == 9
    assert np.shares_memory(seen, array)
    for kept in (seen, to_numpy(Tensor.from_elements("x", [b"a"]))):
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = kept[0]


def test_unaligned_memory_is_copied() -> None:
    """Runtimes get aligned arrays, wherever the tensor lay in its message."""
    data = memoryview(bytes(17))
    for start in (0, 1):
        tensor = Tensor(name="x", datatype=DataType.FP64, shape=(2,), data=data[start : start + 16])
        assert to_numpy(tensor).flags.aligned


@pytest.mark.parametrize(
    "array",
    [
        np.array(["ä", "b"]),
        np.array(["ä".encode(), b"b"]),
        np.array(["ä", b"b"], dtype=object),
        np.array([np.str_("ä"), np.bytes_(b"b")], dtype=object),
    ],
)
def test_text_and_bytes_become_bytes(array: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Text is written as UTF-8."""
    tensor = from_numpy("x", array)
    assert tensor.datatype is DataType.BYTES
    assert to_numpy(tensor).tolist() == ["ä".encode(), b"b"]


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a"], dtype=object),
        np.array([None], dtype=object),
        np.array(["\ud800"], dtype=object),
        np.array([1j]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2)], dtype=[("a", "i4"), ("b", "f4")]),
        np.zeros(1, dtype=np.longdouble),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray[Any, np.dtype[Any]]) -> None:
    """What has no datatype is said, not guessed."""
    with pytest.raises(InvalidInputError):
        from_numpy("x", array)


def test_numpy_has_no_bf16() -> None:
    """Such a tensor is refused clearly."""
    tensor = Tensor(name="x", datatype=DataType.BF16, shape=(1,), data=b"\0\0")
    with pytest.raises(InvalidInputError, match="BF16"):
        to_numpy(tensor)


def test_platform_integers_have_a_datatype() -> None:
    """C's names for the same width are the same."""
    for kind in (np.longlong, np.int64, np.intp):
        assert from_numpy("x", np.zeros(1, kind)).datatype is DataType.INT64
