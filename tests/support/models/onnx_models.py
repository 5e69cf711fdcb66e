"""ONNX models written by hand, so that tests need no exporter. Source: onnx.proto3."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOAT = 1
INT64 = 7
DOUBLE = 11
UINT64 = 13
STRING = 8
BOOL = 9
BFLOAT16 = 16
_OPSET = 17
_IR_VERSION = 8


def linear(
    weights: NDArray[np.float32],
    *,
    batch: int | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> bytes:
    """A model y = x · weights, weights of shape [inputs, outputs]; batch None leaves it open."""
    given, found = weights.shape
    node = _node("MatMul", [names[0], "weights"], [names[1]])
    return _model(
        [node],
        inputs=[_value(names[0], FLOAT, [batch, given])],
        outputs=[_value(names[1], FLOAT, [batch, found])],
        tensors=[_tensor("weights", weights)],
    )


def elementwise(operator: str, *, sizes: Sequence[int | None] = (None, None)) -> bytes:
    """A model y = operator(x), of FP32."""
    return _model(
        [_node(operator, ["x"], ["y"])],
        inputs=[_value("x", FLOAT, sizes)],
        outputs=[_value("y", FLOAT, sizes)],
    )


def picky() -> bytes:
    """A model y = table[x] of INT64 indices 0 to 3: any other index fails at run time."""
    table = np.array([10, 20, 30, 40], np.float32)
    return _model(
        [_node("Gather", ["table", "x"], ["y"])],
        inputs=[_value("x", INT64, [None, 1])],
        outputs=[_value("y", FLOAT, [None, 1])],
        tensors=[_tensor("table", table)],
    )


def identity(kind: int, *, sizes: Sequence[int | None] = (None, None)) -> bytes:
    """A model y = x, of a datatype of onnx.proto3's."""
    return _model(
        [_node("Identity", ["x"], ["y"])],
        inputs=[_value("x", kind, sizes)],
        outputs=[_value("y", kind, sizes)],
    )


def doubled(axis: int) -> bytes:
    """A model y = x twice, one behind the other along an axis; FP32 of any two sizes."""
    return _model(
        [_node("Concat", ["x", "x"], ["y"], axis=axis)],
        inputs=[_value("x", FLOAT, [None, None])],
        outputs=[_value("y", FLOAT, [None, None])],
    )


def expanding() -> bytes:
    """A model y of x [rows, 1] and n [rows, 1]: each row of x as often as the largest n says."""
    return _model(
        [
            _node("ReduceMax", ["n"], ["most"], keepdims=0),
            _node("Unsqueeze", ["most", "first"], ["width"]),
            _node("Concat", ["one", "width"], ["shape"], axis=0),
            _node("Expand", ["x", "shape"], ["y"]),
        ],
        inputs=[_value("x", FLOAT, [None, 1]), _value("n", INT64, [None, 1])],
        outputs=[_value("y", FLOAT, [None, None])],
        tensors=[_integers("first", [0]), _integers("one", [1])],
    )


def rolled() -> bytes:
    """A model whose row i is row i-1 of its input, so that it gives rows away; FP32 [-1, 4]."""
    return _model(
        [
            _node("Slice", ["x", "last", "end", "first"], ["tail"]),
            _node("Slice", ["x", "first", "last", "first"], ["rest"]),
            _node("Concat", ["tail", "rest"], ["y"], axis=0),
        ],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
        tensors=[_integers("first", [0]), _integers("last", [-1]), _integers("end", [2**31])],
    )


def quantized() -> bytes:
    """A model y = x in 8 bits, of one scale for all rows; FP32 [-1, 4]."""
    return _model(
        [
            _node("DynamicQuantizeLinear", ["x"], ["small", "scale", "zero"]),
            _node("DequantizeLinear", ["small", "scale", "zero"], ["y"]),
        ],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
    )


def recurrent(operator: str, gates: int) -> bytes:
    """A recurrent model of x [steps, sequences, 2], without checks of its own."""
    weights = np.full((1, 2 * gates, 2), 0.1, np.float32)
    return _model(
        [_node(operator, ["x", "W", "R"], ["y"], hidden_size=2)],
        inputs=[_value("x", FLOAT, [None, None, None])],
        outputs=[_value("y", FLOAT, [None, 1, None, 2])],
        tensors=[_tensor("W", weights), _tensor("R", weights)],
    )


