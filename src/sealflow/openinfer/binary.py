"""Core, pure, stdlib only: infer messages as JSON followed by the bytes of the tensors.

This is the protocol's binary tensor data extension, the form of all sealed messages. The decoders
also accept tensors as JSON `data`. Spec: docs/spec/content.md, section 3.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final, cast

from sealflow.errors import MalformedError
from sealflow.openinfer.elements import tensor_of_json
from sealflow.openinfer.messages import MAX_TENSORS, InferRequest, InferResponse, RequestedOutput
from sealflow.openinfer.tensor import (
    DataType,
    Parameter,
    Tensor,
    check_name,
    parse_datatype,
    parse_shape,
)
from sealflow.wire.strict_json import (
    canonical_json,
    is_integer,
    parse_object_with_floats,
    require_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_JSON_BYTES: Final = 4 * 2**20

Encoded = tuple[bytes, list[bytes | memoryview]]
"""The JSON of a message, and the bytes of its tensors in order."""

_SIZE: Final = "binary_data_size"


def encode_request(request: InferRequest) -> Encoded:
    """Return a request with every tensor in binary form."""
    return canonical_json(request_object(request, _with_binary_size)), [
        each.data for each in request.inputs
    ]


def encode_response(response: InferResponse) -> Encoded:
    """Return a response with every tensor in binary form."""
    outputs = response.outputs
    if (
        response.id is None
        and not response.parameters
        and not any(each.parameters or each.datatype.size is None for each in outputs)
    ):
        heads = tuple((each.name, each.datatype, each.shape) for each in outputs)
        text = _text_of_heads(response.model_name, response.model_version, heads)
    else:
        text = canonical_json(response_object(response, _with_binary_size))
    return text, [each.data for each in outputs]


@functools.lru_cache(256)
def _text_of_heads(
    name: str, version: str | None, heads: tuple[tuple[str, DataType, tuple[int, ...]], ...]
) -> bytes:
    """Return the JSON of a response whose sizes follow from its shapes: a model has few of them."""
    outputs = [
        {
            "name": tensor,
            "datatype": datatype,
            "shape": shape,
            "parameters": {_SIZE: math.prod(shape) * (datatype.size or 0)},
        }
        for tensor, datatype, shape in heads
    ]
    value: dict[str, object] = {"model_name": name, "outputs": outputs}
    return canonical_json(value if version is None else {**value, "model_version": version})


def decode_request(
    text: bytes | memoryview, binary: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferRequest:
    """Parse a request; binary tensors are views of `binary` and must fill it exactly.

    Raises: MalformedError.
    """
    value = _parse(text, "infer request", max_json_bytes)
    require_keys(value, ("inputs",), "infer request", ("id", "outputs", "parameters"))
    requested = _items(value.get("outputs", []), "requested output")
    return InferRequest(
        id=_text(value, "id"),
        inputs=_tensors(value["inputs"], binary),
        outputs=tuple(_requested(each) for each in requested),
        parameters=_parameters(value, "infer request"),
    )


def decode_response(
    text: bytes | memoryview, binary: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferResponse:
    """Parse a response; binary tensors are views of `binary` and must fill it exactly.

    Raises: MalformedError.
    """
    value = _parse(text, "infer response", max_json_bytes)
    require_keys(
        value, ("model_name", "outputs"), "infer response", ("model_version", "id", "parameters")
    )
    return InferResponse(
        model_name=check_name(value["model_name"], "infer response: model_name"),
        model_version=_text(value, "model_version"),
        id=_text(value, "id"),
        outputs=_tensors(value["outputs"], binary),
        parameters=_parameters(value, "infer response"),
    )


def request_object(
    request: InferRequest, tensor_object: Callable[[Tensor], dict[str, object]]
) -> dict[str, object]:
    """Return a request's JSON object; `tensor_object` returns the object of each tensor."""
    value: dict[str, object] = {"inputs": [tensor_object(each) for each in request.inputs]}
    if request.id is not None:
        value["id"] = request.id
    if request.outputs:
        value["outputs"] = [_with_parameters({"name": each.name}, each) for each in request.outputs]
    return _with_parameters(value, request)


