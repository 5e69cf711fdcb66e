"""Core, pure: conversion of tensors from and to numpy arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sealflow.errors import InvalidInputError
from sealflow.openinfer.tensor import DataType, Tensor

_DTYPES: Final = {
    datatype: np.dtype("<?" if datatype is DataType.BOOL else f"<{datatype.code}")
    for datatype in DataType
    if datatype.code is not None
}
_DATATYPES: Final = {dtype: datatype for datatype, dtype in _DTYPES.items()}


def dtype_of(datatype: DataType) -> np.dtype[Any]:
    """Return the little-endian numpy dtype of a datatype; `object` for BYTES.

    Raises: InvalidInputError for BF16, which numpy does not have.
    """
    if datatype is DataType.BYTES:
        return np.dtype(object)
    if datatype not in _DTYPES:
        msg = f"datatype {datatype} has no numpy dtype"
        raise InvalidInputError(msg)
    return _DTYPES[datatype]


def to_numpy(tensor: Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a tensor as a read-only array, without a copy unless its memory is unaligned.

    A BYTES tensor becomes an object array of `bytes`, which are copies.

    Raises: InvalidInputError for BF16.
    """
    dtype = dtype_of(tensor.datatype)
    if tensor.datatype is DataType.BYTES:
        elements = (bytes(element) for element in tensor.each_element())
        array = np.fromiter(elements, dtype).reshape(tensor.shape)
    else:
        array = np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
        if not array.flags.aligned:
            array = array.copy()
    array.flags.writeable = False
    return array


def from_numpy(name: str, array: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """Return an array of numbers, booleans, strings or bytes as a tensor.

    Strings become BYTES in UTF-8. A numeric tensor may share the array's memory, so do not change
    the array until the tensor is sealed.

    Raises: InvalidInputError for any other dtype.
    """
    if array.dtype.kind in "OSU":
        elements = [_bytes(name, element) for element in array.reshape(-1).tolist()]
        return Tensor.from_elements(name, elements, array.shape)
    datatype = _DATATYPES.get(array.dtype) or _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        msg = f"tensor {name}: numpy dtype {array.dtype} has no datatype of the protocol"
        raise InvalidInputError(msg)
    data = np.ascontiguousarray(array, _DTYPES[datatype]).data
    return Tensor(name=name, datatype=datatype, shape=array.shape, data=data)


def _bytes(name: str, element: object) -> bytes:
    if isinstance(element, bytes):
        return element
    try:
        return element.encode()  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, UnicodeEncodeError) as error:
        msg = f"tensor {name}: an element is neither bytes nor a string in UTF-8"
        raise InvalidInputError(msg) from error