def of_shape() -> bytes:
    """A model y of zeros, of the shape that the two elements of x say."""
    return _model(
        [_node("ConstantOfShape", ["x"], ["y"])],
        inputs=[_value("x", INT64, [2])],
        outputs=[_value("y", FLOAT, [None, None])],
    )


def sum_and_difference(size: int = 4) -> bytes:
    """A model of two inputs a and b and two outputs sum = a + b and difference = a - b."""
    return _model(
        [_node("Add", ["a", "b"], ["sum"]), _node("Sub", ["a", "b"], ["difference"])],
        inputs=[_value(name, FLOAT, [None, size]) for name in ("a", "b")],
        outputs=[_value(name, FLOAT, [None, size]) for name in ("sum", "difference")],
    )


def classifier() -> bytes:
    """A model of scores FP32 [-1, 3], as exporters write them.

    Its outputs are the place of the best one, the scores as text, whether they are above 0, and
    the scores.
    """
    return _model(
        [
            _node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            _node("Cast", ["x"], ["text"], to=STRING),
            _node("Cast", ["x"], ["above"], to=BOOL),
            _node("Identity", ["x"], ["probabilities"]),
        ],
        inputs=[_value("x", FLOAT, [None, 3])],
        outputs=[
            _value("label", INT64, [None]),
            _value("text", STRING, [None, 3]),
            _value("above", BOOL, [None, 3]),
            _value("probabilities", FLOAT, [None, 3]),
        ],
    )


def on_integers(operator: str, kind: int) -> bytes:
    """A model y = operator(x, x) of integers [-1, 2], or operator(x) for Identity."""
    given = ["x"] if operator == "Identity" else ["x", "x"]
    return _model(
        [_node(operator, given, ["y"])],
        inputs=[_value("x", kind, [None, 2])],
        outputs=[_value("y", kind, [None, 2])],
    )


def plus(value: int) -> bytes:
    """A model y = x + value of INT64 [-1, 2]."""
    return _model(
        [_node("Add", ["x", "value"], ["y"])],
        inputs=[_value("x", INT64, [None, 2])],
        outputs=[_value("y", INT64, [None, 2])],
        tensors=[_integers("value", [value])],
    )


def through(kind: int) -> bytes:
    """A model y = -x of FP32 [-1, 4], computed in another datatype."""
    return _model(
        [
            _node("Cast", ["x"], ["wide"], to=kind),
            _node("Neg", ["wide"], ["negative"]),
            _node("Cast", ["negative"], ["y"], to=FLOAT),
        ],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
    )


def gathered() -> bytes:
    """A model y = table[x] by GatherND, of INT64 indices [-1, 1] of four numbers."""
    return _model(
        [_node("GatherND", ["table", "x"], ["y"])],
        inputs=[_value("x", INT64, [None, 1])],
        outputs=[_value("y", FLOAT, [None])],
        tensors=[_tensor("table", np.array([10, 20, 30, 40], np.float32))],
    )


def squared() -> bytes:
    """A model y = x · x of FP32 [-1, 4], which has an answer for exactly 4 rows."""
    return _model(
        [_node("MatMul", ["x", "x"], ["y"])],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
    )


def with_outside_weights(path: str) -> bytes:
    """A model whose weights lie in another file."""
    outside = b"".join(
        (
            _number(1, 4),
            _number(2, FLOAT),
            _text(8, "weights"),
            _bytes(13, _text(1, "location") + _text(2, path)),
            _number(14, 1),
        )
    )
    return _model(
        [_node("Add", ["x", "weights"], ["y"])],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
        tensors=[outside],
    )


def endless(*, sizes: Sequence[int | None] = (None, 4), turns: int = 2**62) -> bytes:
    """A model y = x, of FP32, which takes so many turns of a loop: by default more than end."""
    step = [_node("Identity", ["go"], ["go_on"]), _node("Neg", ["before"], ["after"])]
    taken = [_value("turn", INT64, []), _value("go", BOOL, []), _value("before", FLOAT, sizes)]
    given = [_value("go_on", BOOL, []), _value("after", FLOAT, sizes)]
    body = _graph(step, inputs=taken, outputs=given)
    attribute = _bytes(5, _text(1, "body") + _bytes(6, body) + _number(20, 5))
    return _model(
        [_node("Loop", ["turns", "", "x"], ["y"]) + attribute],
        inputs=[_value("x", FLOAT, sizes)],
        outputs=[_value("y", FLOAT, sizes)],
        tensors=[_integers("turns", [turns])],
    )


