"""Core, pure: infer requests, infer responses and top classes of KServe V2.

Top classes are BYTES elements `score:index:label`, best first.
Spec: docs/spec/content.md, sections 3 and 5.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError
from sealflow.openinfer.tensor import Parameter, Tensor, check_name, check_parameters
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_TENSORS: Final = 64
MAX_CLASSES: Final = 65_536
MAX_ID_CHARACTERS: Final = 256
MAX_SCORE_CHARACTERS: Final = 16
"""The longest score that `TopClass.to_bytes` writes, such as -1.23456789e-308."""
SHARE_BATCH: Final = "share_batch"
"""The parameter by which a client lets its rows share batches with other clients' rows."""
TENANT_TOKEN: Final = "tenant_token"  # noqa: S105 - a name
"""The parameter in which a client sends its tenant token. Spec: tenants.md."""
_CLASS: Final = re.compile(
    r"(?=[^:]{1,32}:)(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r":([0-9]{1,10})(?::(.{0,4096}))?",
    re.DOTALL,
)
"""Score, index and label of a class. Spec: content.md, 5.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    """An output that a request asks for, with its parameters.

    Raises: MalformedError.
    """

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check name and parameters."""
        check_name(self.name, "requested output")
        if not self.parameters:
            return
        check_parameters(self.parameters, self.name)
        count = self.parameters.get("classification", 1)
        if not is_integer(count) or not 1 <= count <= MAX_CLASSES:
            msg = f"requested output {self.name}: classification is not 1 to {MAX_CLASSES}"
            raise MalformedError(msg)

    @property
    def classification(self) -> int | None:
        """The number of top classes to return instead of the tensor; None for the tensor itself.

        Source: Triton's classification extension.
        """
        count = self.parameters.get("classification")
        return int(count) if count is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A request to a model. `outputs`: the requested outputs; empty for all.

    Raises: MalformedError for no inputs, over `MAX_TENSORS` inputs or outputs, or two with the same
    name.
    """

    id: str | None = None
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check id, inputs, outputs and parameters."""
        _check_id(self.id)
        if not self.inputs:
            msg = "infer request: has no inputs"
            raise MalformedError(msg)
        _check_distinct(self.inputs, "inputs")
        _check_distinct(self.outputs, "requested outputs")
        if self.parameters:
            check_parameters(self.parameters, "infer request")
            if not isinstance(self.parameters.get(SHARE_BATCH, False), bool):
                msg = f"infer request: parameter {SHARE_BATCH} is not a boolean"
                raise MalformedError(msg)

    @property
    def share_batch(self) -> bool:
        """Whether rows of other clients may be in a batch with this request's (content.md, 7.2)."""
        return bool(self.parameters.get(SHARE_BATCH, False))

    def input(self, name: str) -> Tensor | None:
        """Return the input with a name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResponse:
    """A model's response. `id`: the id of the request.

    Raises: MalformedError for over `MAX_TENSORS` outputs, or two with the same name.
    """

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names, id, outputs and parameters."""
        check_name(self.model_name, "infer response: model_name")
        if self.model_version is not None:
            check_name(self.model_version, "infer response: model_version")
        _check_id(self.id)
        _check_distinct(self.outputs, "outputs")
        if self.parameters:
            check_parameters(self.parameters, "infer response")

    def output(self, name: str) -> Tensor | None:
        """Return the output with a name, or None."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)


def _check_id(value: object) -> None:
    if value is not None and (not isinstance(value, str) or len(value) > MAX_ID_CHARACTERS):
        msg = f"infer message: id is not a string of at most {MAX_ID_CHARACTERS} characters"
        raise MalformedError(msg)


def _check_distinct(named: tuple[Tensor, ...] | tuple[RequestedOutput, ...], what: str) -> None:
    if len(named) > MAX_TENSORS:
        msg = f"infer message: more than {MAX_TENSORS} {what}"
        raise MalformedError(msg)
    if len(named) > 1 and len({each.name for each in named}) != len(named):
        msg = f"infer message: two {what} have the same name"
        raise MalformedError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopClass:
    """A class of a model's output with its score. `label`: empty if the model has no labels."""

    score: float
    index: int
    label: str = ""

    def to_bytes(self) -> bytes:
        """Return `score:index:label`; 9 significant digits keep an FP32 score exact."""
        tail = f":{self.label}" if self.label else ""
        return f"{self.score:.9g}:{self.index}{tail}".encode()

    @classmethod
    def from_bytes(cls, element: bytes | memoryview) -> Self:
        """Parse bytes that `to_bytes` returned.

        Raises: MalformedError.
        """
        try:
            match = _CLASS.fullmatch(str(element, "utf-8"))
            score = float(match[1]) if match else math.nan
        except ValueError:
            match, score = None, math.nan
        if match is None or not math.isfinite(score):
            msg = "classification: an element is not score:index:label"
            raise MalformedError(msg)
        return cls(score=score, index=int(match[2]), label=match[3] or "")
