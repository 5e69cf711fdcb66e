"""Values of lists and arrays reach a model as they are, or the error names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import to_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.owner.client.arrays import tensor_of

CHANGED: list[tuple[Any, DataType, str]] = [
    ([[np.int64(300)]], DataType.UINT8, r"300 at \[0, 0\] is not a value of UINT8"),
    ([1, -1], DataType.UINT64, r"-1 at \[1\]"),
    ([[1.9]], DataType.INT64, r"1.9 at \[0, 0\]"),
    ([70000.0], DataType.FP16, r"70000.0 at \[0\]"),
    ([1e39], DataType.FP32, r"1e\+39 at \[0\]"),
    (np.float64(1e300), DataType.FP32, r"1e\+300 at \[\]"),
    ([["False"]], DataType.BOOL, r"'False' at \[0, 0\]"),
    ([["1"]], DataType.INT64, r"'1' at \[0, 0\]"),
    ([2], DataType.BOOL, r"2 at \[0\]"),
    ([[0.5, None]], DataType.FP32, r"None at \[0, 1\]"),
    ([float("nan")], DataType.INT8, r"nan at \[0\]"),
    ([2**63, -1], DataType.INT64, r"9223372036854775808 at \[0\]"),
    ([2**64], DataType.UINT64, r"18446744073709551616 at \[0\]"),
    ([2**400], DataType.FP32, r"at \[0\] is not a value of FP32"),
    ([10**400], DataType.FP64, r"at \[0\] is not a value of FP64"),
    ([16777217], DataType.FP32, r"16777217 at \[0\]"),
    ([2**53 + 1], DataType.FP64, r"9007199254740993 at \[0\]"),
    (np.array([2.0**63]), DataType.INT64, r"9.22.*e\+18 at \[0\]"),
    ([1 + 2j], DataType.FP32, r"\(1\+2j\) at \[0\]"),
    (np.array([1, 300]), DataType.INT8, r"300 at \[1\]"),
    (np.ma.masked_greater([1.0, 2.0], 1.5), DataType.FP32, r"the value at \[1\] is masked"),
    ([1], DataType.BYTES, "neither bytes nor a string"),
    ([[1, 2], [3]], DataType.INT8, "inhomogeneous"),
    ({}, DataType.FP32, r"\{\} at \[\]"),
]
KEPT: list[tuple[Any, DataType, Any]] = [
    ([2**63 - 1, 2**63], DataType.UINT64, [2**63 - 1, 2**63]),
    ([9007199254740993, 1.0], DataType.INT64, [9007199254740993, 1]),
    ([1, 0, True, np.zeros(1, bool)[0]], DataType.BOOL, [True, False, True, False]),
    ([16777216], DataType.FP32, [16777216.0]),
    ([2**80], DataType.FP32, [2.0**80]),
    ([float("inf")], DataType.FP16, [float("inf")]),
    ([3.0, np.float32(4)], DataType.INT8, [3, 4]),
    (np.array([[0.5, 2]]), DataType.FP32, [[0.5, 2]]),
    (np.ma.array([1.0, 2.0]), DataType.FP32, [1, 2]),
    (np.array([], np.float64), DataType.INT8, []),
    (["grün", b"x"], DataType.BYTES, ["grün".encode(), b"x"]),
    (np.array([1, 2], ">i8"), DataType.INT64, [1, 2]),
]


@pytest.mark.parametrize(("value", "datatype", "words"), CHANGED)
def test_changed(value: object, datatype: DataType, words: str) -> None:
    """The error names tensor, value and place."""
    with pytest.raises(InvalidInputError, match=f"tensor x: .*{words}"):
        tensor_of("x", value, datatype)


@pytest.mark.parametrize(("value", "datatype", "expected"), KEPT)
def test_kept(value: object, datatype: DataType, expected: list[Any]) -> None:
    """The tensor has the caller's values."""
    assert to_numpy(tensor_of("x", value, datatype)).tolist() == expected


def test_rounded() -> None:
    """Real numbers are rounded to the model's datatype, from lists and arrays."""
    for value in ([0.1], np.array([0.1])):
        assert to_numpy(tensor_of("x", value, DataType.FP32)) == np.float32(0.1)


INTEGERS = [each for each in DataType if each.code is not None and each.name[:3] in {"INT", "UIN"}]


@given(
    st.lists(st.integers(-(2**65), 2**65) | st.floats() | st.booleans(), min_size=1, max_size=4),
    st.sampled_from([*INTEGERS, DataType.BOOL, DataType.FP16, DataType.FP32, DataType.FP64]),
)
def test_any_list(values: list[Any], datatype: DataType) -> None:
    """Whatever is taken comes out equal, but for the rounding of real numbers."""
    try:
        found = to_numpy(tensor_of("x", values, datatype)).tolist()
    except InvalidInputError:
        return
    real = datatype in {DataType.FP16, DataType.FP32, DataType.FP64}
    for given_value, out in zip(values, found, strict=True):
        if real and any(isinstance(each, float) for each in values):
            assert out == pytest.approx(float(given_value), rel=1e-3, abs=1e-7, nan_ok=True)
        else:
            assert out == given_value
