"""Preparation: arrays as the model takes them, or a message with what was wanted and what came."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import pytest

from sealflow.errors import InvalidInputError
from sealflow.openinfer.messages import InferRequest, RequestedOutput
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.package.preprocessing import ImagePreprocessing
from sealflow.trusted.worker.images.preparation import ImagePreparation
from sealflow.trusted.worker.models.inputs import MAX_PREPARED_BYTES, MAX_ROWS, prepare
from tests.support.models.served_models import finish, onnx_manifest, tensor_specs

IMAGE = cv2.imencode(".png", np.full((9, 9, 3), 200, np.uint8))[1].tobytes()
RECIPE = ImagePreprocessing(input="x", width=4, height=4)
PIXELS = tensor_specs(x=(DataType.FP32, [-1, 3, 4, 4]))


def _prepared(
    *inputs: Tensor,
    outputs: tuple[str, ...] = (),
    recipe: ImagePreprocessing | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], int]:
    manifest = onnx_manifest(image=recipe, **changes)
    images = None
    if recipe is not None:
        images = ImagePreparation(recipe, DataType.FP32, max_pixels=1000)
    asked = tuple(RequestedOutput(name=name) for name in outputs)
    arrays, rows = finish(prepare(InferRequest(inputs=inputs, outputs=asked), manifest, images))
    return dict(arrays), rows


def _refused(reason: str, *inputs: Tensor, **changes: Any) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(reason)):
        _prepared(*inputs, **changes)


def _x(*shape: int, dtype: type[np.generic] = np.float32, name: str = "x") -> Tensor:
    return from_numpy(name, np.arange(np.prod(shape)).reshape(shape).astype(dtype))


def test_tensors_become_arrays() -> None:
    """Values, shape and dtype are those of the request; the first size counts rows."""
    arrays, rows = _prepared(_x(3, 4))
    assert rows == 3
    assert arrays["x"].dtype == np.float32
    assert np.array_equal(arrays["x"], np.arange(12).reshape(3, 4))


def test_a_model_without_batches_has_one_row() -> None:
    """Sizes then mean what the model says, and inputs may differ in all of them."""
    inputs = tensor_specs(x=(DataType.FP32, [2, 4]), z=(DataType.INT64, []))
    five = from_numpy("z", np.array(5))
    arrays, rows = _prepared(five, _x(2, 4), inputs=inputs, max_batch=1)
    assert rows == 1
    assert (arrays["x"].shape, arrays["z"].item()) == ((2, 4), 5)


def test_names_must_be_the_models() -> None:
    """Missing and unknown inputs are answered with both lists."""
    _refused("model m:1 takes the inputs ['x']; the request has ['X']", _x(1, 4, name="X"))
    _refused("the request has ['x', 'z']", _x(1, 4), _x(1, 4, name="z"))
    two = tensor_specs(x=(DataType.FP32, [-1]), z=(DataType.FP32, [-1]))
    _refused("takes the inputs ['x', 'z']; the request has ['x']", _x(1), inputs=two)


def test_outputs_must_be_the_models() -> None:
    """Whoever asks for an output that is not there learns which are."""
    _refused("model m:1 has no output z; it has ['y']", _x(1, 4), outputs=("y", "z"))
    assert _prepared(_x(1, 4), outputs=("y",))[1] == 1


def test_the_datatype_must_be_the_models() -> None:
    """Nothing is converted unasked."""
    _refused("tensor x: is FP64, must be FP32", _x(1, 4, dtype=np.float64))


def test_the_shape_must_fit() -> None:
    """The message has the shape that came and the one that fits."""
    _refused("tensor x: shape [1, 5] does not fit [-1, 4]", _x(1, 5))
    _refused("tensor x: shape [4] does not fit [-1, 4]", _x(4))


def test_rows_are_bounded_and_equal() -> None:
    """A request has at least one row, not too many, and as many in every input."""
    _refused("a request must have 1 to 4096 rows (first size of its tensors), not 0", _x(0, 4))
    _refused("not 4097", _x(MAX_ROWS + 1, 4))
    _refused("not 0", from_numpy("x", np.array(1, np.float32)))
    assert _prepared(_x(MAX_ROWS, 4))[1] == MAX_ROWS
    two = tensor_specs(x=(DataType.FP32, [-1]), z=(DataType.FP32, [-1]))
    reason = "all inputs need the same number of rows (first size); they have {'x': 2, 'z': 3}"
    _refused(reason, _x(2), _x(3, name="z"), inputs=two)


def test_brain_floats_are_refused_in_words() -> None:
    """A datatype that numpy lacks is said to be so."""
    spec = tensor_specs(x=(DataType.BF16, [-1]))
    tensor = Tensor(name="x", datatype=DataType.BF16, shape=(1,), data=b"\0\0")
    _refused("BF16 has no numpy dtype", tensor, inputs=spec)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_images_become_rows(shape: tuple[int, ...]) -> None:
    """BYTES for the recipe's input are decoded, one image a row."""
    tensor = Tensor.from_elements("x", [IMAGE, IMAGE], shape)
    arrays, rows = _prepared(tensor, recipe=RECIPE, inputs=PIXELS)
    assert rows == 2
    assert arrays["x"].shape == (2, 3, 4, 4)
    assert np.all(arrays["x"] == 200)


