"""Core, pure, stdlib only: infer messages entirely in JSON, for callers without the binary form.

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
    """Return a request with every tensor's data as a flat JSON list.

    Raises: InvalidInputError for elements without a JSON form (see `elements_for_json`).
    """
    return canonical_json(request_object(request, _with_data))


def encode_response_json(response: InferResponse) -> bytes:
    """Return a response with every tensor's data as a flat JSON list.

    Raises: InvalidInputError for elements without a JSON form (see `elements_for_json`).
    """
    return canonical_json(response_object(response, _with_data))


def decode_request_json(
    text: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferRequest:
    """Parse a request without a binary part; the data of its tensors may be flat or nested.

    Raises: MalformedError.
    """
    return decode_request(text, b"", max_json_bytes=max_json_bytes)


def decode_response_json(
    text: bytes | memoryview, *, max_json_bytes: int = MAX_JSON_BYTES
) -> InferResponse:
    """Parse a response without a binary part; the data of its tensors may be flat or nested.

    Raises: MalformedError.
    """
    return decode_response(text, b"", max_json_bytes=max_json_bytes)


def _with_data(tensor: Tensor) -> dict[str, object]:
    head = tensor_head(tensor)
    head["data"] = elements_for_json(tensor)
    if tensor.parameters:
        head["parameters"] = dict(tensor.parameters)
    return head
