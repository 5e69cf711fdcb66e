"""Infer messages: what a second implementation is checked with, checked against ourselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sealflow.errors import MalformedError
from sealflow.openinfer.binary import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from sealflow.openinfer.messages import InferRequest, InferResponse, TopClass
from sealflow.openinfer.tensor import DataType

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "openinfer" / "messages.json").read_text()
)


def decoded(vector: dict[str, Any]) -> InferRequest | InferResponse:
    """Read a vector's message."""
    text, binary = vector["json"].encode(), bytes.fromhex(vector["binary"])
    if vector["kind"] == "request":
        return decode_request(text, binary)
    return decode_response(text, binary)


def encoded(message: InferRequest | InferResponse) -> InferRequest | InferResponse:
    """Write a message in binary form and read it again."""
    if isinstance(message, InferRequest):
        text, buffers = encode_request(message)
        return decode_request(text, b"".join(buffers))
    text, buffers = encode_response(message)
    return decode_response(text, b"".join(buffers))


@pytest.mark.parametrize("vector", VECTORS["accept"], ids=lambda vector: vector["name"])
def test_messages_to_accept_mean_what_they_say(vector: dict[str, Any]) -> None:
    """Tensors to the byte, and still so after a round trip."""
    message = decoded(vector)
    assert encoded(message) == message
    tensors = message.inputs if isinstance(message, InferRequest) else message.outputs
    assert [
        {
            "name": tensor.name,
            "datatype": tensor.datatype.value,
            "shape": list(tensor.shape),
            "data": bytes(tensor.data).hex(),
        }
        for tensor in tensors
    ] == vector["tensors"]
    assert message.id == vector.get("id")
    if isinstance(message, InferRequest):
        asked = [
            {"name": out.name, "classification": out.classification} for out in message.outputs
        ]
        assert asked == vector.get("outputs", [])
    else:
        assert message.model_name == vector["model_name"]
        assert message.model_version == vector["model_version"]


@pytest.mark.parametrize("vector", VECTORS["reject"], ids=lambda vector: vector["name"])
def test_messages_to_reject_are_malformed(vector: dict[str, Any]) -> None:
    """There is one error for all of them."""
    with pytest.raises(MalformedError):
        decoded(vector)


def test_top_classes_are_read_as_they_stand() -> None:
    """Score, index and label; a label may hold a colon."""
    (vector,) = (each for each in VECTORS["accept"] if "classes" in each)
    message = decoded(vector)
    assert isinstance(message, InferResponse)
    found = [TopClass.from_bytes(element) for element in message.outputs[0].elements()]
    assert [
        {"score": top.score, "index": top.index, "label": top.label} for top in found
    ] == vector["classes"]


def test_the_vectors_cover_every_datatype() -> None:
    """None of the fourteen is left out."""
    used = {tensor["datatype"] for each in VECTORS["accept"] for tensor in each["tensors"]}
    assert used == set(DataType)
