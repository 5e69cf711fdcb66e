"""Served models: the same answers from both runtimes, in the form that a request asks for."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, ModelError
from sealflow.openinfer.messages import InferRequest, RequestedOutput, TopClass
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.package.preprocessing import ClassificationPostprocessing, ImagePreprocessing
from sealflow.wire.frame_payloads import RuntimeName
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    EXAMPLES,
    finish,
    load_model,
    make_loader,
    onnx_manifest,
    pack_model,
    read_example,
    run_alone,
    tensor_specs,
    tiny_model,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.trusted.worker.models.loader import ServedModel

RUNTIMES = pytest.mark.parametrize("runtime", list(RuntimeName))
NEGATION = onnx_models.elementwise("Neg", sizes=(None, 4))


@RUNTIMES
def test_a_failing_run_leaves_the_model_usable(runtime: RuntimeName) -> None:
    """Who sends sizes that do not go together never gets the answer before; the next gets one."""
    model = load_model(
        onnx_models.sum_and_difference(),
        loading=make_loader(runtime),
        inputs=tensor_specs(a=(DataType.FP32, [-1, 4]), b=(DataType.FP32, [-1, 4])),
        outputs=tensor_specs(sum=(DataType.FP32, [-1, 4]), difference=(DataType.FP32, [-1, 4])),
        max_batch=1,
    )
    two, three = np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)
    for _ in range(3):
        assert model.run({"a": three, "b": three}, ["sum"])[0].tolist() == [[2] * 4] * 3
        with pytest.raises(ModelError, match="the model failed") as caught:
            model.run({"a": two, "b": three}, ["sum"])
        assert caught.value.code == "model_failed"


@RUNTIMES
def test_answers_do_not_change_afterwards(runtime: RuntimeName) -> None:
    """What one request was given stays its own when the next one runs."""
    model = tiny_model().load(make_loader(runtime))
    first = model.run({"x": np.zeros((2, 4), np.float32)}, ["probabilities"])[0]
    before = first.copy()
    model.run({"x": np.full((2, 4), 9, np.float32)}, ["probabilities"])
    assert np.array_equal(first, before)


@RUNTIMES
def test_integers_index(runtime: RuntimeName) -> None:
    """64-bit integers are those that both runtimes mean."""
    model = load_model(
        onnx_models.picky(),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 1])),
    )
    assert run_alone(model, np.array([[1], [3]])).tolist() == [[20], [40]]


def test_text_reaches_the_model_as_text() -> None:
    """BYTES are UTF-8 for ONNX Runtime, in and out; other bytes are refused."""
    text = tensor_specs(x=(DataType.BYTES, [-1, 2])), tensor_specs(y=(DataType.BYTES, [-1, 2]))
    model = load_model(
        onnx_models.identity(onnx_models.STRING, sizes=(None, 2)), inputs=text[0], outputs=text[1]
    )
    words = np.array([["a", "b'c'"], ["", "grün"]], object)
    assert run_alone(model, words).tolist() == [[b"a", b"b'c'"], [b"", "grün".encode()]]
    with pytest.raises(InvalidInputError, match="input x: ONNX Runtime takes BYTES only as UTF-8"):
        run_alone(model, np.array([[b"\xff", b""]], object))


KINDS = {
    DataType.FP64: 11,
    DataType.FP16: 10,
    DataType.INT8: 3,
    DataType.INT64: 7,
    DataType.UINT8: 2,
    DataType.BOOL: 9,
}
PAIRS = [
    (runtime, datatype)
    for runtime in RuntimeName
    for datatype in KINDS
    if (runtime, datatype) != (RuntimeName.OPENVINO, DataType.FP64)
]


@pytest.mark.parametrize(("runtime", "datatype"), PAIRS)
def test_other_datatypes_go_through(runtime: RuntimeName, datatype: DataType) -> None:
    """What comes in comes out, without a change of datatype or value."""
    shape = [-1, 3]
    model = load_model(
        onnx_models.identity(KINDS[datatype], sizes=(None, 3)),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(datatype, shape)),
        outputs=tensor_specs(y=(datatype, shape)),
    )
    tensor = Tensor(name="x", datatype=datatype, shape=(1, 3), data=_ones(datatype))
    request = InferRequest(inputs=(tensor,))
    inputs, _ = finish(model.prepare(request))
    (found,) = model.to_tensors(request, {"y": model.run(inputs, ["y"])[0]})
    assert (found.datatype, found.shape, bytes(found.data)) == (datatype, (1, 3), tensor.data)


def _ones(datatype: DataType) -> bytes:
    return struct.pack(f"<3{datatype.code}", 1, 0, 1)


@RUNTIMES
def test_outputs_come_in_the_order_asked_for(runtime: RuntimeName) -> None:
    """The manifest's order, the model's and the request's are three different things."""
    model = load_model(
        onnx_models.sum_and_difference(),
        loading=make_loader(runtime),
        inputs=tensor_specs(b=(DataType.FP32, [-1, 4]), a=(DataType.FP32, [-1, 4])),
        outputs=tensor_specs(difference=(DataType.FP32, [-1, 4]), sum=(DataType.FP32, [-1, 4])),
    )
    tensors = tuple(from_numpy(name, np.full((1, 4), 5, np.float32)) for name in ("a", "b"))
    asked = (RequestedOutput(name="sum"), RequestedOutput(name="difference"))
    request = InferRequest(inputs=tensors, outputs=asked)
    inputs, _ = finish(model.prepare(request))
    total, difference = model.run(inputs, ["sum", "difference"])
    assert (total.tolist(), difference.tolist()) == ([[10] * 4], [[0] * 4])
    arrays = {"difference": difference, "sum": total}
    assert [each.name for each in model.to_tensors(request, arrays)] == ["sum", "difference"]
    request = InferRequest(inputs=tensors)
    assert [each.name for each in model.to_tensors(request, arrays)] == ["difference", "sum"]


