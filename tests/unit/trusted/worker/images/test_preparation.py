"""Images: the pixels that a model gets are those that people see, by the manifest's recipe."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError
from sealflow.openinfer.tensor import DataType
from sealflow.package.preprocessing import Channels, ImagePreprocessing, Layout, Resize
from sealflow.trusted.worker.images.preparation import ImagePreparation
from tests.support.models.served_models import finish

if TYPE_CHECKING:
    from numpy.typing import NDArray

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _quarters(size: int = 64) -> NDArray[np.uint8]:
    """Red and green over blue and white, as RGB."""
    image = np.empty((size, size, 3), np.uint8)
    half = size // 2
    image[:half, :half], image[:half, half:] = RED, GREEN
    image[half:, :half], image[half:, half:] = BLUE, WHITE
    return image


def _png(pixels: NDArray[Any]) -> bytes:
    colour = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    turned = cv2.cvtColor(pixels, colour[pixels.shape[2]]) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", turned)[1].tobytes()


def _jpeg(pixels: NDArray[Any], *, progressive: bool = False) -> bytes:
    turned = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return cv2.imencode(".jpg", turned, options)[1].tobytes()


def _with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Note in EXIF how the camera was held."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _prepare(
    *images: bytes,
    datatype: DataType = DataType.UINT8,
    max_pixels: int = 1_000_000,
    width: int = 8,
    height: int = 8,
    layout: Layout = Layout.NHWC,
    **recipe: Any,
) -> NDArray[Any]:
    made = ImagePreprocessing(input="image", width=width, height=height, layout=layout, **recipe)
    preparation = ImagePreparation(made, datatype, max_pixels=max_pixels)
    assert preparation.input == "image"
    return finish(preparation.prepare([memoryview(image) for image in images]))


def _corners(rows: NDArray[Any]) -> list[tuple[int, ...]]:
    """The corners of the first image, each channel as 0 or 255."""
    snapped = np.where(rows[0].astype(float) > 127, 255, 0)
    return [tuple(snapped[y, x].tolist()) for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]


@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("encode", [_png, _jpeg])
def test_pixels_come_as_rgb_from_top_left(encode: Any, resize: Resize) -> None:
    """PNG and JPEG give the same corners with every kernel."""
    rows = _prepare(encode(_quarters()), resize=resize)
    assert (rows.shape, rows.dtype) == ((1, 8, 8, 3), np.uint8)
    assert _corners(rows) == [RED, GREEN, BLUE, WHITE]


def test_progressive_jpeg_is_decoded() -> None:
    """The web's kind of JPEG is as good."""
    rows = _prepare(_jpeg(_quarters(), progressive=True))
    assert _corners(rows) == [RED, GREEN, BLUE, WHITE]


def test_models_that_want_bgr_get_it() -> None:
    """The recipe's order of colours is obeyed."""
    rows = _prepare(_png(_quarters()), channels=Channels.BGR)
    assert _corners(rows) == [BLUE, GREEN, RED, WHITE]


def test_planes_come_first_where_the_recipe_says_so() -> None:
    """NCHW is NHWC with its axes moved."""
    image = _png(_quarters())
    planes = _prepare(image, layout=Layout.NCHW)
    assert planes.shape == (1, 3, 8, 8)
    assert np.array_equal(planes.transpose(0, 2, 3, 1), _prepare(image))


def test_values_are_normalised_by_channel() -> None:
    """A value is (pixel - mean) / scale, in the order of the channels."""
    grey = np.full((16, 16, 3), (100, 150, 200), np.uint8)
    mean, scale = (100.0, 100.0, 100.0), (1.0, 50.0, -200.0)
    rows = _prepare(_png(grey), datatype=DataType.FP32, mean=mean, scale=scale)
    assert rows.dtype == np.float32
    assert rows[0, 3, 3].tolist() == pytest.approx([0.0, 1.0, -0.5], abs=1e-6)
    halves = _prepare(_png(grey), datatype=DataType.FP16, mean=mean, scale=scale)
    assert halves.dtype == np.float16
    assert halves[0, 3, 3].tolist() == [0.0, 1.0, -0.5]


def test_integers_are_rounded_and_kept_in_range() -> None:
    """A UINT8 input never wraps around."""
    grey = np.full((16, 16, 3), (100, 10, 201), np.uint8)
    mean, scale = (0.0, 20.0, 0.0), (0.3, 1.0, 2.0)
    rows = _prepare(_png(grey), mean=mean, scale=scale)
    assert rows[0, 0, 0].tolist() == [255, 0, 100]


