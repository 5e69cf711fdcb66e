"""Owner: makes tensors of callers' lists and arrays, without a change of their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import dtype_of, from_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.openinfer.tensor import DataType, Tensor

_NUMBERS: Final = "biuf"
_SHOWN: Final = 40
_EXACT: Final = 2**53
"""Up to this size a binary64 number holds every integer."""


def tensor_of(name: str, value: object, datatype: DataType) -> Tensor:
    """Return a list or array as a tensor of a model's datatype.

    Real numbers are rounded to the datatype. Every other change of a value is an error: a number
    out of range, a fraction or a large integer that the datatype lacks, text or None for a number,
    a masked value.

    Raises: InvalidInputError that names the tensor, the place and the value.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        place = _first(np.ma.getmaskarray(value))
        msg = f"tensor {name}: the value at {list(place)} is masked: fill it, or leave it out"
        raise InvalidInputError(msg)
    wanted = dtype_of(datatype)
    try:
        array: NDArray[Any] = np.asarray(value, wanted if wanted.kind == "O" else None)
        if array.dtype.kind == "f" and wanted.kind in "iu" and not isinstance(value, np.ndarray):
            # Of a list with integers beyond INT64, numpy makes binary64 numbers.
            array = np.asarray(value, object)
        if array.dtype == wanted:
            return from_numpy(name, array)
        kept = _kept(array, wanted)
        if not kept.all():
            place = _first(~kept)
            shown = repr(array[place].item() if array.dtype != object else array[place])[:_SHOWN]
            msg = f"tensor {name}: {shown} at {list(place)} is not a value of {datatype}"
            raise InvalidInputError(msg)
        with np.errstate(over="ignore"):
            return from_numpy(name, array.astype(wanted))
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(f"tensor {name}: {error}") from error


def _kept(array: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[np.bool_]:
    """Return which values a datatype of numbers has; it has a real number if it only rounds it."""
    if array.dtype.kind not in _NUMBERS:
        return np.array([_keeps(each, wanted) for each in array.reshape(-1).tolist()]).reshape(
            array.shape
        )
    if wanted.kind == "b":
        kept = (array == 0) | (array == 1)
    elif wanted.kind in "iu":
        limits = np.iinfo(wanted)
        kept = (array >= limits.min) & (array < limits.max + 1)
        if array.dtype.kind == "f":
            kept &= np.trunc(array) == array
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            kept = np.isfinite(array.astype(wanted)) | ~np.isfinite(array)
    else:
        with np.errstate(over="ignore"):
            cast = array.astype(wanted).astype(np.float64)
        kept = cast == array
        large = (cast >= _EXACT) | (cast <= -_EXACT)
        kept[large] = [
            np.isfinite(found) and int(found) == int(given)
            for found, given in zip(cast[large], array[large], strict=True)
        ]
    return np.asarray(kept, np.bool_)


def _keeps(value: object, wanted: np.dtype[Any]) -> bool:
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return False
    if wanted.kind in "iu" and isinstance(value, int | np.integer):
        limits = np.iinfo(wanted)
        return bool(int(limits.min) <= int(value) <= int(limits.max))
    if isinstance(value, int) and abs(value) >= _EXACT:
        try:
            with np.errstate(over="ignore"):
                found = float(wanted.type(float(value)))
        except OverflowError:
            return False
        return math.isfinite(found) and int(found) == value
    return bool(_kept(np.asarray(value).reshape(1), wanted).all())


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the place of the first true value."""
    return tuple(int(each) for each in np.unravel_index(int(wrong.argmax()), wrong.shape))