def _top(model: ServedModel, scores: NDArray[Any], output: str = "y") -> list[TopClass]:
    asked = RequestedOutput(name=output, parameters={"classification": 2})
    request = InferRequest(inputs=(from_numpy("x", scores),), outputs=(asked,))
    (tensor,) = model.to_tensors(request, {output: scores})
    return [TopClass.from_bytes(element) for element in tensor.elements()]


def test_top_classes_follow_the_recipe() -> None:
    """Softmax where the recipe says logits; labels for the output that it names."""
    files = {"model.onnx": NEGATION, "labels.txt": b"a\nb\nc\nd\n"}
    scores = np.array([[0, 0, np.log(2), 0]], np.float32)

    def model(recipe: ClassificationPostprocessing | None) -> ServedModel:
        manifest = onnx_manifest(labels="labels.txt", classification=recipe)
        return pack_model(manifest, files).load(make_loader())

    best, second = _top(model(ClassificationPostprocessing(output="y", softmax=True)), scores)
    assert (best.label, best.index, second.label) == ("c", 2, "a")
    assert (best.score, second.score) == pytest.approx((0.4, 0.2))
    for recipe in (None, ClassificationPostprocessing(output="y")):
        best, second = _top(model(recipe), scores)
        assert (best.label, second.label) == ("c", "a")
        assert (best.score, second.score) == pytest.approx((np.log(2), 0.0))


def test_labels_belong_to_the_output_of_the_recipe() -> None:
    """Another output's classes have numbers only."""
    manifest = onnx_manifest(
        inputs=tensor_specs(a=(DataType.FP32, [-1, 4]), b=(DataType.FP32, [-1, 4])),
        outputs=tensor_specs(sum=(DataType.FP32, [-1, 4]), difference=(DataType.FP32, [-1, 4])),
        labels="labels.txt",
        classification=ClassificationPostprocessing(output="sum", softmax=True),
    )
    files = {"model.onnx": onnx_models.sum_and_difference(), "labels.txt": b"a\nb\nc\nd\n"}
    model = pack_model(manifest, files).load(make_loader())
    scores = np.array([[1, 2, 3, 4]], np.float32)
    assert [each.label for each in _top(model, scores, "sum")] == ["d", "c"]
    assert _top(model, scores, "difference") == [
        TopClass(score=4.0, index=3),
        TopClass(score=3.0, index=2),
    ]


@pytest.fixture(scope="module")
def photos() -> dict[str, Any]:
    """The photographs and what is on them."""
    folder = EXAMPLES / "photos"
    expected = json.loads((folder / "expected.json").read_text())
    return {name: ((folder / name).read_bytes(), found) for name, found in expected.items()}


@RUNTIMES
def test_photographs_are_recognised(runtime: RuntimeName, photos: dict[str, Any]) -> None:
    """The real model says what is on each photograph, whichever runtime it runs on."""
    model = pack_model(*read_example("efficientnet-lite0")).load(make_loader(runtime, max_batch=1))
    images = Tensor.from_elements("images", [image for image, _ in photos.values()])
    asked = RequestedOutput(name="logits", parameters={"classification": 5})
    request = InferRequest(inputs=(images,), outputs=(asked,))
    inputs, rows = finish(model.prepare(request))
    assert rows == len(photos)
    logits = [model.run({"images": row[None]}, ["logits"])[0] for row in inputs["images"]]
    (tensor,) = model.to_tensors(request, {"logits": np.concatenate(logits)})
    assert tensor.shape == (len(photos), 5)
    best = [TopClass.from_bytes(element) for element in tensor.elements()[::5]]
    assert [{"index": each.index, "label": each.label} for each in best] == [
        found for _, found in photos.values()
    ]
    assert all(0.2 < each.score <= 1.0 for each in best)


def test_images_of_other_datatypes_are_prepared_for_the_input() -> None:
    """A model of UINT8 pixels is given UINT8."""
    model = load_model(
        onnx_models.identity(2, sizes=(None, 2, 2, 3)),
        inputs=tensor_specs(x=(DataType.UINT8, [-1, 2, 2, 3])),
        outputs=tensor_specs(y=(DataType.UINT8, [-1, 2, 2, 3])),
        image=ImagePreprocessing.from_json(
            {"input": "x", "width": 2, "height": 2, "layout": "NHWC"}
        ),
    )
    image = (EXAMPLES / "photos" / "coffee.jpg").read_bytes()
    request = InferRequest(inputs=(Tensor.from_elements("x", [image]),))
    inputs, rows = finish(model.prepare(request))
    assert (inputs["x"].dtype, inputs["x"].shape, rows) == (np.uint8, (1, 2, 2, 3), 1)
    assert np.array_equal(model.run(inputs, ["y"])[0], inputs["x"])


def test_the_workers_pixel_limit_reaches_the_decoder() -> None:
    """What the worker was started with bounds every image."""
    loading = make_loader(max_pixels=1000)
    model = load_model(
        onnx_models.identity(onnx_models.FLOAT, sizes=(None, 3, 2, 2)),
        loading=loading,
        inputs=tensor_specs(x=(DataType.FP32, [-1, 3, 2, 2])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 3, 2, 2])),
        image=ImagePreprocessing(input="x", width=2, height=2),
    )
    image = (EXAMPLES / "photos" / "coffee.jpg").read_bytes()
    with pytest.raises(InvalidInputError, match="the limit is 1000"):
        finish(model.prepare(InferRequest(inputs=(Tensor.from_elements("x", [image]),))))
