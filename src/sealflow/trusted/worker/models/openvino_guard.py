"""Worker: makes a model fail where OpenVINO would compute a wrong value or read other memory.

OpenVINO's plugin for CPUs holds INT64, UINT64 and FP64 in 32 bits, answers 0 for an index of
`Gather` that is out of range, and reads beyond a tensor in some operators of indices. So FP64 and
those operators are refused at load; the rest is checked in the graph itself, by one more output.
Spec: content.md, 7.7. Tried with OpenVINO 2026.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from openvino import opset13

from sealflow.errors import BundleError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from openvino import Model, Node, Output

_WIDE: Final = frozenset({"i64", "u64"})
_LEAST: Final = -(2**31)
_MOST: Final = 2**31 - 1
_FLOAT_MOST: Final = 2147480000.0
"""Below 2**31 by more than the rounding of a binary32 number of that size."""
_BOTH: Final = {
    "Add": opset13.add,
    "Multiply": opset13.multiply,
    "Power": opset13.power,
    "SquaredDifference": opset13.squared_difference,
    "Subtract": opset13.subtract,
}
_SUMS: Final = {"ReduceProd": opset13.reduce_prod, "ReduceSum": opset13.reduce_sum}
_EXACT: Final = frozenset({"boolean", "i8", "i16", "i32", "i64", "u8", "u16"})
_LIMITS: Final = frozenset({"Slice", "StridedSlice", "Clamp", "Loop"})
"""They take constants beyond 32 bits for "up to the end", or "without end"."""
_UNCHECKED: Final = {
    "CTCGreedyDecoder": (1,),
    "CTCGreedyDecoderSeqLen": (1,),
    "CTCLoss": (1, 2, 3),
    "DeformablePSROIPooling": (1,),
    "GatherND": (1,),
    "GatherTree": (1, 2),
    "PSROIPooling": (1,),
}
"""Operators that read where their indices say, without a check; the inputs that are indices."""
OUT_OF_RANGE: Final = (
    "the model computed an integer beyond 32 bits, which OpenVINO does not hold, or an index that "
    "is out of range"
)


def add_guard(model: Model) -> bool:
    """Add an output to a model that is true where a run went wrong; return whether it was needed.

    Raises: BundleError when the model cannot be made to fail where it must.
    """
    for part in _parts(model):
        for node in part.get_ops():
            _check_node(node)
    faults = [fault for node in model.get_ordered_ops() for fault in _faults(node)]
    if not faults:
        return False
    found = faults[0]
    for fault in faults[1:]:
        found = opset13.logical_or(found, fault)
    model.add_results([opset13.result(found)])
    return True


def check_inputs(inputs: Mapping[str, NDArray[Any]]) -> None:
    """Check that integers of 64 bits fit in 32.

    Raises: InvalidInputError that names the first that does not.
    """
    for name, array in inputs.items():
        if array.dtype.kind in "iu" and array.dtype.itemsize > np.int32().itemsize and array.size:
            outside = (array < _LEAST) | (array > _MOST)
            if outside.any():
                place = np.unravel_index(int(outside.argmax()), array.shape)
                where = ", ".join(str(int(each)) for each in place)
                msg = (
                    f"input {name}: {array[place]} at [{where}] does not fit in 32 bits, in which "
                    "OpenVINO computes: have the model served with ONNX Runtime"
                )
                raise InvalidInputError(msg)


def _parts(model: Model) -> Iterator[Model]:
    """Return a model and the bodies of its loops and branches."""
    yield model
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind in {"Loop", "TensorIterator"}:
            yield from _parts(node.get_function())
        elif kind == "If":
            for branch in (0, 1):
                yield from _parts(node.get_function(branch))


def _check_node(node: Node) -> None:
    kind, name = node.get_type_name(), node.get_friendly_name()
    if kind == "Constant":
        _check_constant(node)
    elif any(_type(each) == "f64" for each in node.outputs()):
        msg = f"{name} ({kind}) is FP64, which OpenVINO rounds to 32 bits: use ONNX Runtime"
        raise BundleError(msg)
    for place in _UNCHECKED.get(kind, ()):
        if place < node.get_input_size() and _depends(node.input_value(place)):
            msg = (
                f"{name} ({kind}) takes its indices from a request, and OpenVINO does not check "
                "them: use ONNX Runtime"
            )
            raise BundleError(msg)


def _check_constant(node: Node) -> None:
    output = node.output(0)
    if _type(output) not in _WIDE or not output.get_target_inputs():
        return
    values = node.data
    if values.size and (values.min() < _LEAST or values.max() > _MOST):
        users = {each.get_node().get_type_name() for each in output.get_target_inputs()}
        if not users <= _LIMITS:
            msg = (
                f"{node.get_friendly_name()} is a constant beyond 32 bits, in which OpenVINO "
                "computes: use ONNX Runtime"
            )
            raise BundleError(msg)


def _faults(node: Node) -> Iterator[Output]:
    """Return values of the graph that are true where a node's own values are wrong."""
    kind = node.get_type_name()
    if kind == "Gather" and _depends(node.input_value(1)):
        indices = opset13.convert(node.input_value(1), "i32")
        sizes = opset13.shape_of(node.input_value(0), "i32")
        axis = opset13.convert(node.input_value(2), "i32")
        size = opset13.reshape(
            opset13.gather(sizes, axis, np.int32(0)), np.array([1]), special_zero=False
        )
        below = opset13.less(indices, opset13.negative(size))
        yield _any(opset13.logical_or(below, opset13.greater_equal(indices, size)))
    elif node.get_output_size() == 1 and _type(node.output(0)) in _WIDE:
        real = _as_real(node)
        if real is not None and any(map(_depends, node.input_values())):
            wide = opset13.greater_equal(opset13.absolute(real), np.float32(_FLOAT_MOST))
            yield _any(opset13.logical_or(wide, opset13.is_nan(real)))


def _as_real(node: Node) -> Node | None:
    """Return what a node computes, in binary32; None if it cannot leave the 32 bits."""
    kind, given, attributes = node.get_type_name(), node.input_values(), node.get_attributes()
    if kind == "Convert":
        return None if _type(given[0]) in _EXACT else opset13.convert(given[0], "f32")
    if kind not in {*_BOTH, *_SUMS, "CumSum", "MatMul"}:
        return None
    real = opset13.convert(given[0], "f32")
    if kind in _SUMS:
        return _SUMS[kind](real, given[1], attributes["keep_dims"])
    if kind == "CumSum":
        return opset13.cumsum(real, given[1], attributes["exclusive"], attributes["reverse"])
    other = opset13.convert(given[1], "f32")
    if kind == "MatMul":
        return opset13.matmul(real, other, attributes["transpose_a"], attributes["transpose_b"])
    return _BOTH[kind](real, other)


def _any(found: Node) -> Node:
    flat = opset13.reshape(found, np.array([-1], np.int64), special_zero=False)
    return opset13.reduce_logical_or(flat, np.array([0], np.int64), keep_dims=False)


def _depends(output: Output) -> bool:
    """Return whether a value depends on more of the inputs than their sizes, or true and false."""
    seen, ahead = set(), [output]
    while ahead:
        node = ahead.pop().get_node()
        kind, name = node.get_type_name(), node.get_name()
        if kind == "Parameter":
            return True
        if name in seen or kind in {"Constant", "ShapeOf"}:
            continue
        seen.add(name)
        ahead += [each for each in node.input_values() if _type(each) != "boolean"]
    return False


def _type(output: Output) -> str:
    return str(output.get_element_type().get_type_name())
