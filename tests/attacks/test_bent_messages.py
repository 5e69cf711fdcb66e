"""Attacks by infer messages with one fault: each rule of docs/spec/content.md refuses by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.binary import decode_request, decode_response
from sealflow.openinfer.elements import elements_for_json
from sealflow.openinfer.messages import InferRequest, InferResponse, RequestedOutput, TopClass
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType, Tensor, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = float("nan")
X = {"name": "x", "datatype": "UINT8", "shape": [1], "data": [1]}
GOOD = Tensor(name="x", datatype=DataType.UINT8, shape=(1,), data=b"\1")
SPEC = TensorSpec(name="x", datatype=DataType.UINT8, shape=(-1, 2))


def row(datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    """An input in JSON."""
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]}


def sized(shape: list[int], size: int, *, name: str = "x") -> dict[str, Any]:
    """A binary tensor of UINT8 that announces a size."""
    parameters = {"binary_data_size": size}
    return {"name": name, "datatype": "UINT8", "shape": shape, "parameters": parameters}


def asked(output: object) -> dict[str, Any]:
    """A request that asks for an output."""
    return {"inputs": [X], "outputs": [output]}


REQUESTS: list[tuple[Any, bytes, str]] = [
    ({"inputs": [sized([1], -1), sized([1], 1, name="y")]}, b"ab", "over the length"),
    ({"inputs": [sized([2], 3)]}, b"ab", "over the length"),
    ({"inputs": [sized([1], 1)]}, b"ab", "follow the last tensor"),
    ({"inputs": {}}, b"", "tensor: not a list"),
    ({"inputs": [X] * 65}, b"", "tensor: not a list of at most 64"),
    ({"inputs": [1]}, b"", "tensor: not a JSON object"),
    ({"inputs": [X | {"parameters": []}]}, b"", "parameters is not a JSON object"),
    ({"inputs": [X], "parameters": []}, b"", "parameters is not a JSON object"),
    ({"inputs": [X], "id": None}, b"", "id"),
    ({"inputs": [X], "id": 1}, b"", "id"),
    ({"inputs": [X], "id": "i" * 257}, b"", "id is not a string of at most 256"),
    ({"inputs": [X | {"shape": 1}]}, b"", "shape: not a list"),
    ({"inputs": [X | {"shape": [True]}]}, b"", "shape: not a list of integers"),
    ({"inputs": [X | {"shape": [-1]}]}, b"", "a size is negative"),
    ({"inputs": [X | {"shape": [0, 2**31]}]}, b"", "over 2147483647 elements"),
    ({"inputs": [X | {"shape": [1] * 17}]}, b"", "more than 16 dimensions"),
    ({"inputs": [X | {"name": 1}]}, b"", "name is not 1 to 256"),
    ({"inputs": [X | {"name": "n" * 257}]}, b"", "name is not 1 to 256"),
    ({"inputs": [X | {"name": "a\n"}]}, b"", "name is not 1 to 256"),
    (asked("y"), b"", "requested output: not a JSON object"),
    (asked({"name": "y", "shape": []}), b"", "requested output: unknown"),
    (asked({"name": ""}), b"", "requested output: name"),
    (asked({"name": "y", "parameters": 1}), b"", "requested output: parameters"),
    (asked({"name": "y", "parameters": {"binary_data_size": 1}}), b"", "y: .*reserved"),
    (asked({"name": "y", "parameters": {"classification": 65_537}}), b"", "not 1 to 65536"),
    (row("UINT8", [2], "ab"), b"", "data is not a list"),
    (row("UINT8", [2, 0], [[], [], []]), b"", "nesting"),
    (row("UINT8", [2, 2], [[1, 2, 3], [4]]), b"", "nesting"),
    (row("UINT8", [2, 2], [[1, 2], "34"]), b"", "nesting"),
    (row("UINT8", [2, 2], [1, 2, 3]), b"", "data has 3 elements"),
    (row("BF16", [1], [1]), b"", "is not a BF16 value"),
    (row("BOOL", [1], [1]), b"", "is not a BOOL value"),
    (row("FP32", [1], [True]), b"", "is not a FP32 value"),
    (row("FP16", [1], [65_520]), b"", "out of range for FP16"),
    (row("BYTES", [1], ["\ud800"]), b"", "not strict JSON"),
]

PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({f"p{number}": 1 for number in range(65)}, "more than 64 parameters"),
    ({"shared_memory_offset": 0}, "reserved"),
    ({"a\7": 1}, "parameter: name"),
    ({"p": [1]}, "parameter p"),
    ({"p": NAN}, "parameter p"),
]

RESPONSES: list[tuple[dict[str, Any], str]] = [
    ({"model_name": ""}, "model_name: name"),
    ({"model_version": ""}, "model_version: name"),
    ({"model_version": 1}, "model_version"),
    ({"id": None}, "id"),
    ({"outputs": [X, X]}, "two outputs have the same name"),
    ({"parameters": {"binary_data_size": 1}}, "reserved"),
    ({"other": 1}, "infer response: unknown"),
]

MADE: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: Tensor(name="", datatype=DataType.UINT8, shape=(1,), data=b"\1"),
        MalformedError,
        "name",
    ),
    (
        lambda: Tensor(
            name="x", datatype=DataType.UINT8, shape=(2,), data=memoryview(b"1234")[::2]
        ),
        MalformedError,
        "not contiguous",
    ),
    (lambda: RequestedOutput(name=""), MalformedError, "name"),
    (lambda: InferRequest(inputs=(GOOD,), id="i" * 257), MalformedError, "id"),
    (lambda: InferRequest(inputs=(GOOD,), id=5), MalformedError, "id"),  # type: ignore[arg-type]
    (lambda: InferResponse(model_name="m", outputs=(), id="i" * 257), MalformedError, "id"),
    (
        lambda: Tensor(name="x", datatype=DataType.BYTES, shape=(1,), data=b"\3\0\0\0a"),
        MalformedError,
        "ends within an element",
    ),
    (lambda: InferRequest(inputs=(GOOD,) * 65), MalformedError, "more than 64 inputs"),
    (lambda: InferResponse(model_name="", outputs=()), MalformedError, "model_name"),
    (lambda: TensorSpec(name="", datatype=DataType.UINT8, shape=()), MalformedError, "name"),
    (lambda: TensorSpec(name="x", datatype=DataType.UINT8, shape=(0,)), MalformedError, "a size"),
    (lambda: TensorSpec(name="x", datatype=DataType.UINT8, shape=(-2,)), MalformedError, "a size"),
    (lambda: TopClass.from_bytes(b"one:1"), MalformedError, "score:index:label"),
    (lambda: TopClass.from_bytes(b"nan:1"), MalformedError, "score:index:label"),
    (lambda: TopClass.from_bytes(b"1e999:1"), MalformedError, "score:index:label"),
    (lambda: TopClass.from_bytes(b"1:12345678901"), MalformedError, "score:index:label"),
    (lambda: TopClass.from_bytes(b"1:1:" + b"l" * 4097), MalformedError, "score:index:label"),
    (lambda: TopClass.from_bytes(b"1:1:\xff"), MalformedError, "score:index:label"),
    (lambda: list(GOOD.each_element()), InvalidInputError, "not BYTES"),
    (lambda: from_numpy("x", np.array([1j])), InvalidInputError, "dtype"),
    (lambda: from_numpy("x", np.array([None])), InvalidInputError, "neither bytes"),
    (
        lambda: to_numpy(Tensor(name="x", datatype=DataType.BF16, shape=(1,), data=b"12")),
        InvalidInputError,
        "no numpy dtype",
    ),
    (
        lambda: elements_for_json(Tensor(name="x", datatype=DataType.BF16, shape=(1,), data=b"12")),
        InvalidInputError,
        "BF16 needs the binary form",
    ),
    (
        lambda: elements_for_json(Tensor.from_elements("x", [b"\xff"])),
        InvalidInputError,
        "not UTF-8",
    ),
    (
        lambda: elements_for_json(from_numpy("x", np.array([np.inf], np.float32))),
        InvalidInputError,
        "NaN and infinities",
    ),
]

TENSORS = [
    ({"name": "y"}, "its name must be x"),
    ({"datatype": DataType.INT8}, "is INT8, must be UINT8"),
    ({"shape": (2,)}, "does not fit"),
    ({"shape": (2, 1)}, "does not fit"),
]


def encoded(message: object) -> bytes:
    """A message's JSON, also that which is not strict."""
    return json.dumps(message).encode()


