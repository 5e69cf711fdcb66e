"""Owner: results of inference requests, for callers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import (
    InvalidInputError,
    MalformedError,
    ModelError,
    QuotaExceededError,
    SealflowError,
    TenantRefusedError,
)
from sealflow.openinfer.binary import decode_response
from sealflow.openinfer.messages import TopClass
from sealflow.openinfer.tensor import DataType
from sealflow.seal.content import Content, ContentKind, parse_error
from sealflow.wire.printable import as_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from sealflow.openinfer.tensor import Tensor, TensorSpec
    from sealflow.owner.audit.receipt_proof import ReceiptProof
    from sealflow.wire.envelope import ReplyHeader
    from sealflow.wire.ids import ModelRef

_MAX_MESSAGE: Final = 2000
_log = logging.getLogger("sealflow.owner.simulation")
_warned_of_simulation = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One class that a model found.

    Attributes:
        index: The number of the class, from 0.
        label: Its label; empty if the model's package has none.
        score: The score as the model gave it: often 0 to 1, not always.

    Example:
        >>> print(client.infer("efficientnet-lite0", image="cat.jpg").top[0])
        tiger cat 0.3832
    """

    index: int
    label: str
    score: float

    def __str__(self) -> str:
        """Write label and score for people."""
        return f"{self.label or self.index} {self.score:.4f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResult:
    """The genuine reply to one request: it opened, so a verified enclave made it.

    Attributes:
        model: Name and version of the model that answered.
        model_digest: SHA-256 of its package, 64 hex digits.
        request_id: The id of the sealed request, 32 hex digits.
        simulated: Whether the enclave is a simulation: nothing was protected from the operator.
        tensors: The outputs by name, as little-endian bytes; also those that numpy cannot hold.
        receipt: The worker's signed receipt with what it is about; None unless asked for.
        classification: The name of the output whose best classes the reply has; None for none.

    Example:
        >>> result = client.infer("tiny", tensors={"x": [[1.0, 2.0, 3.0, 4.0]]})
        >>> result
        <SIMULATED, NOT PROTECTED: InferResult of tiny:1: probabilities>
        >>> result.outputs["probabilities"].shape
        (1, 3)
    """

    model: ModelRef
    model_digest: str
    request_id: str
    simulated: bool
    tensors: Mapping[str, Tensor]
    receipt: ReceiptProof | None = None
    classification: str | None = None

    @property
    def outputs(self) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        """The outputs by name as read-only numpy arrays; BYTES are object arrays of `bytes`.

        Raises:
            InvalidInputError: An output is BF16, which numpy does not have; use `tensors`.
        """
        from sealflow.openinfer.ndarray import to_numpy  # noqa: PLC0415 - numpy only when wanted

        return {name: to_numpy(tensor) for name, tensor in self.tensors.items()}

    @property
    def top(self) -> list[Label]:
        """The best classes of the first image or row, best first; empty without `top_k`."""
        rows = self.top_rows
        return rows[0] if rows else []

    @property
    def top_rows(self) -> list[list[Label]]:
        """The best classes of every image or row, in the order of the inputs."""
        return [] if self.classification is None else _rows(self.tensors[self.classification])

    def __repr__(self) -> str:
        """Show which model answered, and loudly when it was in a simulation."""
        mark = "SIMULATED, NOT PROTECTED: " if self.simulated else ""
        best = f" top={self.top[0]}" if self.top else ""
        return f"<{mark}InferResult of {self.model}: {', '.join(self.tensors)}{best}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one of many requests ended.

    Attributes:
        index: The place of its input, from 0.
        value: The result, or the error that the request ended with.

    Example:
        >>> rows = [{"x": [[1.0, 2.0, 3.0, 4.0]]}, {"x": [[1.0]]}]
        >>> for outcome in client.infer_many("tiny", rows, concurrency=1):
        ...     print(outcome.index, type(outcome.value).__name__)
        0 InferResult
        1 InvalidInputError
    """

    index: int
    value: InferResult | SealflowError

    @property
    def result(self) -> InferResult:
        """The result.

        Raises:
            SealflowError: The error that the request ended with.
        """
        if isinstance(self.value, SealflowError):
            raise self.value
        return self.value


def read_result(
    model: ModelRef,
    header: ReplyHeader,
    content: Content,
    *,
    outputs: Sequence[TensorSpec],
    receipt: ReceiptProof | None = None,
) -> InferResult:
    """Return the result in an opened reply.

    `outputs`: the outputs of the model, all of which the request asked for.

    Raises: InvalidInputError or ModelError when the reply is an error of the worker;
        MalformedError when it does not parse, or is not what was asked for (content.md, 3.7).
    """
    if content.kind is ContentKind.ERROR:
        raise model_error(*parse_error(content))
    if content.kind is not ContentKind.INFER:
        raise MalformedError(f"reply: its kind is {content.kind.name}, not INFER")
    response = decode_response(content.text, content.binary)
    if (response.model_name, response.model_version or model.version) != (
        model.name,
        model.version,
    ):
        raise MalformedError("infer response: it is of another model")
    tensors = {tensor.name: tensor for tensor in response.outputs}
    if tensors.keys() != {spec.name for spec in outputs}:
        raise MalformedError("infer response: its outputs are not those that were asked for")
    if header.simulated:
        _warn_of_simulation()
    return InferResult(
        model=model,
        model_digest=header.model_digest,
        request_id=header.request_id,
        simulated=header.simulated,
        tensors=tensors,
        receipt=receipt,
        classification=_classification(outputs, tensors),
    )


def _classification(outputs: Sequence[TensorSpec], tensors: Mapping[str, Tensor]) -> str | None:
    """Return the output of numbers that came as text, which is its best classes.

    Raises: MalformedError when an output has another datatype, or is not a list of classes.
    """
    found = None
    for spec in outputs:
        tensor = tensors[spec.name]
        if tensor.datatype is spec.datatype:
            continue
        if tensor.datatype is not DataType.BYTES:
            raise MalformedError("infer response: an output has another datatype than its model's")
        _rows(tensor)
        found = spec.name
    return found


def model_error(code: str, message: str) -> ModelError:
    """Return the error that a sealed error of a worker stands for."""
    known = (InvalidInputError, TenantRefusedError, QuotaExceededError)
    kind = next((each for each in known if each.code == code), ModelError)
    return kind(as_line(message, _MAX_MESSAGE))  # a model's words may be in it


def _rows(tensor: Tensor) -> list[list[Label]]:
    found = [TopClass.from_bytes(element) for element in tensor.each_element()]
    labels = [Label(index=each.index, label=each.label, score=each.score) for each in found]
    width = tensor.shape[-1] if tensor.shape else 1
    return [labels[at : at + width] for at in range(0, len(labels), max(width, 1))]


def _warn_of_simulation() -> None:
    global _warned_of_simulation  # noqa: PLW0603 - one warning per process
    if not _warned_of_simulation:
        _warned_of_simulation = True
        _log.warning(
            "SIMULATED enclave: no hardware protects these requests from the operator of the "
            "cluster; use it for trials only"
        )
