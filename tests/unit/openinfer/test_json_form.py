"""Infer messages wholly as JSON: what JSON can hold comes back, what it cannot is said."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.json_form import (
    decode_request_json,
    decode_response_json,
    encode_request_json,
    encode_response_json,
)
from sealflow.openinfer.messages import InferRequest, InferResponse
from sealflow.openinfer.tensor import DataType, Tensor
from tests.support.models.tensors import FLOATS, IN_JSON, requests, responses, tensors


def request_of(data: object, datatype: str = "INT32", shape: tuple[int, ...] = (2, 2)) -> bytes:
    """A request's JSON with one tensor."""
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def tensor_of(data: object, datatype: str = "INT32", shape: tuple[int, ...] = (2, 2)) -> Tensor:
    """The tensor that comes out of it."""
    (tensor,) = decode_request_json(request_of(data, datatype, shape)).inputs
    return tensor


def nested(values: list[Any], shape: tuple[int, ...]) -> Any:
    """Fold a flat list as a shape says."""
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    return [nested(values[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


@given(requests(IN_JSON, for_json=True))
def test_requests_come_back_as_they_were(request: InferRequest) -> None:
    """Numbers, truth values and text, with every parameter."""
    assert decode_request_json(encode_request_json(request)) == request


@given(responses(IN_JSON, for_json=True))
def test_responses_come_back_as_they_were(response: InferResponse) -> None:
    """Numbers, truth values and text, with every parameter."""
    assert decode_response_json(encode_response_json(response)) == response


@pytest.mark.parametrize("datatype", IN_JSON)
@given(data=st.data())
@settings(max_examples=20)
def test_nested_data_is_the_same_as_flat(datatype: DataType, data: st.DataObject) -> None:
    """Callers may write one list or lists in lists, for each datatype that JSON can hold."""
    tensor = data.draw(tensors((datatype,), for_json=True))
    value = json.loads(encode_request_json(InferRequest(inputs=(tensor,))))
    flat = value["inputs"][0]["data"]
    if tensor.shape:
        value["inputs"][0]["data"] = nested(flat, tensor.shape)
    assert decode_request_json(json.dumps(value).encode()).inputs == (tensor,)


@pytest.mark.parametrize(
    "data",
    [
        None,
        1,
        "1234",
        {"0": 1},
        [],
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [[1, 2, 3, 4]],
        [[1, 2], [3]],
        [[1], [2, 3, 4]],
        [[1, 2], 3, 4],
        [1, 2, [3, 4]],
        [[[1], [2]], [[3], [4]]],
        [1, 2, 3, None],
        [1, 2, 3, "4"],
        [1, 2, 3, {}],
        [1, 2, 3, 4.0],
        [1, 2, 3, True],
        [1, 2, 3, 2**31],
        [1, 2, 3, 10**19],
    ],
)
def test_data_that_does_not_fit_shape_and_datatype_is_malformed(data: object) -> None:
    """Too few, too many, folded otherwise, or of another type."""
    assert tensor_of([[1, 2], [3, 4]]) == tensor_of([1, 2, 3, 4])
    with pytest.raises(MalformedError):
        tensor_of(data)


@pytest.mark.parametrize(
    ("datatype", "least", "most"),
    [(f"UINT{bits}", 0, 2**bits - 1) for bits in (8, 16, 32, 64)]
    + [(f"INT{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)],
)
def test_integers_are_within_their_range(datatype: str, least: int, most: int) -> None:
    """The ends of the range are in, one further is malformed, and so is a truth value."""
    kept = tensor_of([least, most], datatype, (2,))
    value = InferRequest(inputs=(kept,))
    assert json.loads(encode_request_json(value))["inputs"][0]["data"] == [least, most]
    for wrong in (least - 1, most + 1, True, 1.0):
        with pytest.raises(MalformedError):
            tensor_of([least, wrong], datatype, (2,))


@pytest.mark.parametrize(
    ("datatype", "code", "most", "over"),
    [
        ("FP16", "e", 65504, 65520),
        ("FP32", "f", 3.4028234663852886e38, 3.4028236e38),
        ("FP64", "d", 1.7976931348623157e308, None),
    ],
)
def test_floats_are_within_their_range(
    datatype: str, code: str, most: float, over: float | None
) -> None:
    """What would become infinite is malformed; integers are taken as numbers."""
    assert tensor_of([most, 1], datatype, (2,)).data == struct.pack(f"<2{code}", most, 1)
    for wrong in (over, True, "1", None):
        with pytest.raises(MalformedError):
            tensor_of([wrong, 1], datatype, (2,))


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"nan"])
def test_text_that_is_no_number_is_malformed(word: bytes) -> None:
    """What Python's parser would take for NaN or infinity is not JSON."""
    with pytest.raises(MalformedError):
        decode_request_json(request_of([8, 1], "FP64", (2,)).replace(b"8", word, 1))
    text = request_of([8, 1], "FP64", (2,)).replace(b"[8", b"[" + word)
    with pytest.raises(MalformedError):
        decode_request_json(text)


@pytest.mark.parametrize("value", [0, 1, 0.0, "true", None])
def test_a_truth_value_is_true_or_false(value: object) -> None:
    """Numbers are no truth values."""
    assert tensor_of([True, False], "BOOL", (2,)).data == b"\1\0"
    with pytest.raises(MalformedError):
        tensor_of([True, value], "BOOL", (2,))


@pytest.mark.parametrize("value", [1, None, True, ["a"], {}, "\ud800"])
def test_a_bytes_element_is_text_in_json(value: object) -> None:
    """Strings become UTF-8; lone surrogates have none."""
    assert tensor_of(["ä", ""], "BYTES", (2,)).data == b"\2\0\0\0\xc3\xa4\0\0\0\0"
    with pytest.raises(MalformedError):
        tensor_of(["a", value], "BYTES", (2,))


@pytest.mark.parametrize("data", [[1.0], [], [1]])
def test_bf16_needs_the_binary_form(data: object) -> None:
    """The protocol has no JSON for it, in either direction."""
    with pytest.raises(MalformedError):
        tensor_of(data, "BF16", (1,))
    tensor = Tensor(name="x", datatype=DataType.BF16, shape=(1,), data=b"\0\0")
    with pytest.raises(InvalidInputError, match="binary form"):
        encode_request_json(InferRequest(inputs=(tensor,)))


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_need_the_binary_form(
    datatype: DataType, number: float
) -> None:
    """JSON has no word for them."""
    data = struct.pack(f"<{datatype.code}", number)
    tensor = Tensor(name="x", datatype=datatype, shape=(), data=data)
    with pytest.raises(InvalidInputError, match="binary form"):
        encode_response_json(InferResponse(model_name="m", outputs=(tensor,)))


def test_bytes_that_are_no_text_need_the_binary_form() -> None:
    """JSON's strings are Unicode."""
    request = InferRequest(inputs=(Tensor.from_elements("x", [b"\xff"]),))
    with pytest.raises(InvalidInputError, match="binary form"):
        encode_request_json(request)


def test_binary_tensors_have_no_place_in_the_json_form() -> None:
    """There is nothing behind the JSON that they could announce."""
    tensor = {
        "name": "x",
        "datatype": "UINT8",
        "shape": [1],
        "parameters": {"binary_data_size": 1},
    }
    with pytest.raises(MalformedError):
        decode_request_json(json.dumps({"inputs": [tensor]}).encode())


def test_json_over_its_limit_is_malformed() -> None:
    """The limit is the caller's."""
    text = request_of([1, 2, 3, 4])
    with pytest.raises(MalformedError, match="over the limit"):
        decode_request_json(text, max_json_bytes=len(text) - 1)
    with pytest.raises(MalformedError, match="over the limit"):
        decode_response_json(text, max_json_bytes=len(text) - 1)
