"""Packages become models that answer, on both runtimes; what is not as signed never loads."""

from __future__ import annotations

import json
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openvino import opset13

from sealflow.errors import BundleError, InvalidInputError, ModelError
from sealflow.openinfer.classification import TopClass, parse_class
from sealflow.openinfer.messages import InferRequest, RequestedOutput
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.seal.manifest import ModelFormat, ModelManifest
from sealflow.seal.recipes import ClassificationRecipe, ImageRecipe
from sealflow.trusted.worker.runtime import RuntimeName
from sealflow.wire.world import World
from tests.sim import onnx_models
from tests.unit.trusted.worker.parts import (
    EXAMPLES,
    SIGNER,
    Packed,
    example,
    loader,
    onnx_manifest,
    packed,
    served,
    specs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.trusted.worker.loading import ServedModel

RUNTIMES = pytest.mark.parametrize("runtime", list(RuntimeName))
NEGATION = onnx_models.elementwise("Neg", sizes=(None, 4))


@cache
def _tiny() -> Packed:
    return packed(*example("tiny"))


@cache
def _openvino_model() -> dict[str, bytes]:
    """An IR of y = (x + 1) · w for x of FP32 [-1, 4], with y [-1, 2]."""
    x = opset13.parameter([-1, 4], np.float32, name="x")
    weights = opset13.constant(np.arange(8, dtype=np.float32).reshape(4, 2))
    one = opset13.constant(np.float32(1))
    y = opset13.matmul(opset13.add(x, one), weights, False, False)  # noqa: FBT003
    y.output(0).set_names({"y"})
    x.output(0).set_names({"x"})
    return _serialized(openvino.Model([y], [x], "m"))


def _serialized(model: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.serialize(model, path)
        return {
            "model.xml": path.read_bytes(),
            "model.bin": path.with_suffix(".bin").read_bytes(),
        }


def _openvino_manifest(name: str = "m") -> ModelManifest:
    outputs = specs(y=(DataType.FP32, [-1, 2]))
    return onnx_manifest(name, format=ModelFormat.OPENVINO, file="model.xml", outputs=outputs)


def _answer(model: ServedModel, values: NDArray[Any], output: str = "y") -> NDArray[Any]:
    request = InferRequest(inputs=(from_numpy("x", values),))
    inputs, _ = model.prepare(request)
    (array,) = model.run(inputs, [output])
    (tensor,) = model.tensors(request, {output: array})
    assert tensor.name == output
    return to_numpy(tensor)


def _expected_tiny(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What examples/tiny computes, by its own weights."""
    random = np.random.default_rng(20260101)
    w1, b1 = random.normal(size=(4, 16)), random.normal(size=16)
    w2, b2 = random.normal(size=(16, 3)), random.normal(size=3)
    scores = np.exp(np.maximum(values @ w1 + b1, 0) @ w2 + b2)
    result: NDArray[np.float32] = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


@RUNTIMES
def test_the_tiny_example_answers(runtime: RuntimeName) -> None:
    """Both runtimes give the same numbers for one row and for many."""
    model = _tiny().load(loader(runtime))
    assert (model.runtime, str(model.ref), model.digest) == (runtime, "tiny:1", _tiny().digest)
    assert (model.max_rows, model.batched, model.labels) == (64, True, ("a", "b", "c"))
    for rows in (1, 5, 64):
        values = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
        found = _answer(model, values, "probabilities")
        assert np.allclose(found, _expected_tiny(values), atol=1e-5)


def test_onnx_runtime_is_the_default_for_onnx() -> None:
    """Auto takes the runtime that the format is named after."""
    assert _tiny().load(loader()).runtime is RuntimeName.ONNX


def test_the_workers_batch_bounds_the_manifests() -> None:
    """A smaller figure counts, a larger one does not."""
    assert _tiny().load(loader(max_batch=3)).max_rows == 3
    assert _tiny().load(loader(max_batch=1000)).max_rows == 64
    one = _tiny().load(loader(max_batch=1))
    assert (one.max_rows, one.batched) == (1, True)


@pytest.mark.parametrize("runtime", [None, *RuntimeName])
def test_an_openvino_model_runs_on_openvino(runtime: RuntimeName | None) -> None:
    """Its format leaves no choice."""
    model = packed(_openvino_manifest(), _openvino_model()).load(loader(runtime))
    assert model.runtime is RuntimeName.OPENVINO
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    weights = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert np.allclose(_answer(model, values), (values + 1) @ weights)


def test_one_loading_serves_several_models_of_both_kinds() -> None:
    """Models beside each other do not disturb each other."""
    loading = loader()
    negation = served(NEGATION, "negation", loading=loading)
    relu = served(onnx_models.elementwise("Relu", sizes=(None, 4)), "relu", loading=loading)
    other = packed(_openvino_manifest("other"), _openvino_model()).load(loading)
    values = np.array([[-1, 2, -3, 4]], np.float32)
    assert _answer(negation, values).tolist() == [[1, -2, 3, -4]]
    assert _answer(relu, values).tolist() == [[0, 2, 0, 4]]
    assert _answer(other, values).tolist() == [[28, 34]]
    assert {each.runtime for each in (negation, relu, other)} == set(RuntimeName)


def test_the_package_is_emptied_once_it_was_read() -> None:
    """The ciphertext does not stay beside the model."""
    package = bytearray(_tiny().package)
    loader().load(package, _tiny().digest, SIGNER, _tiny().content_key, World.SIMULATED)
    assert not package


def _refused(reason: str, **changes: Any) -> None:
    granted: dict[str, Any] = {
        "package": bytearray(_tiny().package),
        "digest": _tiny().digest,
        "signer": SIGNER,
        "content_key": _tiny().content_key,
        "world": World.SIMULATED,
        **changes,
    }
    with pytest.raises(BundleError, match=reason) as caught:
        loader().load(**granted)
    assert caught.value.code == "bundle"


def test_another_package_is_refused() -> None:
    """The digest of the grant decides, not the name that a host gave the file."""
    _refused("not the one asked for", digest="0" * 64)


def test_another_signer_is_refused() -> None:
    """A package that somebody else signed is not the owner's."""
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    _refused("of another signer", signer=other)


def test_a_wrong_key_is_refused() -> None:
    """Neither another content key nor another world opens it."""
    _refused("does not open with the granted key", content_key=bytes(32))
    _refused("does not open with the granted key", world=World.HARDWARE)


def test_every_part_of_a_package_is_guarded() -> None:
    """A bit changed anywhere, the end cut off, something added: nothing of it loads."""
    whole = _tiny().package
    for at in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1
        _refused(r".", package=changed)
    _refused("package", package=bytearray(whole[:-1]))
    _refused("package", package=bytearray(whole + b"\0"))
    _refused("package", package=bytearray())


def test_what_is_no_statement_is_refused() -> None:
    """Bytes that parse as no manifest are a broken package, not an error of the worker."""
    envelope = json.dumps({"payloadType": "x", "payload": "", "signatures": []}).encode()
    _refused("package", package=bytearray(b"SFB1" + len(envelope).to_bytes(4) + envelope))


def _does_not_load(
    reason: str, manifest: ModelManifest, files: dict[str, bytes], runtime: RuntimeName
) -> None:
    with pytest.raises(BundleError, match=reason):
        packed(manifest, files).load(loader(runtime))


def test_labels_must_be_as_many_as_classes() -> None:
    """A list one short would name every class wrongly."""
    manifest, files = example("tiny")
    with pytest.raises(BundleError, match="labels: 2 names for the 3 classes of probabilities"):
        packed(manifest, {**files, "labels.txt": b"a\nb\n"}).load(loader())


def test_labels_without_a_recipe_or_a_number_of_classes_are_taken() -> None:
    """Only what can be compared is compared."""
    files = {"model.onnx": onnx_models.elementwise("Neg"), "labels.txt": b"a\nb\n"}
    open_ended: dict[str, Any] = {
        "inputs": specs(x=(DataType.FP32, [-1, -1])),
        "outputs": specs(y=(DataType.FP32, [-1, -1])),
        "labels": "labels.txt",
    }
    for recipe in (None, ClassificationRecipe(output="y")):
        manifest = onnx_manifest(classification=recipe, **open_ended)
        assert packed(manifest, files).load(loader()).labels == ("a", "b")


@RUNTIMES
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": specs(z=(DataType.FP32, [-1, 4]))}, r"inputs are \['x'\], .* says \['z'\]"),
        ({"outputs": specs(z=(DataType.FP32, [-1, 4]))}, r"outputs are \['y'\], .* says \['z'\]"),
        ({"inputs": specs(x=(DataType.FP64, [-1, 4]))}, "input x is FP32, the manifest says FP64"),
        ({"outputs": specs(y=(DataType.INT8, [-1, 4]))}, "output y is FP32, .* says INT8"),
        ({"inputs": specs(x=(DataType.FP32, [-1, 5]))}, r"input x is \[-1, 4\], .* says \[-1, 5\]"),
        ({"inputs": specs(x=(DataType.FP32, [-1, -1]))}, r"x is \[-1, 4\], .* says \[-1, -1\]"),
        ({"outputs": specs(y=(DataType.FP32, [-1]))}, r"output y is \[-1, 4\], .* says \[-1\]"),
    ],
)
def test_the_manifest_must_be_the_models(
    runtime: RuntimeName, changes: dict[str, Any], reason: str
) -> None:
    """What clients are told of inputs and outputs is what the model has."""
    _does_not_load(reason, onnx_manifest(**changes), {"model.onnx": NEGATION}, runtime)


@RUNTIMES
def test_the_manifest_may_fix_a_size_that_is_open(runtime: RuntimeName) -> None:
    """Clients are then told, and held to, the fixed size."""
    fixed: dict[str, Any] = {
        "inputs": specs(x=(DataType.FP32, [2, 4])),
        "outputs": specs(y=(DataType.FP32, [2, 4])),
    }
    model = served(NEGATION, loading=loader(runtime), max_batch=1, **fixed)
    assert _answer(model, np.ones((2, 4), np.float32)).tolist() == [[-1] * 4] * 2
    with pytest.raises(InvalidInputError, match="does not fit"):
        _answer(model, np.ones((3, 4), np.float32))


@RUNTIMES
@pytest.mark.parametrize("content", [b"", b"not a model", NEGATION[:-20], b"<net/>"])
def test_what_is_no_model_does_not_load(runtime: RuntimeName, content: bytes) -> None:
    """Signed nonsense is the owner's mistake, and said so."""
    reason = "does not load model.onnx|is not of the format onnx|inputs are"
    _does_not_load(reason, onnx_manifest(), {"model.onnx": content}, runtime)


def test_an_ir_must_be_xml() -> None:
    """An ONNX file under the name of an IR is not guessed at."""
    files = {"model.xml": NEGATION, "model.bin": b"x"}
    reason = "model.xml is not of the format openvino"
    _does_not_load(reason, _openvino_manifest(), files, RuntimeName.OPENVINO)
    files["model.xml"] = b"<?xml version='1.0'?><net/>"
    reason = "OpenVINO does not load model.xml"
    _does_not_load(reason, _openvino_manifest(), files, RuntimeName.OPENVINO)


def test_an_ir_needs_all_its_weights() -> None:
    """A truncated .bin is found when the model is built."""
    files = {**_openvino_model(), "model.bin": b"\0\0\0\0"}
    reason = "OpenVINO does not load"
    _does_not_load(reason, _openvino_manifest(), files, RuntimeName.OPENVINO)


@RUNTIMES
def test_weights_outside_the_package_are_not_read(runtime: RuntimeName, tmp_path: Any) -> None:
    """A signed model cannot make the enclave read the host's files."""
    secret = tmp_path / "weights"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    for path in (str(secret), "weights", "../weights"):
        files = {"model.onnx": onnx_models.with_outside_weights(path)}
        _does_not_load("does not load model.onnx", onnx_manifest(), files, runtime)


def test_datatypes_that_no_request_can_hold_are_refused() -> None:
    """ONNX has datatypes that the protocol or numpy lacks."""
    model = onnx_models.identity(onnx_models.BFLOAT16, sizes=(None, 4))
    manifest = onnx_manifest(
        inputs=specs(x=(DataType.BF16, [-1, 4])), outputs=specs(y=(DataType.BF16, [-1, 4]))
    )
    for runtime in RuntimeName:
        _does_not_load("no request can hold", manifest, {"model.onnx": model}, runtime)


def test_an_output_of_unknown_rank_is_refused() -> None:
    """The manifest could not say what clients get."""
    x = opset13.parameter(openvino.PartialShape.dynamic(), np.float32, name="x")
    y = opset13.negative(x)
    x.output(0).set_names({"x"})
    y.output(0).set_names({"y"})
    files = _serialized(openvino.Model([y], [x], "m"))
    files["model.bin"] = files["model.bin"] or b"\0"
    reason = "OpenVINO does not load model.xml"
    _does_not_load(reason, _openvino_manifest(), files, RuntimeName.OPENVINO)


def test_an_output_without_a_name_is_refused() -> None:
    """Nobody could ask for it."""
    x = opset13.parameter([-1, 4], np.float32, name="x")
    x.output(0).set_names({"x"})
    files = _serialized(openvino.Model([opset13.negative(x)], [x], "m"))
    files["model.bin"] = files["model.bin"] or b"\0"
    _does_not_load(
        "no request can hold|outputs are", _openvino_manifest(), files, RuntimeName.OPENVINO
    )


@RUNTIMES
def test_a_model_that_does_not_run_is_refused_when_it_loads(runtime: RuntimeName) -> None:
    """Every batch size runs once, so that no request finds out first."""
    files = {"model.onnx": onnx_models.squared()}
    reason = "loads but does not run with 8 blank rows: the model failed"
    _does_not_load(reason, onnx_manifest(), files, runtime)


@RUNTIMES
def test_a_failing_run_leaves_the_model_usable(runtime: RuntimeName) -> None:
    """Who sends sizes that do not go together never gets the answer before; the next gets one."""
    model = served(
        onnx_models.sum_and_difference(),
        loading=loader(runtime),
        inputs=specs(a=(DataType.FP32, [-1, 4]), b=(DataType.FP32, [-1, 4])),
        outputs=specs(sum=(DataType.FP32, [-1, 4]), difference=(DataType.FP32, [-1, 4])),
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
    model = _tiny().load(loader(runtime))
    first = model.run({"x": np.zeros((2, 4), np.float32)}, ["probabilities"])[0]
    before = first.copy()
    model.run({"x": np.full((2, 4), 9, np.float32)}, ["probabilities"])
    assert np.array_equal(first, before)


@RUNTIMES
def test_integers_index(runtime: RuntimeName) -> None:
    """64-bit integers are those that both runtimes mean."""
    model = served(
        onnx_models.picky(),
        loading=loader(runtime),
        inputs=specs(x=(DataType.INT64, [-1, 1])),
        outputs=specs(y=(DataType.FP32, [-1, 1])),
    )
    assert _answer(model, np.array([[1], [3]])).tolist() == [[20], [40]]


def test_text_reaches_the_model_as_text() -> None:
    """BYTES are UTF-8 for ONNX Runtime, in and out; other bytes are refused."""
    text = specs(x=(DataType.BYTES, [-1, 2])), specs(y=(DataType.BYTES, [-1, 2]))
    model = served(
        onnx_models.identity(onnx_models.STRING, sizes=(None, 2)), inputs=text[0], outputs=text[1]
    )
    words = np.array([["a", "b'c'"], ["", "grün"]], object)
    assert _answer(model, words).tolist() == [[b"a", b"b'c'"], [b"", "grün".encode()]]
    with pytest.raises(InvalidInputError, match="input x: ONNX Runtime takes BYTES only as UTF-8"):
        _answer(model, np.array([[b"\xff", b""]], object))


KINDS = {
    DataType.FP64: 11,
    DataType.FP16: 10,
    DataType.INT8: 3,
    DataType.INT64: 7,
    DataType.UINT8: 2,
    DataType.BOOL: 9,
}


@RUNTIMES
@pytest.mark.parametrize("datatype", list(KINDS))
def test_other_datatypes_go_through(runtime: RuntimeName, datatype: DataType) -> None:
    """What comes in comes out, without a change of datatype or value."""
    shape = [-1, 3]
    model = served(
        onnx_models.identity(KINDS[datatype], sizes=(None, 3)),
        loading=loader(runtime),
        inputs=specs(x=(datatype, shape)),
        outputs=specs(y=(datatype, shape)),
    )
    tensor = Tensor(name="x", datatype=datatype, shape=(1, 3), data=_ones(datatype))
    request = InferRequest(inputs=(tensor,))
    inputs, _ = model.prepare(request)
    (found,) = model.tensors(request, {"y": model.run(inputs, ["y"])[0]})
    assert (found.datatype, found.shape, bytes(found.data)) == (datatype, (1, 3), tensor.data)


def _ones(datatype: DataType) -> bytes:
    return struct.pack(f"<3{datatype.code}", 1, 0, 1)


@RUNTIMES
def test_outputs_come_in_the_order_asked_for(runtime: RuntimeName) -> None:
    """The manifest's order, the model's and the request's are three different things."""
    model = served(
        onnx_models.sum_and_difference(),
        loading=loader(runtime),
        inputs=specs(b=(DataType.FP32, [-1, 4]), a=(DataType.FP32, [-1, 4])),
        outputs=specs(difference=(DataType.FP32, [-1, 4]), sum=(DataType.FP32, [-1, 4])),
    )
    tensors = tuple(from_numpy(name, np.full((1, 4), 5, np.float32)) for name in ("a", "b"))
    asked = (RequestedOutput(name="sum"), RequestedOutput(name="difference"))
    request = InferRequest(inputs=tensors, outputs=asked)
    inputs, _ = model.prepare(request)
    total, difference = model.run(inputs, ["sum", "difference"])
    assert (total.tolist(), difference.tolist()) == ([[10] * 4], [[0] * 4])
    arrays = {"difference": difference, "sum": total}
    assert [each.name for each in model.tensors(request, arrays)] == ["sum", "difference"]
    request = InferRequest(inputs=tensors)
    assert [each.name for each in model.tensors(request, arrays)] == ["difference", "sum"]


def _top(model: ServedModel, scores: NDArray[Any], output: str = "y") -> list[TopClass]:
    asked = RequestedOutput(name=output, parameters={"classification": 2})
    request = InferRequest(inputs=(from_numpy("x", scores),), outputs=(asked,))
    (tensor,) = model.tensors(request, {output: scores})
    return [parse_class(element) for element in tensor.elements()]


def test_top_classes_follow_the_recipe() -> None:
    """Softmax where the recipe says logits; labels for the output that it names."""
    files = {"model.onnx": NEGATION, "labels.txt": b"a\nb\nc\nd\n"}
    scores = np.array([[0, 0, np.log(2), 0]], np.float32)

    def model(recipe: ClassificationRecipe | None) -> ServedModel:
        manifest = onnx_manifest(labels="labels.txt", classification=recipe)
        return packed(manifest, files).load(loader())

    best, second = _top(model(ClassificationRecipe(output="y", softmax=True)), scores)
    assert (best.label, best.index, second.label) == ("c", 2, "a")
    assert (best.score, second.score) == pytest.approx((0.4, 0.2))
    for recipe in (None, ClassificationRecipe(output="y")):
        best, second = _top(model(recipe), scores)
        assert (best.label, second.label) == ("c", "a")
        assert (best.score, second.score) == pytest.approx((np.log(2), 0.0))


def test_labels_belong_to_the_output_of_the_recipe() -> None:
    """Another output's classes have numbers only."""
    manifest = onnx_manifest(
        inputs=specs(a=(DataType.FP32, [-1, 4]), b=(DataType.FP32, [-1, 4])),
        outputs=specs(sum=(DataType.FP32, [-1, 4]), difference=(DataType.FP32, [-1, 4])),
        labels="labels.txt",
        classification=ClassificationRecipe(output="sum", softmax=True),
    )
    files = {"model.onnx": onnx_models.sum_and_difference(), "labels.txt": b"a\nb\nc\nd\n"}
    model = packed(manifest, files).load(loader())
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
    model = packed(*example("efficientnet-lite0")).load(loader(runtime, max_batch=1))
    images = Tensor.of_bytes("images", [image for image, _ in photos.values()])
    asked = RequestedOutput(name="logits", parameters={"classification": 5})
    request = InferRequest(inputs=(images,), outputs=(asked,))
    inputs, rows = model.prepare(request)
    assert rows == len(photos)
    logits = [model.run({"images": row[None]}, ["logits"])[0] for row in inputs["images"]]
    (tensor,) = model.tensors(request, {"logits": np.concatenate(logits)})
    assert tensor.shape == (len(photos), 5)
    best = [parse_class(element) for element in tensor.elements()[::5]]
    assert [{"index": each.index, "label": each.label} for each in best] == [
        found for _, found in photos.values()
    ]
    assert all(0.2 < each.score <= 1.0 for each in best)


def test_images_of_other_datatypes_are_prepared_for_the_input() -> None:
    """A model of UINT8 pixels is given UINT8."""
    model = served(
        onnx_models.identity(2, sizes=(None, 2, 2, 3)),
        inputs=specs(x=(DataType.UINT8, [-1, 2, 2, 3])),
        outputs=specs(y=(DataType.UINT8, [-1, 2, 2, 3])),
        image=ImageRecipe.from_json({"input": "x", "width": 2, "height": 2, "layout": "NHWC"}),
    )
    image = (EXAMPLES / "photos" / "coffee.jpg").read_bytes()
    request = InferRequest(inputs=(Tensor.of_bytes("x", [image]),))
    inputs, rows = model.prepare(request)
    assert (inputs["x"].dtype, inputs["x"].shape, rows) == (np.uint8, (1, 2, 2, 3), 1)
    assert np.array_equal(model.run(inputs, ["y"])[0], inputs["x"])


def test_the_workers_pixel_limit_reaches_the_decoder() -> None:
    """What the worker was started with bounds every image."""
    loading = loader(max_pixels=1000)
    model = served(
        onnx_models.identity(onnx_models.FLOAT, sizes=(None, 3, 2, 2)),
        loading=loading,
        inputs=specs(x=(DataType.FP32, [-1, 3, 2, 2])),
        outputs=specs(y=(DataType.FP32, [-1, 3, 2, 2])),
        image=ImageRecipe(input="x", width=2, height=2),
    )
    image = (EXAMPLES / "photos" / "coffee.jpg").read_bytes()
    with pytest.raises(InvalidInputError, match="at most 1000"):
        model.prepare(InferRequest(inputs=(Tensor.of_bytes("x", [image]),)))


def test_a_model_of_open_sizes_is_not_warmed_up() -> None:
    """No size of ours need fit it; any of the request's does."""
    model = served(
        onnx_models.elementwise("Neg"),
        inputs=specs(x=(DataType.FP32, [-1, -1])),
        outputs=specs(y=(DataType.FP32, [-1, -1])),
    )
    assert _answer(model, np.ones((1, 7), np.float32)).tolist() == [[-1] * 7]