def test_grey_becomes_three_equal_channels() -> None:
    """Greyscale PNG and JPEG need no conversion by the caller."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    for image in (_png(ramp), _jpeg(ramp)):
        rows = _prepare(image).astype(int)
        assert np.array_equal(rows[..., 0], rows[..., 1])
        assert np.array_equal(rows[..., 0], rows[..., 2])
        assert np.all(np.diff(rows[0, 0, :, 0]) > 20)


def test_transparency_is_dropped() -> None:
    """The colours count, whether anyone would see them or not."""
    colours = _quarters()
    alpha = np.full((64, 64, 1), 0, np.uint8)
    assert np.array_equal(_prepare(_png(np.dstack((colours, alpha)))), _prepare(_png(colours)))


def test_sixteen_bits_become_eight() -> None:
    """Deep PNGs are decoded to the range that the recipe speaks of."""
    deep = _quarters().astype(np.uint16) * 257
    assert _corners(_prepare(_png(deep))) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
@pytest.mark.parametrize("size", [64, 512])
@pytest.mark.parametrize("channels", list(Channels))
def test_the_cameras_orientation_is_applied(
    size: int, channels: Channels, orientation: int, corners: list[tuple[int, ...]]
) -> None:
    """What people see is what the model gets, also when a JPEG is decoded at a fraction."""
    image = _with_orientation(_jpeg(_quarters(size)), orientation)
    expected = [each if channels is Channels.RGB else each[::-1] for each in corners]
    assert _corners(_prepare(image, channels=channels)) == expected


def test_the_middle_is_kept() -> None:
    """Of a wide or high image the centred square counts, and of that the crop."""
    wide = np.zeros((60, 180, 3), np.uint8)
    wide[:, 60:120] = 255
    assert _prepare(_png(wide)).min() == 255
    assert _prepare(_png(wide.transpose(1, 0, 2))).min() == 255
    framed = np.zeros((80, 80, 3), np.uint8)
    framed[20:60, 20:60] = 255
    assert _prepare(_png(framed), crop=0.5).min() == 255
    assert _prepare(_png(framed), crop=0.75).min() == 0


def test_proportions_stay() -> None:
    """A model that takes wide images gets the widest middle, not a square pulled wide."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[25:75] = 255
    for resize in Resize:
        rows = _prepare(_png(image), width=16, height=8, resize=resize)
        assert rows.shape == (1, 8, 16, 3)
        assert rows.min() == 255
    high = _prepare(_png(image.transpose(1, 0, 2)), width=8, height=16)
    assert (high.shape, high.min()) == ((1, 16, 8, 3), 255)


@pytest.mark.parametrize("resize", list(Resize))
def test_shrinking_averages(resize: Resize) -> None:
    """A fine checkerboard becomes grey instead of a pattern that is not there."""
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    rows = _prepare(_png(board), resize=resize).astype(int)
    assert np.abs(rows - 127).max() <= 4


@pytest.mark.parametrize("resize", list(Resize))
def test_growing_keeps_flat_colours(resize: Resize) -> None:
    """An image smaller than the model's size is brought up to it, even a single pixel."""
    pixel = np.full((1, 1, 3), (10, 20, 30), np.uint8)
    rows = _prepare(_png(pixel), resize=resize, crop=0.5)
    assert np.all(rows == np.array([10, 20, 30]))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_large_jpegs_look_like_their_small_copies(factor: int) -> None:
    """Decoding at a fraction of the size changes values by a few steps only."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    size = 8 * 2 * factor
    large = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    from_png = _prepare(_png(large)).astype(int)
    from_jpeg = _prepare(_jpeg(large)).astype(int)
    assert np.abs(from_png - from_jpeg).mean() < 6


def test_images_of_one_request_keep_their_order() -> None:
    """Row N is element N, whatever sizes and formats come together."""
    colours = [RED, GREEN, BLUE]
    images = [np.full((20 + n, 30, 3), colour, np.uint8) for n, colour in enumerate(colours)]
    rows = _prepare(_png(images[0]), _jpeg(images[1]), _png(images[2]))
    assert rows.shape == (3, 8, 8, 3)
    for row, colour in zip(rows, colours, strict=True):
        assert np.abs(row.astype(int) - colour).max() < 3


def test_the_wrong_image_is_named() -> None:
    """The message says which input and which element, counted from 0."""
    good = _png(_quarters())
    with pytest.raises(InvalidInputError, match=r"input image, element 1: .*neither a JPEG nor"):
        _prepare(good, b"GIF89a" + bytes(40), good)


def test_the_pixel_limit_is_the_workers() -> None:
    """What is over the limit is refused with both figures."""
    with pytest.raises(InvalidInputError, match="64 x 64 = 4096 pixels; the limit is 4095"):
        _prepare(_png(_quarters()), max_pixels=4095)
    assert _prepare(_png(_quarters()), max_pixels=4096).shape == (1, 8, 8, 3)


def test_a_bomb_never_reaches_the_decoder() -> None:
    """A PNG of a gigapixel of zeros, packed to almost nothing, is refused by its header."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    with pytest.raises(InvalidInputError, match="900000000 pixels"):
        _prepare(bomb, max_pixels=50_000_000)


def test_a_png_of_damaged_pixels_is_refused() -> None:
    """A header that reads well does not make an image."""
    image = bytearray(_png(_quarters()))
    at = image.index(b"IDAT") + 4
    image[at : at + 4] = b"\0\0\0\0"
    with pytest.raises(InvalidInputError, match="element 0: the image cannot be decoded"):
        _prepare(bytes(image))


@pytest.mark.parametrize("encode", [_png, _jpeg])
def test_a_truncated_image_is_refused(encode: Any) -> None:
    """Half a picture is no picture."""
    image = encode(_quarters())
    with pytest.raises(InvalidInputError, match="ends early"):
        _prepare(image[: len(image) // 2])


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.integers(0, 2000), st.binary(min_size=1, max_size=40))
def test_damage_gives_pixels_or_an_error_of_ours(
    jpeg: bool,  # noqa: FBT001 - drawn
    at: int,
    noise: bytes,
) -> None:
    """Nothing but an InvalidInputError comes out of a decoder that met hostile bytes."""
    image = bytearray(_jpeg(_quarters()) if jpeg else _png(_quarters()))
    at %= len(image)
    image[at : at + len(noise)] = noise
    try:
        rows = _prepare(bytes(image))
    except InvalidInputError:
        return
    assert rows.shape == (1, 8, 8, 3)