def aborting(*, at: float = 0) -> bytes:
    """A model y = x of FP32 [-1, 4] whose runtime aborts when the largest value is `at`.

    ONNX Runtime 1.32 ends the process at a GRU without a step. Blank inputs are 0.
    """
    nodes = [
        _node("ReduceMax", ["x"], ["most"], keepdims=0),
        _node("Sub", ["at", "most"], ["left"]),
        _node("Cast", ["left"], ["count"], to=INT64),
        _node("Unsqueeze", ["count", "first"], ["end"]),
        _node("Slice", ["steps", "first", "end", "first"], ["taken"]),
        _node("GRU", ["taken", "w", "r"], ["", "state"], hidden_size=1),
        _node("ReduceSum", ["state"], ["all"], keepdims=0),
        _node("Mul", ["all", "nothing"], ["zero"]),
        _node("Add", ["x", "zero"], ["y"]),
    ]
    return _model(
        nodes,
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
        tensors=[
            _integers("first", [0]),
            _tensor("at", np.full((), at, np.float32)),
            _tensor("steps", np.ones((1, 1, 1), np.float32)),
            _tensor("w", np.ones((1, 3, 1), np.float32)),
            _tensor("r", np.ones((1, 3, 1), np.float32)),
            _tensor("nothing", np.zeros((), np.float32)),
        ],
    )


def slow_to_load(size: int = 1500, products: int = 40) -> bytes:
    """A model y = x · c of FP32 [-1, 4]: to find c when it is loaded takes many products."""
    chain = [_node("MatMul", [f"c{n}", "w"], [f"c{n + 1}"]) for n in range(products)]
    return _model(
        [
            _node("Identity", ["w"], ["c0"]),
            *chain,
            _node("Slice", [f"c{products}", "from", "to"], ["c"]),
            _node("MatMul", ["x", "c"], ["y"]),
        ],
        inputs=[_value("x", FLOAT, [None, 4])],
        outputs=[_value("y", FLOAT, [None, 4])],
        tensors=[
            _tensor("w", np.full((size, size), 1 / size, np.float32)),
            _integers("from", [0, 0]),
            _integers("to", [4, 4]),
        ],
    )


def hoarding(size: int = 2**34) -> bytes:
    """A model y of x: it repeats x as often as memory never holds, and takes the largest."""
    return _model(
        [
            _node("Expand", ["x", "shape"], ["wide"]),
            _node("ReduceMax", ["wide"], ["y"], keepdims=1),
        ],
        inputs=[_value("x", FLOAT, [None, None])],
        outputs=[_value("y", FLOAT, [1, 1])],
        tensors=[_integers("shape", [1, size])],
    )


def _model(
    nodes: Sequence[bytes],
    *,
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
) -> bytes:
    graph = _graph(nodes, inputs=inputs, outputs=outputs, tensors=tensors)
    return _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))


def _graph(
    nodes: Sequence[bytes],
    *,
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
) -> bytes:
    return b"".join(
        (
            *(_bytes(1, node) for node in nodes),
            _text(2, "graph"),
            *(_bytes(5, tensor) for tensor in tensors),
            *(_bytes(11, value) for value in inputs),
            *(_bytes(12, value) for value in outputs),
        )
    )


def _node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **integers: int) -> bytes:
    ends = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs]
    attributes = [
        _bytes(5, _text(1, name) + _number(3, value) + _number(20, 2))
        for name, value in integers.items()
    ]
    return b"".join((*ends, _text(4, operator), *attributes))


def _value(name: str, kind: int, sizes: Sequence[int | None]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _text(2, f"n{place}") if size is None else _number(1, size))
        for place, size in enumerate(sizes)
    )
    tensor = _number(1, kind) + _bytes(2, dimensions)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    sizes = b"".join(_number(1, size) for size in array.shape)
    return sizes + _number(2, FLOAT) + _text(8, name) + _bytes(9, array.astype("<f4").tobytes())


def _integers(name: str, values: Sequence[int]) -> bytes:
    data = np.array(values, "<i8").tobytes()
    return _number(1, len(values)) + _number(2, INT64) + _text(8, name) + _bytes(9, data)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return out + struct.pack("B", value)
