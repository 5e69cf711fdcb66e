"""What lies inside a seal, one fault each: what it means, or that it is malformed."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import MalformedError
from sealflow.openinfer.binary import decode_request, decode_response
from sealflow.seal.content import (
    ContentKind,
    content_parts,
    padding_for,
    parse_content,
    parse_error,
    parse_request_content,
)
from tests.support.vectors.cases import case_name, expected, read_cases, verdict

if TYPE_CHECKING:
    from sealflow.openinfer.tensor import Tensor

FILES = ("contents", "numbers", "names")
CASES = [
    pytest.param(case, id=f"{name}: {case_name(case)}")
    for name in FILES
    for case in read_cases(f"{name}.json")
]


def content_of(case: dict[str, Any]) -> bytes:
    """The content's bytes."""
    if "content" in case:
        return b64decode(case["content"])
    text: bytes = case["json"].encode()
    head = bytes([case["kind"]]) + len(text).to_bytes(4)
    return head + text + b64decode(case["binary"])


def read(case: dict[str, Any]) -> tuple[Tensor, ...] | str:
    """Read a content as its receiver does: the tensors, or the code of an error."""
    whole = content_of(case)
    if case["message"] == "request":
        head, tail = padding_for(len(whole))
        content, _ = parse_request_content(memoryview(head + whole + tail))
        if content.kind is not ContentKind.INFER:
            raise MalformedError("a request is of kind 1 or 3")
        return decode_request(content.text, content.binary).inputs
    content = parse_content(memoryview(whole))
    if content.kind is ContentKind.ERROR:
        return parse_error(content)[0]
    if content.kind is not ContentKind.INFER:
        raise MalformedError("no receipt was asked for")
    return decode_response(content.text, content.binary).outputs


@pytest.mark.parametrize("case", CASES)
def test_content(case: dict[str, Any]) -> None:
    """It means what the case says, or is malformed."""
    found: list[tuple[Tensor, ...] | str] = []
    refusal = "invalid_input" if case["message"] == "request" else "reply"
    assert verdict(lambda: found.append(read(case)), refusal) == expected(case)
    if "error" in case:
        assert found == [case["error"]]
    if "tensors" in case:
        [tensors] = found
        assert [
            {
                "name": each.name,
                "datatype": each.datatype.value,
                "shape": list(each.shape),
                "data": bytes(each.data).hex(),
            }
            for each in tensors
            if not isinstance(each, str)
        ] == case["tensors"]


def test_our_writer_writes_that_form() -> None:
    """Kind, length, JSON and binary part follow each other."""
    written = b"".join(content_parts(ContentKind.INFER, b"{}", [b"\1"]))
    assert written == content_of({"kind": 1, "json": "{}", "binary": "AQ=="})
