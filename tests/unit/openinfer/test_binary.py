"""Infer messages in binary form: every tensor comes back, and nothing else is let in."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import MalformedError
from sealflow.openinfer.binary import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from sealflow.openinfer.json_form import encode_request_json
from sealflow.openinfer.messages import MAX_TENSORS, InferRequest, InferResponse
from sealflow.openinfer.tensor import MAX_ELEMENTS, DataType, Tensor
from tests.support.models.tensors import IN_JSON, requests, responses, several, tensors


def inputs(*items: dict[str, Any], **more: Any) -> bytes:
    """A request's JSON."""
    return json.dumps({"inputs": list(items), **more}).encode()


def item(**changes: Any) -> dict[str, Any]:
    """A tensor of two bytes, or something like it; None takes a key away."""
    whole = {
        "name": "x",
        "datatype": "UINT8",
        "shape": [2],
        "parameters": {"binary_data_size": 2},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


@given(requests())
def test_requests_come_back_as_they_were(request: InferRequest) -> None:
    """Every datatype, shape, parameter and requested output."""
    text, binary = encode_request(request)
    assert decode_request(text, b"".join(binary)) == request


@given(responses())
def test_responses_come_back_as_they_were(response: InferResponse) -> None:
    """Every datatype, shape and parameter."""
    text, binary = encode_response(response)
    assert decode_response(memoryview(text), memoryview(b"".join(binary))) == response


@pytest.mark.parametrize("datatype", DataType)
@given(data=st.data())
@settings(max_examples=20)
def test_each_datatype_comes_back(datatype: DataType, data: st.DataObject) -> None:
    """None of the fourteen is left to chance."""
    request = InferRequest(inputs=(data.draw(tensors((datatype,))),))
    text, binary = encode_request(request)
    assert decode_request(text, b"".join(binary)) == request


@given(several(2, IN_JSON, for_json=True), st.data())
def test_binary_and_json_tensors_mix(mixed: tuple[Tensor, ...], data: st.DataObject) -> None:
    """Binary tensors follow each other even where a JSON one stands between them."""
    request = InferRequest(inputs=mixed)
    plain = json.loads(encode_request_json(request))
    announced = json.loads(encode_request(request)[0])
    binary = []
    for place, tensor in enumerate(mixed):
        if data.draw(st.booleans()):
            plain["inputs"][place] = announced["inputs"][place]
            binary.append(tensor.data)
    assert decode_request(json.dumps(plain).encode(), b"".join(binary)) == request


def test_tensors_are_views_of_what_came() -> None:
    """Nothing is copied while a message is taken apart."""
    binary = bytearray(b"ab")
    request = decode_request(inputs(item()), memoryview(binary))
    binary[0] = 7
    assert bytes(request.inputs[0].data) == b"\x07b"


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"binary_data_size": 1}},
        {"parameters": {"binary_data_size": 3}},
        {"parameters": {"binary_data_size": -1}},
        {"parameters": {"binary_data_size": True}, "shape": [1]},
        {"parameters": {"binary_data_size": 2.0}},
        {"parameters": {"binary_data_size": "2"}},
        {"parameters": {"binary_data_size": 2**64}},
        {"parameters": {"binary_data_size": None}},
        {"parameters": {}},
        {"parameters": None},
        {"parameters": []},
        {"data": [1, 2]},
        {"data": None, "shape": [1]},
        {"shape": [3]},
        {"shape": [-2]},
        {"shape": [-1, -2]},
        {"shape": [2**32, 2**32]},
        {"shape": [True, 2]},
        {"shape": 2},
        {"shape": None},
        {"datatype": "UINT16"},
        {"datatype": "uint8"},
        {"datatype": "FLOAT"},
        {"datatype": None},
        {"datatype": "BYTES"},
        {"datatype": "BOOL"},
        {"name": ""},
        {"name": 1},
        {"name": "a\x00"},
        {"name": None},
        {"content": "x"},
        {"parameters": {"binary_data_size": 2, "p": None}},
        {"parameters": {"binary_data_size": 2, "p": {"q": 1}}},
        {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 2}},
    ],
)
def test_a_tensor_that_does_not_add_up_is_malformed(changes: dict[str, Any]) -> None:
    """Sizes, shapes, names and keys are all checked."""
    decode_request(inputs(item()), b"ab")
    with pytest.raises(MalformedError):
        decode_request(inputs(item(**changes)), b"ab")


