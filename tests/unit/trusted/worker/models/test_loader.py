"""Packages become models that answer, on both runtimes; what is not as signed never loads."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import pytest
from openvino import opset13

from sealflow.errors import BundleError, InvalidInputError
from sealflow.openinfer.tensor import DataType
from sealflow.package.manifest import ModelFormat, ModelManifest
from sealflow.package.preprocessing import ClassificationPostprocessing
from sealflow.wire.frame_payloads import RuntimeName
from tests.support.models import onnx_models
from tests.support.models.served_models import (
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


RUNTIMES = pytest.mark.parametrize("runtime", list(RuntimeName))
NEGATION = onnx_models.elementwise("Neg", sizes=(None, 4))


@cache
def _openvino_model() -> dict[str, bytes]:
    """An IR of y = (x + 1) · w for x of FP32 [-1, 4], with y [-1, 2]."""
    x = opset13.parameter([-1, 4], np.float32, name="x")
    weights = opset13.constant(np.arange(8, dtype=np.float32).reshape(4, 2))
    one = opset13.constant(np.float32(1))
    y = opset13.matmul(opset13.add(x, one), weights, transpose_a=False, transpose_b=False)
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
    outputs = tensor_specs(y=(DataType.FP32, [-1, 2]))
    return onnx_manifest(name, format=ModelFormat.OPENVINO, file="model.xml", outputs=outputs)


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
    model = tiny_model().load(make_loader(runtime))
    assert (model.runtime, str(model.ref), model.digest) == (runtime, "tiny:1", tiny_model().digest)
    assert (model.max_rows, model.batched, model.labels) == (64, True, ("a", "b", "c"))
    for rows in (1, 5, 64):
        values = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
        found = run_alone(model, values, "probabilities")
        assert np.allclose(found, _expected_tiny(values), atol=1e-5)


def test_onnx_runtime_is_the_default_for_onnx() -> None:
    """Auto takes the runtime that the format is named after."""
    assert tiny_model().load(make_loader()).runtime is RuntimeName.ONNX


def test_the_workers_batch_bounds_the_manifests() -> None:
    """A smaller figure counts, a larger one does not."""
    assert tiny_model().load(make_loader(max_batch=3)).max_rows == 3
    assert tiny_model().load(make_loader(max_batch=1000)).max_rows == 64
    one = tiny_model().load(make_loader(max_batch=1))
    assert (one.max_rows, one.batched) == (1, True)


@pytest.mark.parametrize("runtime", [None, *RuntimeName])
def test_an_openvino_model_runs_on_openvino(runtime: RuntimeName | None) -> None:
    """Its format leaves no choice."""
    model = pack_model(_openvino_manifest(), _openvino_model()).load(make_loader(runtime))
    assert model.runtime is RuntimeName.OPENVINO
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    weights = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert np.allclose(run_alone(model, values), (values + 1) @ weights)


def test_one_loading_serves_several_models_of_both_kinds() -> None:
    """Models beside each other do not disturb each other."""
    loading = make_loader()
    negation = load_model(NEGATION, "negation", loading=loading)
    relu = load_model(onnx_models.elementwise("Relu", sizes=(None, 4)), "relu", loading=loading)
    other = pack_model(_openvino_manifest("other"), _openvino_model()).load(loading)
    values = np.array([[-1, 2, -3, 4]], np.float32)
    assert run_alone(negation, values).tolist() == [[1, -2, 3, -4]]
    assert run_alone(relu, values).tolist() == [[0, 2, 0, 4]]
    assert run_alone(other, values).tolist() == [[28, 34]]
    assert {each.runtime for each in (negation, relu, other)} == set(RuntimeName)


def _does_not_load(
    reason: str, manifest: ModelManifest, files: dict[str, bytes], runtime: RuntimeName
) -> None:
    with pytest.raises(BundleError, match=reason):
        pack_model(manifest, files).load(make_loader(runtime))


def test_labels_must_be_as_many_as_classes() -> None:
    """A list one short would name every class wrongly."""
    manifest, files = read_example("tiny")
    with pytest.raises(BundleError, match="labels: 2 names for the 3 classes of probabilities"):
        pack_model(manifest, {**files, "labels.txt": b"a\nb\n"}).load(make_loader())


def test_labels_without_a_recipe_or_a_number_of_classes_are_taken() -> None:
    """Only what can be compared is compared."""
    files = {"model.onnx": onnx_models.elementwise("Neg"), "labels.txt": b"a\nb\n"}
    open_ended: dict[str, Any] = {
        "inputs": tensor_specs(x=(DataType.FP32, [-1, -1])),
        "outputs": tensor_specs(y=(DataType.FP32, [-1, -1])),
        "labels": "labels.txt",
    }
    for recipe in (None, ClassificationPostprocessing(output="y")):
        manifest = onnx_manifest(classification=recipe, **open_ended)
        assert pack_model(manifest, files).load(make_loader()).labels == ("a", "b")


@RUNTIMES
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"inputs": tensor_specs(z=(DataType.FP32, [-1, 4]))},
            r"inputs are \['x'\], .* says \['z'\]",
        ),
        (
            {"outputs": tensor_specs(z=(DataType.FP32, [-1, 4]))},
            r"outputs are \['y'\], .* says \['z'\]",
        ),
        (
            {"inputs": tensor_specs(x=(DataType.FP64, [-1, 4]))},
            "input x is FP32, the manifest says FP64",
        ),
        ({"outputs": tensor_specs(y=(DataType.INT8, [-1, 4]))}, "output y is FP32, .* says INT8"),
        (
            {"inputs": tensor_specs(x=(DataType.FP32, [-1, 5]))},
            r"input x is \[-1, 4\], .* says \[-1, 5\]",
        ),
        (
            {"inputs": tensor_specs(x=(DataType.FP32, [-1, -1]))},
            r"x is \[-1, 4\], .* says \[-1, -1\]",
        ),
        (
            {"outputs": tensor_specs(y=(DataType.FP32, [-1]))},
            r"output y is \[-1, 4\], .* says \[-1\]",
        ),
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
        "inputs": tensor_specs(x=(DataType.FP32, [2, 4])),
        "outputs": tensor_specs(y=(DataType.FP32, [2, 4])),
    }
    model = load_model(NEGATION, loading=make_loader(runtime), max_batch=1, **fixed)
    assert run_alone(model, np.ones((2, 4), np.float32)).tolist() == [[-1] * 4] * 2
    with pytest.raises(InvalidInputError, match="does not fit"):
        run_alone(model, np.ones((3, 4), np.float32))


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
    files["model.xml"] = b'<?xml version="1.0"?><net version="11"><a'
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
        inputs=tensor_specs(x=(DataType.BF16, [-1, 4])),
        outputs=tensor_specs(y=(DataType.BF16, [-1, 4])),
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


def test_a_model_of_open_sizes_is_not_warmed_up() -> None:
    """No size of ours need fit it; any of the request's does."""
    model = load_model(
        onnx_models.elementwise("Neg"),
        inputs=tensor_specs(x=(DataType.FP32, [-1, -1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, -1])),
    )
    assert run_alone(model, np.ones((1, 7), np.float32)).tolist() == [[-1] * 7]