def test_pixels_may_come_as_a_tensor() -> None:
    """Who has prepared the image already sends the model's own input."""
    arrays, rows = _prepared(_x(2, 3, 4, 4), recipe=RECIPE, inputs=PIXELS)
    assert (arrays["x"].shape, rows) == ((2, 3, 4, 4), 2)
    _refused("is UINT8, must be FP32", _x(1, 3, 4, 4, dtype=np.uint8), recipe=RECIPE, inputs=PIXELS)


def test_images_need_a_recipe() -> None:
    """Without one, BYTES are just the wrong datatype."""
    _refused("is BYTES, must be FP32", Tensor.from_elements("x", [IMAGE]), inputs=PIXELS)


@pytest.mark.parametrize("shape", [(2, 2), (1, 1, 1), ()])
def test_images_have_one_place_each(shape: tuple[int, ...]) -> None:
    """Other shapes of BYTES are refused with those that are taken."""
    elements = [IMAGE] * int(np.prod(shape))
    with pytest.raises(InvalidInputError) as caught:
        _prepared(
            Tensor.from_elements("x", elements, shape), recipe=RECIPE, inputs=PIXELS, max_batch=1
        )
    assert str(caught.value) == (
        f"tensor x: shape {list(shape)}; images must be BYTES of shape [images] or [images, 1]"
    )


def test_no_images_are_refused() -> None:
    """A request for nothing has no answer."""
    _refused("shape [0]", Tensor.from_elements("x", []), recipe=RECIPE, inputs=PIXELS, max_batch=1)


def test_a_fixed_number_of_images_is_said() -> None:
    """A model that takes one image at a time says so."""
    one = tensor_specs(x=(DataType.FP32, [1, 3, 4, 4]))
    settings: dict[str, Any] = {"recipe": RECIPE, "inputs": one, "max_batch": 1}
    _refused(
        "2 images; the model takes exactly 1", Tensor.from_elements("x", [IMAGE] * 2), **settings
    )
    assert _prepared(Tensor.from_elements("x", [IMAGE]), **settings)[0]["x"].shape == (1, 3, 4, 4)


def test_images_are_bounded_by_what_they_become() -> None:
    """Small files that make large rows are counted as rows before one of them is decoded."""
    recipe = ImagePreprocessing(input="x", width=2048, height=2048)
    inputs = tensor_specs(x=(DataType.FP32, [-1, 3, 2048, 2048]))
    most = MAX_PREPARED_BYTES // (3 * 2048 * 2048 * 4)
    tensor = Tensor.from_elements("x", [b""] * (most + 1))
    _refused(
        f"{most + 1} images in one request; send at most {most}",
        tensor,
        recipe=recipe,
        inputs=inputs,
    )


def test_the_number_of_images_is_bounded() -> None:
    """However small they are, a request has no more images than rows."""
    tensor = Tensor.from_elements("x", [b""] * (MAX_ROWS + 1))
    settings: dict[str, Any] = {"recipe": RECIPE, "inputs": PIXELS, "max_batch": 1}
    _refused(f"4097 images in one request; send at most {MAX_ROWS}", tensor, **settings)


def test_a_broken_image_is_named() -> None:
    """The element is told apart from the good ones beside it."""
    tensor = Tensor.from_elements("x", [IMAGE, IMAGE[:40]])
    _refused(
        "input x, element 1: the image is a PNG that ends early",
        tensor,
        recipe=RECIPE,
        inputs=PIXELS,
    )


def test_memory_for_a_row_is_known_beforehand() -> None:
    """Three channels of FP32, however the model wants them in the end."""
    recipe = ImagePreprocessing(input="image", width=10, height=20)
    assert ImagePreparation(recipe, DataType.UINT8, max_pixels=1).row_bytes == 3 * 10 * 20 * 4