@pytest.mark.parametrize("binary", [b"", b"a", b"abc", b"ab\0"])
def test_the_binary_part_is_used_up_exactly(binary: bytes) -> None:
    """Missing and trailing bytes are malformed."""
    with pytest.raises(MalformedError):
        decode_request(inputs(item()), binary)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"inputs":{}}',
        b'{"inputs":[]}',
        b'{"inputs":[1]}',
        b'{"inputs":[],"inputs":[]}',
        b"\xff" + inputs(item()),
        inputs(item()) + b" x",
        inputs(item(), item()),
        inputs(item(), model_name="m"),
        inputs(item(), id=1),
        inputs(item(), id=None),
        inputs(item(), id="i" * 257),
        inputs(item(), parameters=[]),
        inputs(item(), parameters={"p": None}),
        inputs(item(), parameters={"binary_data_output": [1]}),
        inputs(item(), outputs={}),
        inputs(item(), outputs=["y"]),
        inputs(item(), outputs=[{}]),
        inputs(item(), outputs=[{"name": ""}]),
        inputs(item(), outputs=[{"name": "y", "datatype": "FP32"}]),
        inputs(item(), outputs=[{"name": "y", "parameters": 1}]),
        inputs(item(), outputs=[{"name": "y"}, {"name": "y"}]),
        inputs(item(), outputs=[{"name": f"y{n}"} for n in range(MAX_TENSORS + 1)]),
        inputs(item(), *(item(name=f"x{n}", data=[1, 2]) for n in range(MAX_TENSORS))),
        inputs(item()).replace(b"[2]", b"[2e0]"),
        inputs(item()).replace(b"[2]", b"[" * 100_000),
        inputs(item(), parameters={"p": 1}).replace(b"1}", b"NaN}"),
        inputs(item(), parameters={"p": 1}).replace(b"1}", b"Infinity}"),
        inputs(item(), parameters={"p": 1}).replace(b"1}", b"1e999}"),
        inputs(item(), parameters={"p": 1}).replace(b"1}", b"1" * 21 + b"}"),
    ],
)
def test_a_request_that_is_no_request_is_malformed(text: bytes) -> None:
    """Unknown and doubled keys, doubled names, too many tensors, other types, no strict JSON."""
    with pytest.raises(MalformedError):
        decode_request(text, b"ab")


@pytest.mark.parametrize("count", [0, -1, 65_537, True, 1.0, "1"])
def test_a_count_of_classes_is_an_integer_within_bounds(count: object) -> None:
    """1 to 65,536 top classes can be asked for."""
    with pytest.raises(MalformedError):
        decode_request(
            inputs(item(), outputs=[{"name": "y", "parameters": {"classification": count}}]), b"ab"
        )


def test_top_classes_are_asked_for_by_parameter() -> None:
    """Other outputs, with or without parameters, are asked for as they are."""
    request = decode_request(
        inputs(
            item(),
            outputs=[
                {"name": "a", "parameters": {"classification": 5}},
                {"name": "b", "parameters": {"p": 1}},
                {"name": "c"},
            ],
        ),
        b"ab",
    )
    assert [asked.classification for asked in request.outputs] == [5, None, None]
    assert request.input("x") is request.inputs[0]
    assert request.input("y") is None


def outputs(**changes: Any) -> bytes:
    """A response's JSON; None takes a key away."""
    whole = {"model_name": "m", "model_version": "1", "outputs": [item()], **changes}
    return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": None},
        {"model_name": ""},
        {"model_name": 1},
        {"model_version": 1},
        {"model_version": ""},
        {"outputs": None},
        {"outputs": [item(), item()]},
        {"outputs": [item(shape=[1])]},
        {"id": 1},
        {"parameters": {"p": []}},
        {"error": "x"},
    ],
)
def test_a_response_that_is_no_response_is_malformed(changes: dict[str, Any]) -> None:
    """Clients trust workers no more than workers trust clients."""
    response = decode_response(outputs(), b"ab")
    assert response.output("x") is response.outputs[0]
    assert response.output("y") is None
    with pytest.raises(MalformedError):
        decode_response(outputs(**changes), b"abab")


def test_json_over_its_limit_is_malformed() -> None:
    """The limit is the caller's, and is checked before anything is parsed."""
    text = inputs(item())
    decode_request(text, b"ab", max_json_bytes=len(text))
    with pytest.raises(MalformedError, match="over the limit"):
        decode_request(text, b"ab", max_json_bytes=len(text) - 1)
    with pytest.raises(MalformedError, match="over the limit"):
        decode_response(b"[" * (4 * 2**20 + 1), b"")


@pytest.mark.parametrize("kind", DataType)
@pytest.mark.parametrize("size", [0, 4, MAX_ELEMENTS, 2**62])
def test_an_announced_huge_tensor_allocates_nothing(kind: str, size: int) -> None:
    """A few bytes of message cost no more than a few bytes of memory."""
    huge = item(datatype=kind, shape=[MAX_ELEMENTS], parameters={"binary_data_size": size})
    text, binary = inputs(huge), struct.pack("<I", 2**32 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            decode_request(text, binary)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_noise_is_malformed_and_nothing_else(text: bytes, binary: bytes) -> None:
    """Whatever comes, there is one error."""
    with pytest.raises(MalformedError):
        decode_request(text, binary)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.sampled_from(["name", "datatype", "shape", "parameters", "data"]), _JSON)
def test_a_key_of_any_json_is_understood_or_malformed(key: str, value: object) -> None:
    """No value makes another error than the one for what is malformed."""
    try:
        decode_request(inputs(item(**{key: value})), b"ab")
    except MalformedError:
        return
