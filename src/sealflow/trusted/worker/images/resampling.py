"""Worker: resizes pixels without aliasing, as two products of matrices.

Each value of the output is a weighted sum of pixels, first down the columns, then along the rows. A
kernel of fixed width skips pixels when it shrinks an image by a large ratio. So such an image is as
if resized to the next integer multiple of the target, which is then averaged; both are one product.
Most weights are 0, so the matrix is cut into blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sealflow.package.preprocessing import Resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK: Final = 16
_CACHED: Final = 16
_MAX_DIRECT_RATIO: Final = 1.5
"""Up to this ratio of sizes, no pixel is skipped."""
_CUBIC: Final = -0.75


class _Block(NamedTuple):
    """The outputs `first` to `last` are `weights` times the inputs `start` to `stop`.

    `turned`: the weights with rows and columns exchanged.
    """

    first: int
    last: int
    start: int
    stop: int
    weights: NDArray[np.float32]
    turned: NDArray[np.float32]


def resample(
    pixels: NDArray[np.uint8], width: int, height: int, resize: Resize
) -> NDArray[np.float32]:
    """Return pixels of any size as three planes: shape [3, height, width], values 0 to 255."""
    across, channels = pixels.shape[1:]
    down = np.empty((height, across * channels), np.float32)
    for first, last, start, stop, weights, _ in _blocks(pixels.shape[0], height, resize):
        # Only the rows of a block are converted at a time: they take four times the memory.
        rows = pixels[start:stop].astype(np.float32, order="C").reshape(stop - start, -1)
        np.matmul(weights, rows, out=down[first:last])
    planes = down.reshape(height, across, channels).transpose(2, 0, 1)
    lines = np.ascontiguousarray(planes).reshape(channels * height, across)
    resized = np.empty((channels * height, width), np.float32)
    for first, last, start, stop, _, turned in _blocks(across, width, resize):
        np.matmul(lines[:, start:stop], turned, out=resized[:, first:last])
    np.clip(resized, 0, 255, out=resized)
    return resized.reshape(channels, height, width)


@lru_cache(maxsize=_CACHED)
def _blocks(size: int, target: int, resize: Resize) -> tuple[_Block, ...]:
    """Return the weights that make `target` values of `size`."""
    parts, places, weights = _weights(size, target, resize)
    np.clip(places, 0, size - 1, out=places)
    firsts = np.arange(0, target, _BLOCK)
    lasts = np.minimum(firsts + _BLOCK, target)
    starts, stops = places[firsts * parts, 0], places[lasts * parts - 1, -1] + 1
    span = int((stops - starts).max())
    rows = np.arange(target * parts) // parts
    cells = (rows * span - starts[rows // _BLOCK])[:, None] + places
    sums = np.bincount(cells.ravel(), weights.ravel() / parts, target * span)
    matrix = sums.reshape(target, span).astype(np.float32)
    edges = zip(firsts.tolist(), lasts.tolist(), starts.tolist(), stops.tolist(), strict=True)
    blocks = []
    for first, last, start, stop in edges:
        part = matrix[first:last, : stop - start]
        blocks.append(_Block(first, last, start, stop, part, np.ascontiguousarray(part.T)))
    return tuple(blocks)


def _weights(
    size: int, target: int, resize: Resize
) -> tuple[int, NDArray[np.intp], NDArray[np.float64]]:
    """Return in how many parts an output is computed; for each part, its pixels and their weights.

    Pixels beyond the edge stand for the one at the edge.
    """
    if resize is Resize.AREA:
        step = size / target
        begins = np.arange(target)[:, None] * step
        places = np.floor(begins).astype(np.intp) + np.arange(int(step) + 2)
        overlap = np.minimum(places + 1, begins + step) - np.maximum(places, begins)
        return 1, places, np.maximum(overlap, 0) / step
    parts = 1 if size <= _MAX_DIRECT_RATIO * target else -(-size // target)
    centres = (np.arange(target * parts) + 0.5) * (size / (target * parts)) - 0.5
    before = np.floor(centres).astype(np.intp)
    after = (centres - before)[:, None]
    if resize is Resize.BILINEAR:
        return parts, before[:, None] + np.arange(2), np.hstack((1 - after, after))
    kernel = np.hstack((_outer(1 + after), _inner(after), _inner(1 - after), _outer(2 - after)))
    return parts, before[:, None] + np.arange(-1, 3), kernel


def _inner(away: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of pixels that are at most one from the centre."""
    weights: NDArray[np.float64] = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away * away + 1
    return weights


def _outer(away: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of pixels that are one to two from the centre."""
    weights: NDArray[np.float64] = (((away - 5) * away + 8) * away - 4) * _CUBIC
    return weights