def response_object(
    response: InferResponse, tensor_object: Callable[[Tensor], dict[str, object]]
) -> dict[str, object]:
    """Return a response's JSON object; `tensor_object` returns the object of each tensor."""
    value: dict[str, object] = {
        "model_name": response.model_name,
        "outputs": [tensor_object(each) for each in response.outputs],
    }
    if response.model_version is not None:
        value["model_version"] = response.model_version
    if response.id is not None:
        value["id"] = response.id
    return _with_parameters(value, response)


def tensor_head(tensor: Tensor) -> dict[str, object]:
    """Return the JSON object of a tensor without its data and parameters."""
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _with_binary_size(tensor: Tensor) -> dict[str, object]:
    head = tensor_head(tensor)
    head["parameters"] = {**tensor.parameters, _SIZE: len(tensor.data)}
    return head


def _with_parameters(
    value: dict[str, object], source: InferRequest | InferResponse | RequestedOutput
) -> dict[str, object]:
    if source.parameters:
        value["parameters"] = dict(source.parameters)
    return value


def _parse(text: bytes | memoryview, what: str, max_json_bytes: int) -> dict[str, object]:
    if len(text) > max_json_bytes:
        msg = f"{what}: JSON of {len(text)} bytes is over the limit {max_json_bytes}"
        raise MalformedError(msg)
    return parse_object_with_floats(text, what)


def _tensors(value: object, binary: bytes | memoryview) -> tuple[Tensor, ...]:
    rest = memoryview(binary)
    tensors = []
    for item in _items(value, "tensor"):
        tensor, rest = _tensor(item, rest)
        tensors.append(tensor)
    if rest:
        msg = f"infer message: {len(rest)} bytes follow the last tensor"
        raise MalformedError(msg)
    return tuple(tensors)


def _tensor(item: dict[str, object], rest: memoryview) -> tuple[Tensor, memoryview]:
    require_keys(item, ("name", "datatype", "shape"), "tensor", ("data", "parameters"))
    name = check_name(item["name"], "tensor")
    datatype = parse_datatype(item["datatype"])
    shape = parse_shape(item["shape"])
    parameters = item.get("parameters", {})
    if not isinstance(parameters, dict):
        msg = f"tensor {name}: parameters is not a JSON object"
        raise MalformedError(msg)
    binary = _SIZE in parameters
    if binary is ("data" in item):
        msg = f"tensor {name}: must have either data or {_SIZE}"
        raise MalformedError(msg)
    if not binary:
        return tensor_of_json(name, datatype, shape, item["data"], parameters), rest
    size = parameters.pop(_SIZE)
    if not is_integer(size) or not 0 <= size <= len(rest):
        msg = f"tensor {name}: {_SIZE} is over the length of the binary part"
        raise MalformedError(msg)
    tensor = Tensor(
        name=name, datatype=datatype, shape=shape, data=rest[:size], parameters=parameters
    )
    return tensor, rest[size:]


def _requested(item: dict[str, object]) -> RequestedOutput:
    require_keys(item, ("name",), "requested output", ("parameters",))
    return RequestedOutput(
        name=check_name(item["name"], "requested output"),
        parameters=_parameters(item, "requested output"),
    )


def _items(value: object, what: str) -> list[dict[str, object]]:
    if not isinstance(value, list) or len(value) > MAX_TENSORS:
        msg = f"{what}: not a list of at most {MAX_TENSORS}"
        raise MalformedError(msg)
    if not all(isinstance(item, dict) for item in value):
        msg = f"{what}: not a JSON object"
        raise MalformedError(msg)
    return value


def _parameters(value: dict[str, object], what: str) -> Mapping[str, Parameter]:
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        msg = f"{what}: parameters is not a JSON object"
        raise MalformedError(msg)
    return cast("Mapping[str, Parameter]", parameters)


def _text(value: dict[str, object], key: str) -> str | None:
    text = value.get(key)
    if key in value and not isinstance(text, str):
        msg = f"infer message: {key} is not a string"
        raise MalformedError(msg)
    return cast("str | None", text)
