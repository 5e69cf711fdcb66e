"""Tensors, one by its bytes, or any that the protocol has, for hypothesis."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sealflow.openinfer.messages import InferRequest, InferResponse, RequestedOutput
from sealflow.openinfer.tensor import DataType, Parameter, Tensor, parse_datatype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

FLOATS = (DataType.FP16, DataType.FP32, DataType.FP64)
WITH_CODE = tuple(datatype for datatype in DataType if datatype.code is not None)
WITH_SIZE = tuple(datatype for datatype in DataType if datatype.size is not None)
IN_JSON = (*WITH_CODE, DataType.BYTES)

_NUMBERS = {
    DataType.FP16: st.floats(width=16, allow_nan=False, allow_infinity=False),
    DataType.FP32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    DataType.FP64: st.floats(width=64, allow_nan=False, allow_infinity=False),
}
_WITH_MEANING = ("binary_data_size", "classification")

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20).filter(
    str.isprintable
)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
parameters: SearchStrategy[dict[str, Parameter]] = st.dictionaries(
    names.filter(lambda it: it not in _WITH_MEANING and not it.startswith("shared_memory_")),
    st.one_of(
        st.text(max_size=5),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=3,
)


@st.composite
def tensors(
    draw: DrawFn, datatypes: Sequence[DataType] = tuple(DataType), *, for_json: bool = False
) -> Tensor:
    """Any tensor; with `for_json` one that JSON can hold."""
    datatype, shape = draw(st.sampled_from(datatypes)), draw(shapes)
    name, extra, count = draw(names), draw(parameters), math.prod(shape)
    if datatype is DataType.BYTES:
        element = st.text(max_size=8).map(str.encode) if for_json else st.binary(max_size=8)
        elements = draw(st.lists(element, min_size=count, max_size=count))
        return Tensor.from_elements(name, elements, shape, extra)
    if datatype is DataType.BOOL:
        data = bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    elif for_json and datatype in FLOATS:
        numbers = draw(st.lists(_NUMBERS[datatype], min_size=count, max_size=count))
        data = struct.pack(f"<{count}{datatype.code}", *numbers)
    else:
        size = count * (datatype.size or 0)
        data = draw(st.binary(min_size=size, max_size=size))
    return Tensor(name=name, datatype=datatype, shape=shape, data=data, parameters=extra)


def several(
    least: int, datatypes: Sequence[DataType] = tuple(DataType), *, for_json: bool = False
) -> SearchStrategy[tuple[Tensor, ...]]:
    """Up to four tensors of different names."""
    each = tensors(datatypes, for_json=for_json)
    return st.lists(each, min_size=least, max_size=4, unique_by=lambda it: it.name).map(tuple)


def requests(
    datatypes: Sequence[DataType] = tuple(DataType), *, for_json: bool = False
) -> SearchStrategy[InferRequest]:
    """Any request."""
    wanted = st.builds(
        RequestedOutput,
        name=names,
        parameters=st.one_of(
            parameters, st.integers(1, 65_536).map(lambda count: {"classification": count})
        ),
    )
    return st.builds(
        InferRequest,
        id=st.one_of(st.none(), st.text(max_size=10)),
        inputs=several(1, datatypes, for_json=for_json),
        outputs=st.lists(wanted, max_size=3, unique_by=lambda it: it.name).map(tuple),
        parameters=parameters,
    )


def responses(
    datatypes: Sequence[DataType] = tuple(DataType), *, for_json: bool = False
) -> SearchStrategy[InferResponse]:
    """Any response."""
    return st.builds(
        InferResponse,
        model_name=names,
        model_version=st.one_of(st.none(), names),
        id=st.one_of(st.none(), st.text(max_size=10)),
        outputs=several(0, datatypes, for_json=for_json),
        parameters=parameters,
    )


def tensor(shape: tuple[int, ...], data: bytes | memoryview, kind: str = "UINT8") -> Tensor:
    """A tensor that only its shape and bytes matter of."""
    return Tensor(name="x", datatype=parse_datatype(kind), shape=shape, data=data)
