"""Cases of contents: whole bytes, or kind, JSON and binary part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.vectors.make.evidence_parts import text

if TYPE_CHECKING:
    from tests.vectors.make.files import VectorFile

BAD = "malformed"
"""What a worker answers with `invalid_input`, and what a client refuses with `reply`."""
_REFUSALS = {"request": "invalid_input", "reply": "reply"}
VECTOR = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
BINARY = {"name": "x", "datatype": "UINT8", "shape": [4], "parameters": {"binary_data_size": 4}}
BYTES4 = b"\1\2\3\4"


def request(*tensors: Any, **more: Any) -> dict[str, Any]:
    """A request's JSON."""
    return {"inputs": list(tensors) or [VECTOR], **more}


def response(*tensors: Any, **more: Any) -> dict[str, Any]:
    """A response's JSON."""
    return {"model_name": "m", "outputs": list(tensors), **more}


class Cases:
    """Adds cases to a file."""

    def __init__(self, file: VectorFile, rule: str) -> None:
        """Add to `file`, under one page's rules."""
        self._file, self._rule = file, rule

    def raw(self, side: str, name: str, rule: str, expect: str, description: str, data: bytes,
            **more: Any) -> None:  # fmt: skip
        """A case of whole bytes."""
        self._file.case(
            f"{side}: {name}",
            f"{self._rule} {rule}",
            _REFUSALS[side] if expect == BAD else expect,
            description,
            message=side,
            content=text(data),
            **more,
        )

    def add(
        self, side: str, name: str, rule: str, expect: str, description: str, value: Any,
        binary: bytes = b"", kind: int = 1, **more: Any,
    ) -> None:  # fmt: skip
        """A case of a JSON object or text, and a binary part."""
        spelled = value if isinstance(value, str) else json.dumps(value)
        self._file.case(
            f"{side}: {name}",
            f"{self._rule} {rule}",
            _REFUSALS[side] if expect == BAD else expect,
            description,
            message=side,
            kind=kind,
            json=spelled,
            binary=text(binary),
            **more,
        )
