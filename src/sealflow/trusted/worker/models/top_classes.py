"""Worker, pure: selects the top classes from an output's scores. Spec: content.md, section 5."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sealflow.errors import InvalidInputError, ModelError
from sealflow.openinfer.messages import MAX_SCORE_CHARACTERS, TopClass
from sealflow.openinfer.tensor import LENGTH_BYTES, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def top_classes(
    name: str,
    scores: NDArray[Any],
    count: int,
    *,
    softmax: bool,
    labels: Sequence[str],
    axes: int = 1,
) -> Tensor:
    """Return the best `count` classes of every row, best first, as elements `score:index:label`.

    `scores`: numbers of shape [..., classes]. `softmax`: whether to turn scores into probabilities
    first. `labels`: names of classes by index; empty for none. `axes`: how many axes scores have at
    least: 2 if the first is that of a batch.

    Returns a BYTES tensor of shape [..., min(count, classes)].

    Raises: InvalidInputError when the output has no scores; ModelError when a score is not finite.
    """
    if scores.ndim < axes or scores.shape[-1] == 0 or scores.dtype.kind not in "fiu":
        msg = f"output {name}: it has no scores of classes; request it without classification"
        raise InvalidInputError(msg)
    classes = scores.shape[-1]
    kept = min(count, classes)
    elements = []
    for row in scores.reshape(-1, classes):
        values = _softmax(row) if softmax else row
        if not np.isfinite(values).all():
            msg = f"output {name}: the model returned a score that is not a finite number"
            raise ModelError(msg)
        for index in _top_indices(values, kept):
            label = labels[index] if index < len(labels) else ""
            elements.append(
                TopClass(score=float(values[index]), index=index, label=label).to_bytes()
            )
    return Tensor.from_elements(name, elements, (*scores.shape[:-1], kept))


def spare_bytes(tensor: Tensor, classes: int, longest_label: int) -> int:
    """Return how much longer a tensor of top classes could be, for another input.

    `classes`: the number of classes. `longest_label`: of the labels, in bytes; -1 for no labels.
    """
    element = LENGTH_BYTES + MAX_SCORE_CHARACTERS + len(f":{classes - 1}") + 1 + longest_label
    longest = math.prod(tensor.shape) * element
    size = len(tensor.data)
    # The size itself is a number in the JSON of the reply.
    return longest - size + len(str(longest)) - len(str(size))


def _softmax(row: NDArray[Any]) -> NDArray[Any]:
    # NaN and infinite scores become NaN here; the caller reports them.
    with np.errstate(invalid="ignore", over="ignore"):
        values = row.astype(np.float32)
        values -= values.max(initial=-np.inf)
        np.exp(values, out=values)
        values /= values.sum()
    return values


def _top_indices(values: NDArray[Any], count: int) -> list[int]:
    """Return the indices of the largest values; equal values by index, to be reproducible."""
    if count < len(values):
        threshold = np.partition(values, len(values) - count)[len(values) - count]
        candidates = np.flatnonzero(values >= threshold)
    else:
        candidates = np.arange(len(values))
    order = np.lexsort((candidates, -values[candidates].astype(np.float64)))
    chosen: list[int] = candidates[order][:count].tolist()
    return chosen
