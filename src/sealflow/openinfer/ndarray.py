"""Core, pure: tensors as numpy arrays and back."""

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
    """Return the little-endian numpy type of a datatype; BYTES are Python objects.

    Raises: InvalidInputError for BF16, which numpy does not have.
    """
    if datatype is DataType.BYTES:
        return np.dtype(object)
    if datatype not in _DTYPES:
        msg = f"{datatype} has no numpy type"
        raise InvalidInputError(msg)
    return _DTYPES[datatype]


def to_numpy(tensor: Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a tensor as a read-only array, without a copy unless its memory is unaligned.

    BYTES come as an object array of `bytes`.

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
    """Make a tensor of an array: numbers, booleans, or text and bytes (as BYTES, text as UTF-8).

    Shares the array's memory where it can: leave the array alone until the tensor is sealed.

    Raises: InvalidInputError for any other type.
    """
    if array.dtype.kind in "OSU":
        elements = [_bytes(name, element) for element in array.reshape(-1).tolist()]
        return Tensor.of_bytes(name, elements, array.shape)
    datatype = _DATATYPES.get(array.dtype) or _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        msg = f"tensor {name}: numpy type {array.dtype} has no datatype"
        raise InvalidInputError(msg)
    data = np.ascontiguousarray(array, _DTYPES[datatype]).data
    return Tensor(name=name, datatype=datatype, shape=array.shape, data=data)


def _bytes(name: str, element: object) -> bytes:
    if isinstance(element, bytes):
        return element
    try:
        return element.encode()  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, UnicodeEncodeError) as error:
        msg = f"tensor {name}: an element is neither bytes nor text"
        raise InvalidInputError(msg) from error
