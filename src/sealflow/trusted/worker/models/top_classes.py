"""Worker, pure: an output's scores as top classes. Spec: content.md, section 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sealflow.errors import InvalidInputError, ModelError
from sealflow.openinfer.messages import TopClass
from sealflow.openinfer.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def top_classes(
    name: str, scores: NDArray[Any], count: int, *, softmax: bool, labels: Sequence[str]
) -> Tensor:
    """Return the best `count` classes of every row, best first, as elements `score:index:label`.

    `scores`: numbers of shape [..., classes]; the answer is BYTES of shape [..., at most count].
    `labels`: names by index, or none.

    Raises: InvalidInputError when the output holds no scores, ModelError when one is not finite.
    """
    if scores.ndim == 0 or scores.shape[-1] == 0 or scores.dtype.kind not in "fiu":
        msg = f"output {name}: has no classes to choose from; ask for it without classification"
        raise InvalidInputError(msg)
    classes = scores.shape[-1]
    kept = min(count, classes)
    elements = []
    for row in scores.reshape(-1, classes):
        values = _softmax(row) if softmax else row
        if not np.isfinite(values).all():
            msg = f"output {name}: the model gave a score that is not a finite number"
            raise ModelError(msg)
        for index in _best(values, kept):
            label = labels[index] if index < len(labels) else ""
            elements.append(
                TopClass(score=float(values[index]), index=index, label=label).to_bytes()
            )
    return Tensor.of_bytes(name, elements, (*scores.shape[:-1], kept))


def _softmax(row: NDArray[Any]) -> NDArray[Any]:
    # Scores that are not numbers become NaN here, which the caller reports.
    with np.errstate(invalid="ignore", over="ignore"):
        values = row.astype(np.float32)
        values -= values.max(initial=-np.inf)
        np.exp(values, out=values)
        values /= values.sum()
    return values


def _best(values: NDArray[Any], count: int) -> list[int]:
    """Indices of the largest values; equal ones by index, so that answers repeat."""
    if count < len(values):
        bar = np.partition(values, len(values) - count)[len(values) - count]
        candidates = np.flatnonzero(values >= bar)
    else:
        candidates = np.arange(len(values))
    order = np.lexsort((candidates, -values[candidates].astype(np.float64)))
    chosen: list[int] = candidates[order][:count].tolist()
    return chosen
