"""Core, pure, stdlib only: conversion of a tensor's elements from and to JSON.

Spec: content.md, section 4.
"""

from __future__ import annotations

import math
import struct
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.tensor import DataType, Parameter, Tensor, element_count

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLOATS: Final = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})


def tensor_of_json(
    name: str,
    datatype: DataType,
    shape: tuple[int, ...],
    data: object,
    parameters: Mapping[str, Parameter],
) -> Tensor:
    """Return a tensor from its JSON `data`, a flat list or lists nested exactly like the shape.

    Raises: MalformedError, also for an element out of the datatype's range.
    """
    if not isinstance(data, list):
        msg = f"tensor {name}: data is not a list"
        raise MalformedError(msg)
    flat = _flatten(name, shape, data)
    if datatype is DataType.BYTES:
        return Tensor.from_elements(name, _encoded(name, flat), shape, parameters)
    kinds = set(map(type, flat))
    allowed: set[type] = {int}
    if datatype is DataType.BOOL:
        allowed = {bool}
    elif datatype in _FLOATS:
        allowed = {int, float}
    if datatype.code is None or not kinds <= allowed:
        msg = f"tensor {name}: an element of data is not a {datatype} value in JSON"
        raise MalformedError(msg)
    try:
        packed = struct.pack(f"<{len(flat)}{datatype.code}", *flat)
    except (struct.error, OverflowError) as error:
        msg = f"tensor {name}: an element is out of range for {datatype}"
        raise MalformedError(msg) from error
    return Tensor(name=name, datatype=datatype, shape=shape, data=packed, parameters=parameters)


def elements_for_json(tensor: Tensor) -> list[bool | int | float | str]:
    """Return a tensor's elements as a flat list of JSON values.

    Raises: InvalidInputError for elements without a JSON form: BF16, BYTES that are not UTF-8, NaN
    and infinities.
    """
    if tensor.datatype is DataType.BYTES:
        try:
            return [str(element, "utf-8") for element in tensor.each_element()]
        except UnicodeDecodeError as error:
            msg = f"tensor {tensor.name}: BYTES that are not UTF-8 need the binary form"
            raise InvalidInputError(msg) from error
    code, size = tensor.datatype.code, tensor.datatype.size
    if code is None or size is None:
        msg = f"tensor {tensor.name}: {tensor.datatype} needs the binary form"
        raise InvalidInputError(msg)
    values = list(struct.unpack(f"<{len(tensor.data) // size}{code}", tensor.data))
    if tensor.datatype in _FLOATS and not all(map(math.isfinite, values)):
        msg = f"tensor {tensor.name}: NaN and infinities need the binary form"
        raise InvalidInputError(msg)
    return values


def _flatten(name: str, shape: tuple[int, ...], data: list[object]) -> list[object]:
    elements = element_count(shape, name)
    level = data
    if data and isinstance(data[0], list):
        expected = 1
        for size, inner in pairwise(shape):
            expected *= size
            if len(level) != expected or not all(
                isinstance(item, list) and len(item) == inner for item in level
            ):
                msg = f"tensor {name}: the nesting of data does not match the shape"
                raise MalformedError(msg)
            level = list(chain.from_iterable(level))  # type: ignore[arg-type]  # all are lists
    if len(level) != elements:
        msg = f"tensor {name}: data has {len(level)} elements, must have {elements}"
        raise MalformedError(msg)
    return level


def _encoded(name: str, elements: list[object]) -> list[bytes]:
    try:
        return [element.encode() for element in elements]  # type: ignore[attr-defined]
    except (AttributeError, UnicodeEncodeError) as error:
        msg = f"tensor {name}: a BYTES element is not a string in JSON"
        raise MalformedError(msg) from error
