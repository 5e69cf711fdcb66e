"""Requests and responses as values."""

from __future__ import annotations

import pytest

from sealflow.errors import MalformedError
from sealflow.openinfer.binary import decode_request
from sealflow.openinfer.messages import (
    MAX_TENSORS,
    InferRequest,
    InferResponse,
    RequestedOutput,
)
from sealflow.openinfer.tensor import Tensor


def test_messages_that_are_made_here_are_checked_too() -> None:
    """A request has an input, and neither has more tensors than a reader takes."""
    many = tuple(Tensor.from_elements(f"x{n}", []) for n in range(MAX_TENSORS + 1))
    wanted = tuple(RequestedOutput(name=tensor.name) for tensor in many)
    InferRequest(inputs=many[1:], outputs=wanted[1:])
    for inputs_, outputs_ in (((), ()), (many, ()), (many[:1], wanted)):
        with pytest.raises(MalformedError):
            InferRequest(inputs=inputs_, outputs=outputs_)
    with pytest.raises(MalformedError):
        InferResponse(model_name="m", outputs=many)


def test_a_request_without_inputs_is_malformed_on_the_way_too() -> None:
    """There is nothing to answer."""
    with pytest.raises(MalformedError):
        decode_request(b'{"inputs":[]}', b"")
