"""Receipts as bytes."""

from __future__ import annotations

import pytest

from sealflow.documents.receipt import Receipt
from sealflow.errors import MalformedError
from sealflow.wire.ids import KeyId, ModelRef, RequestId
from sealflow.wire.strict_json import canonical_json, parse_object

RECEIPT = Receipt(
    deployment="d",
    manifest_digest="01" * 32,
    instance=RequestId("02" * 16),
    key_id=KeyId("sim-" + "03" * 32),
    request_id=RequestId("04" * 16),
    model=ModelRef(name="m", version="1"),
    model_digest="05" * 32,
    request_digest="06" * 32,
    reply_digest="07" * 32,
    at_ms=8,
)


def test_round_trip() -> None:
    """What was written is read again."""
    assert Receipt.from_bytes(RECEIPT.to_bytes()) == RECEIPT


@pytest.mark.parametrize("at_ms", [-1, "8", None, True])
def test_a_time_that_is_none(at_ms: object) -> None:
    """The time is a number of milliseconds."""
    value = parse_object(RECEIPT.to_bytes(), "receipt")
    with pytest.raises(MalformedError, match="at_ms"):
        Receipt.from_bytes(canonical_json({**value, "at_ms": at_ms}))