@pytest.mark.parametrize(("message", "binary", "error"), REQUESTS)
def test_requests(message: object, binary: bytes, error: str) -> None:
    """A request with one fault is malformed, and the error names it."""
    with pytest.raises(MalformedError, match=error):
        decode_request(encoded(message), binary)


@pytest.mark.parametrize(("parameters", "error"), PARAMETERS)
def test_parameters(parameters: dict[str, Any], error: str) -> None:
    """Parameters have one form on tensors, requested outputs, requests and responses."""
    with pytest.raises(MalformedError, match=error):
        Tensor(name="x", datatype=DataType.UINT8, shape=(1,), data=b"\1", parameters=parameters)
    with pytest.raises(MalformedError, match=error):
        RequestedOutput(name="y", parameters=parameters)
    with pytest.raises(MalformedError, match=error):
        InferRequest(inputs=(GOOD,), parameters=parameters)
    with pytest.raises(MalformedError, match=error):
        InferResponse(model_name="m", outputs=(), parameters=parameters)


@pytest.mark.parametrize(("change", "error"), RESPONSES)
def test_responses(change: dict[str, Any], error: str) -> None:
    """A response with one fault is malformed."""
    message = {"model_name": "m", "model_version": "1", "id": "1", "outputs": [X]}
    decode_response(encoded(message), b"")
    with pytest.raises(MalformedError, match=error):
        decode_response(encoded(message | change), b"")


def test_too_much_json() -> None:
    """The limit of a message's JSON counts before it is parsed."""
    text = encoded({"inputs": [X]})
    decode_request(text, b"", max_json_bytes=len(text))
    with pytest.raises(MalformedError, match="over the limit"):
        decode_request(text, b"", max_json_bytes=len(text) - 1)


@pytest.mark.parametrize(("make", "kind", "error"), MADE)
def test_values(make: Callable[[], object], kind: type[Exception], error: str) -> None:
    """No value exists that breaks a rule, and none is converted to a form that it does not have."""
    with pytest.raises(kind, match=error):
        make()


@pytest.mark.parametrize(("change", "error"), TENSORS)
def test_specifications(change: dict[str, Any], error: str) -> None:
    """A tensor has the name, datatype and shape that a model asks for."""
    good: dict[str, Any] = {"name": "x", "datatype": DataType.UINT8, "shape": (1, 2), "data": b"12"}
    SPEC.check(Tensor(**good))
    with pytest.raises(InvalidInputError, match=error):
        SPEC.check(Tensor(**(good | change)))
