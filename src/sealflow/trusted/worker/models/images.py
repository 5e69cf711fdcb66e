"""Worker: converts JPEG and PNG files to model inputs, as the manifest's `image` table defines.

The orientation in EXIF is applied, so that the model gets the image as people see it. Grey becomes
three equal channels, 16 bits become 8, transparency is dropped. Spec: bundle.md, section 3.
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
_MAX_DIRECT_RATIO: Final = 1.5
"""Up to this ratio of sizes, an image is resized in one step."""
_OVERSAMPLING: Final = 2
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that leaves twice the input's size."""


def use_threads(threads: int) -> None:
    """Set how many threads OpenCV may use for one image, in the whole process."""
    cv2.setNumThreads(threads)


class ImagePreparation:
    """Converts images to one model's input.

    `datatype`: of the input that takes images. `max_pixels`: limit of an image before it is
    decoded.
    """

    def __init__(
        self, preprocessing: ImagePreprocessing, datatype: DataType, *, max_pixels: int
    ) -> None:
        self._preprocessing = preprocessing
        self._dtype = dtype_of(datatype)
        self._max_pixels = max_pixels
        scale = np.array(preprocessing.scale, np.float64)
        self._gain = (1 / scale).astype(np.float32)
        self._bias = (-np.array(preprocessing.mean, np.float64) / scale).astype(np.float32)

    @property
    def input(self) -> str:
        """The name of the input that takes images."""
        return self._preprocessing.input

    @property
    def row_bytes(self) -> int:
        """Bytes of memory for one image as float32, before it is cast to the input's datatype."""
        pixels = self._preprocessing.width * self._preprocessing.height
        return CHANNELS * pixels * np.float32().nbytes

    def prepare(self, images: Sequence[memoryview]) -> NDArray[Any]:
        """Decode one or more images and stack them: shape [images, *preprocessing.shape].

        Raises: InvalidInputError that names the image and the reason.
        """
        rows: NDArray[Any] = np.empty((len(images), *self._preprocessing.shape), np.float32)
        for index, image in enumerate(images):
            try:
                self._normalise(self._resize(self._decode(image)), rows[index])
            except InvalidInputError as error:
                msg = f"input {self._preprocessing.input}, element {index}: {error}"
                raise InvalidInputError(msg) from error
        return rows if self._dtype == np.float32 else self._to_dtype(rows)

    def _decode(self, image: memoryview) -> NDArray[np.uint8]:
        size = read_size(image, max_pixels=self._max_pixels)
        flags = _COLOURS[self._preprocessing.channels] | self._reduction(size)
        try:
            pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
        except cv2.error as error:
            msg = "the image cannot be decoded"
            raise InvalidInputError(msg) from error
        if pixels is None:
            msg = "the image cannot be decoded: its bytes are damaged"
            raise InvalidInputError(msg)
        return cast("NDArray[np.uint8]", pixels)

    def _reduction(self, size: ImageSize) -> int:
        side = min(size.width, size.height) * self._preprocessing.crop if size.jpeg else 0
        wanted = _OVERSAMPLING * max(self._preprocessing.width, self._preprocessing.height)
        return next((flag for by, flag in _REDUCED if side >= wanted * by), 0)

    def _resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop the centre to the input's aspect ratio and resize it to the input, without aliasing.

        A kernel of fixed width skips pixels when it shrinks an image by a large ratio. So the image
        is first resized to the next integer multiple of the target, which is then averaged: the
        result is within about 1 % of Pillow's. Up to `_MAX_DIRECT_RATIO` no pixel is skipped, and
        one step does it in a fifth of the time.
        """
        width, height = self._preprocessing.width, self._preprocessing.height
        crop, target = self._preprocessing.crop, (width, height)
        full_height, full_width = pixels.shape[:2]
        across = max(1, int(min(full_width, full_height * width // height) * crop))
        down = max(1, int(min(full_height, full_width * height // width) * crop))
        top, left = (full_height - down) // 2, (full_width - across) // 2
        resized: cv2.typing.MatLike = pixels[top : top + down, left : left + across]
        kernel = _KERNELS.get(self._preprocessing.resize)
        if (
            kernel is not None
            and across <= _MAX_DIRECT_RATIO * width
            and down <= _MAX_DIRECT_RATIO * height
        ):
            resized = cv2.resize(resized, target, interpolation=kernel)
            return cast("NDArray[np.uint8]", resized)
        if kernel is not None:
            multiple = (-(-across // width) * width, -(-down // height) * height)
            resized = cv2.resize(resized, multiple, interpolation=kernel)
        resized = cv2.resize(resized, target, interpolation=cv2.INTER_AREA)
        return cast("NDArray[np.uint8]", resized)

    def _normalise(self, pixels: NDArray[np.uint8], row: NDArray[np.float32]) -> None:
        planes = row if self._preprocessing.layout is Layout.NCHW else row.transpose(2, 0, 1)
        # The channels are split first: a copy takes less time than reading every third byte.
        for channel, values in enumerate(cv2.split(pixels)):
            plane = planes[channel]
            np.multiply(values, self._gain[channel], out=plane)
            plane += self._bias[channel]

    def _to_dtype(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if self._dtype == np.uint8:
            np.clip(np.rint(rows, out=rows), 0, 255, out=rows)
        return rows.astype(self._dtype)
