"""Specifications of tensors: what fits, what nothing could fit, and their JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.tensor import MAX_RANK, DataType, Tensor, TensorSpec
from tests.support.models.tensors import tensor

SPEC = TensorSpec(name="x", datatype=DataType.UINT8, shape=(-1, 3))


def test_a_specification_takes_what_fits() -> None:
    """Minus one stands for any size of at least one."""
    SPEC.check(tensor((1, 3), bytes(3)))
    SPEC.check(tensor((2, 3), bytes(6)))


@pytest.mark.parametrize(
    "other",
    [
        tensor((0, 3), b""),
        tensor((3,), bytes(3)),
        tensor((1, 2), bytes(2)),
        tensor((1, 1, 3), bytes(3)),
        tensor((1, 3), bytes(3), "INT8"),
        Tensor(name="y", datatype=DataType.UINT8, shape=(1, 3), data=bytes(3)),
    ],
)
def test_a_specification_refuses_what_does_not_fit(other: Tensor) -> None:
    """Name, datatype, rank and every fixed size count."""
    with pytest.raises(InvalidInputError):
        SPEC.check(other)


@pytest.mark.parametrize(
    "shape", [(0,), (-2,), (2**31,), (-1, 2**31), (2**16, 2**16), (1,) * (MAX_RANK + 1)]
)
def test_a_specification_that_nothing_could_fit_is_malformed(shape: tuple[int, ...]) -> None:
    """Sizes are -1 or positive, and the known ones stay within the bound."""
    with pytest.raises(MalformedError):
        TensorSpec(name="x", datatype=DataType.FP32, shape=shape)


@given(
    st.sampled_from(DataType),
    st.lists(st.one_of(st.just(-1), st.integers(1, 9)), max_size=MAX_RANK // 2).map(tuple),
)
def test_specifications_come_back_from_json(datatype: DataType, shape: tuple[int, ...]) -> None:
    """What manifests hold is what was meant."""
    spec = TensorSpec(name="x", datatype=datatype, shape=shape)
    assert TensorSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"name": "x", "datatype": "FP32"},
        {"name": "x", "datatype": "FP32", "shape": [1], "more": 1},
        {"name": 1, "datatype": "FP32", "shape": [1]},
    ],
)
def test_a_specification_is_read_strictly(value: object) -> None:
    """Missing and unknown keys are malformed."""
    with pytest.raises(MalformedError):
        TensorSpec.from_json(value)
