"""Worker: converts JPEG and PNG files to model inputs, as the manifest's `image` table defines.

The orientation in EXIF is applied, so that the model gets the image as people see it. Grey becomes
three equal channels, 16 bits become 8, transparency is dropped. Spec: bundle.md, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyspng
import simplejpeg

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import dtype_of
from sealflow.package.preprocessing import CHANNELS, Channels, Layout
from sealflow.trusted.worker.images.files import ImageFile, invalid
from sealflow.trusted.worker.images.jpeg import JPEG_SIGNATURE, read_jpeg
from sealflow.trusted.worker.images.png import PNG_SIGNATURE, read_png
from sealflow.trusted.worker.images.resampling import resample

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.tensor import DataType
    from sealflow.package.preprocessing import ImagePreprocessing

MAX_PIXELS: Final = 50_000_000
MAX_IMAGE_WORK: Final = 1_200_000_000
MAX_REQUEST_WORK: Final = 1_500_000_000

_IMAGE_WORK: Final = 300_000
_PIXEL_WORK: Final = 10
_OUTPUT_WORK: Final = 10
_REDUCTIONS: Final = (8, 4, 2)
_OVERSAMPLING: Final = 2
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that leaves twice the input's size."""


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
        scale = np.array(preprocessing.scale, np.float64).reshape(CHANNELS, 1, 1)
        mean = np.array(preprocessing.mean, np.float64).reshape(CHANNELS, 1, 1)
        self._gain = (1 / scale).astype(np.float32)
        self._bias = (-mean / scale).astype(np.float32)

    @property
    def input(self) -> str:
        """The name of the input that takes images."""
        return self._preprocessing.input

    @property
    def row_bytes(self) -> int:
        """Bytes of memory for one image as float32, before it is cast to the input's datatype."""
        pixels = self._preprocessing.width * self._preprocessing.height
        return CHANNELS * pixels * np.float32().nbytes

    def prepare(self, images: Sequence[memoryview]) -> Generator[int, None, NDArray[Any]]:
        """Decode one or more images and stack them: shape [images, *preprocessing.shape].

        The first step reads all headers and yields the work of all images. Each further one
        decodes an image and yields its work.

        Raises: InvalidInputError that names the image and the reason.
        """
        files: list[tuple[ImageFile, int]] = []
        total = 0
        for index, image in enumerate(images):
            try:
                files.append(self._read(image))
            except InvalidInputError as error:
                raise self._named(index, error) from error
            total += files[-1][1]
            if total > MAX_REQUEST_WORK:
                msg = "the images up to this one take too long to decode: send fewer in a request"
                raise self._named(index, InvalidInputError(msg))
        yield total
        rows: NDArray[Any] = np.empty((len(files), *self._preprocessing.shape), np.float32)
        for index, (file, work) in enumerate(files):
            try:
                self._fill(rows[index], self._crop(_turn(self._decode(file), file.orientation)))
            except InvalidInputError as error:
                raise self._named(index, error) from error
            yield work
        return rows if self._dtype == np.float32 else self._to_dtype(rows)

    def _named(self, index: int, error: InvalidInputError) -> InvalidInputError:
        return InvalidInputError(f"input {self._preprocessing.input}, element {index}: {error}")

    def _read(self, image: memoryview) -> tuple[ImageFile, int]:
        """Return a file and the work that it makes."""
        start = bytes(image[:8])
        if start == PNG_SIGNATURE:
            file = read_png(image, max_pixels=self._max_pixels)
        elif start.startswith(JPEG_SIGNATURE):
            file = read_jpeg(image, max_pixels=self._max_pixels)
        else:
            raise invalid("is neither a JPEG nor a PNG file: convert it to one")
        by = self._reduction(file)
        pixels = -(-file.width // by) * -(-file.height // by)
        target = self._preprocessing.width * self._preprocessing.height
        work = file.work + _PIXEL_WORK * pixels + _OUTPUT_WORK * target + _IMAGE_WORK
        if work > MAX_IMAGE_WORK:
            raise invalid("takes too long to decode: send a smaller one, or a baseline JPEG")
        return file, work

    def _decode(self, file: ImageFile) -> NDArray[np.uint8]:
        content = b"".join(file.parts)
        by = self._reduction(file)
        try:
            if not file.jpeg:
                pixels: NDArray[np.uint8] = pyspng.load(content, "RGB")
            else:
                height, width = -(-file.height // by), -(-file.width // by)
                pixels = simplejpeg.decode_jpeg(content, min_height=height, min_width=width)
        except (ValueError, RuntimeError) as error:
            raise invalid("cannot be decoded: its bytes are damaged") from error
        return pixels

    def _reduction(self, file: ImageFile) -> int:
        side = min(file.width, file.height) * self._preprocessing.crop if file.jpeg else 0
        wanted = _OVERSAMPLING * max(self._preprocessing.width, self._preprocessing.height)
        return next((by for by in _REDUCTIONS if side >= wanted * by), 1)

    def _crop(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the middle of the largest centred rectangle of the input's proportions."""
        width, height = self._preprocessing.width, self._preprocessing.height
        crop = self._preprocessing.crop
        full_height, full_width = pixels.shape[:2]
        across = max(1, int(min(full_width, full_height * width // height) * crop))
        down = max(1, int(min(full_height, full_width * height // width) * crop))
        top, left = (full_height - down) // 2, (full_width - across) // 2
        return pixels[top : top + down, left : left + across]

    def _fill(self, row: NDArray[np.float32], pixels: NDArray[np.uint8]) -> None:
        """Resize pixels to one row of the input, and normalise them."""
        recipe = self._preprocessing
        planes = resample(pixels, recipe.width, recipe.height, recipe.resize)
        if recipe.channels is Channels.BGR:
            planes = planes[::-1]
        planes = np.multiply(planes, self._gain, out=planes)
        target = row if recipe.layout is Layout.NCHW else row.transpose(2, 0, 1)
        np.add(planes, self._bias, out=target)

    def _to_dtype(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if self._dtype == np.uint8:
            np.clip(np.rint(rows, out=rows), 0, 255, out=rows)
        return rows.astype(self._dtype)


def _turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return pixels as people see them. Source: EXIF 2.32, tag 0x0112."""
    if orientation > 4:  # noqa: PLR2004 - rows are columns
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
