"""Core, pure, stdlib only: infer messages wholly as JSON, for callers without the binary form.

Spec: docs/spec/content.md, section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.openinfer.binary import (
    MAX_JSON_BYTES,
    decode_request,
    decode_response,
    request_object,
    response_object,
    tensor_head,
)
from sealflow.openinfer.elements import elements_for_json
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.openinfer.messages import InferRequest, InferResponse
    from sealflow.openinfer.tensor import Tensor


def encode_request_json(request: InferRequest) -> bytes:
    """Write a request with every tensor as flat JSON.

    Raises: InvalidInputError for a tensor that JSON cannot hold (see `elements_for_json`).
    """
    return canonical_json(request_object(request, _spelled_out))


def encode_response_json(response: InferResponse) -> bytes:
    """Write a response with every tensor as flat JSON.

    Raises: InvalidInputError for a tensor that JSON cannot hold (see `elements_for_json`).
    """
    return canonical_json(response_object(response, _spelled_out))


def decode_request_json(
    text: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferRequest:
    """Read a request whose tensors are all JSON, nested or flat.

    Raises: MalformedError.
    """
    return decode_request(text, b"", max_json_bytes=max_json_bytes)


def decode_response_json(
    text: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferResponse:
    """Read a response whose tensors are all JSON, nested or flat.

    Raises: MalformedError.
    """
    return decode_response(text, b"", max_json_bytes=max_json_bytes)


def _spelled_out(tensor: Tensor) -> dict[str, object]:
    head = tensor_head(tensor)
    head["data"] = elements_for_json(tensor)
    if tensor.parameters:
        head["parameters"] = dict(tensor.parameters)
    return head
