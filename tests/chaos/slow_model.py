"""A model that takes some milliseconds of a core for each row, so that many requests wait.

It gives x back. Loop: 60 times h = tanh(h · w); then y = x + 0 · h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

_WIDTH = 768
_ROUNDS = 60
_MANIFEST = """name = "slow"
version = "1"
format = "onnx"
file = "model.onnx"
max_batch = 1

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 4]

[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, 4]
"""


def write_slow_model(folder: Path) -> Path:
    """Write the model's folder, as `sealflow model pack` takes it."""
    folder.mkdir()
    floats = TensorProto.FLOAT
    shape: list[str | int | None] = ["n", _WIDTH]
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "w"], ["product"]),
            helper.make_node("Tanh", ["product"], ["after"]),
            helper.make_node("Identity", ["again"], ["more"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", floats, shape),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", floats, shape),
        ],
    )
    random = np.random.default_rng(7)
    weights = {
        "wide": random.normal(size=(4, _WIDTH)),
        "w": random.normal(size=(_WIDTH, _WIDTH)),
        "nothing": np.zeros((_WIDTH, 4)),
    }
    tensors = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    tensors.append(numpy_helper.from_array(np.array(_ROUNDS, np.int64), "rounds"))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "wide"], ["start"]),
            helper.make_node("Loop", ["rounds", "", "start"], ["end"], body=body),
            helper.make_node("MatMul", ["end", "nothing"], ["zero"]),
            helper.make_node("Add", ["x", "zero"], ["y"]),
        ],
        "slow",
        [helper.make_tensor_value_info("x", floats, ["n", 4])],
        [helper.make_tensor_value_info("y", floats, ["n", 4])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "model.toml").write_text(_MANIFEST)
    return folder
