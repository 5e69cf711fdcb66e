"""Worker: JPEG and PNG bytes to model inputs, as a manifest's recipe says.

What people see is what the model gets: the orientation that a camera noted in EXIF is applied. Grey
becomes three equal channels, 16 bits become 8, transparency is dropped. Spec: bundle.md, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import cv2
import numpy as np

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import dtype_of
from sealflow.package.preprocessing import CHANNELS, Channels, Layout, Resize
from sealflow.trusted.worker.models.image_headers import ImageSize, read_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.tensor import DataType
    from sealflow.package.preprocessing import ImagePreprocessing

MAX_PIXELS: Final = 50_000_000

_KERNELS: Final = {Resize.BICUBIC: cv2.INTER_CUBIC, Resize.BILINEAR: cv2.INTER_LINEAR}
_COLOURS: Final = {
    Channels.RGB: cv2.IMREAD_COLOR_RGB,
    Channels.BGR: cv2.IMREAD_COLOR_BGR,
}
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8 & ~cv2.IMREAD_COLOR_BGR),
    (4, cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR_BGR),
    (2, cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR_BGR),
)
_PLAIN: Final = 1.5
_SPARE: Final = 2
"""A JPEG is decoded at a fraction of its size while twice the wanted detail is left."""


def use_threads(threads: int) -> None:
    """Set how many threads one image may use, for the whole process."""
    cv2.setNumThreads(threads)


class ImagePreparation:
    """Makes model inputs of images by one recipe."""

    def __init__(self, recipe: ImagePreprocessing, datatype: DataType, *, max_pixels: int) -> None:
        """Take the recipe and the datatype of the input that it names."""
        self._recipe = recipe
        self._dtype = dtype_of(datatype)
        self._max_pixels = max_pixels
        scale = np.array(recipe.scale, np.float64)
        self._gain = (1 / scale).astype(np.float32)
        self._bias = (-np.array(recipe.mean, np.float64) / scale).astype(np.float32)

    @property
    def input(self) -> str:
        """The input that takes images."""
        return self._recipe.input

    @property
    def row_bytes(self) -> int:
        """Bytes that one prepared image takes while it is made."""
        return CHANNELS * self._recipe.width * self._recipe.height * np.float32().nbytes

    def prepare(self, images: Sequence[memoryview]) -> NDArray[Any]:
        """Decode images, one or more, and stack them: shape [images, *recipe.shape].

        Raises: InvalidInputError that says which image is wrong, and how.
        """
        rows: NDArray[Any] = np.empty((len(images), *self._recipe.shape), np.float32)
        for index, image in enumerate(images):
            try:
                self._normalise(self._resized(self._decode(image)), rows[index])
            except InvalidInputError as error:
                msg = f"input {self._recipe.input}, element {index}: {error}"
                raise InvalidInputError(msg) from error
        return rows if self._dtype == np.float32 else self._converted(rows)

    def _decode(self, image: memoryview) -> NDArray[np.uint8]:
        size = read_size(image, max_pixels=self._max_pixels)
        flags = _COLOURS[self._recipe.channels] | self._reduction(size)
        try:
            pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
        except cv2.error as error:
            msg = "the image does not decode"
            raise InvalidInputError(msg) from error
        if pixels is None:
            msg = "the image does not decode: its bytes are damaged"
            raise InvalidInputError(msg)
        return cast("NDArray[np.uint8]", pixels)

    def _reduction(self, size: ImageSize) -> int:
        side = min(size.width, size.height) * self._recipe.crop if size.jpeg else 0
        wanted = _SPARE * max(self._recipe.width, self._recipe.height)
        return next((flag for by, flag in _REDUCED if side >= wanted * by), 0)

    def _resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut the centre out, in the recipe's proportions, and bring it to size, without aliasing.

        A kernel of fixed width skips pixels when it shrinks by much. So it goes to the next whole
        multiple of the size, which is then averaged: within about 1 % of what Pillow gives. Up to
        `_PLAIN` nothing is skipped, and it goes there at once, in a fifth of the time.
        """
        recipe = self._recipe
        height, width = pixels.shape[:2]
        across = max(1, int(min(width, height * recipe.width // recipe.height) * recipe.crop))
        down = max(1, int(min(height, width * recipe.height // recipe.width) * recipe.crop))
        top, left = (height - down) // 2, (width - across) // 2
        middle: cv2.typing.MatLike = pixels[top : top + down, left : left + across]
        target = (recipe.width, recipe.height)
        kernel = _KERNELS.get(recipe.resize)
        if kernel is not None and across <= _PLAIN * target[0] and down <= _PLAIN * target[1]:
            plain = cv2.resize(middle, target, interpolation=kernel)
            return cast("NDArray[np.uint8]", plain)
        if kernel is not None:
            multiple = (-(-across // target[0]) * target[0], -(-down // target[1]) * target[1])
            middle = cv2.resize(middle, multiple, interpolation=kernel)
        middle = cv2.resize(middle, target, interpolation=cv2.INTER_AREA)
        return cast("NDArray[np.uint8]", middle)

    def _normalise(self, pixels: NDArray[np.uint8], row: NDArray[np.float32]) -> None:
        planes = row if self._recipe.layout is Layout.NCHW else row.transpose(2, 0, 1)
        # Apart first: reading every third byte takes longer than a copy.
        for channel, values in enumerate(cv2.split(pixels)):
            plane = planes[channel]
            np.multiply(values, self._gain[channel], out=plane)
            plane += self._bias[channel]

    def _converted(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if self._dtype == np.uint8:
            np.clip(np.rint(rows, out=rows), 0, 255, out=rows)
        return rows.astype(self._dtype)
