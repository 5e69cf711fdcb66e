"""Manifests: consistent in themselves, and nothing in them leads out of the package."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sealflow.errors import BundleError, MalformedError
from sealflow.package.manifest import (
    MAX_LABEL_CHARACTERS,
    MAX_LABELS,
    ModelFormat,
    ModelManifest,
    check_path,
    parse_labels,
)
from sealflow.package.preprocessing import ImagePreprocessing, Layout

WHOLE: dict[str, Any] = {
    "name": "m",
    "version": "1",
    "format": "onnx",
    "file": "model.onnx",
    "labels": "labels.txt",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 20, 10]}],
    "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [-1, 5]},
        {"name": "z", "datatype": "BYTES", "shape": [-1]},
    ],
    "max_batch": 8,
    "image": {
        "input": "x",
        "width": 10,
        "height": 20,
        "crop": 0.875,
        "resize": "area",
        "layout": "NCHW",
        "channels": "BGR",
        "mean": [1.5, 2.0, 3.0],
        "scale": [4.0, 5.0, -6.0],
    },
    "classification": {"output": "y", "softmax": True},
}


def spec(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    """A tensor's specification as JSON."""
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def made(**changes: Any) -> ModelManifest:
    """The whole manifest with changes."""
    return ModelManifest.from_json({**WHOLE, **changes})


def image(**changes: Any) -> dict[str, Any]:
    """The whole recipe for images with changes."""
    return {"image": {**WHOLE["image"], **changes}}


def test_a_manifest_comes_back_from_its_one_form() -> None:
    """What is written is what was read, key by key, and is stable."""
    manifest = made()
    assert manifest.to_json() == WHOLE
    assert ModelManifest.from_json(json.loads(manifest.to_bytes())) == manifest
    assert made(name="m").to_bytes() == manifest.to_bytes()
    assert str(manifest.ref) == "m:1"


def test_what_is_optional_may_be_null_or_absent() -> None:
    """Neither labels nor recipes are needed."""
    absent = {k: v for k, v in WHOLE.items() if k not in {"labels", "image", "classification"}}
    manifest = ModelManifest.from_json(absent)
    assert manifest == made(labels=None, image=None, classification=None)
    assert manifest.files == ("model.onnx",)
    assert manifest.image is None


def test_recipes_have_defaults() -> None:
    """An image recipe is a name and a size, a classification an output."""
    manifest = made(image={"input": "x", "width": 10, "height": 20}, classification={"output": "y"})
    assert manifest.image == ImagePreprocessing(input="x", width=10, height=20)
    assert manifest.classification is not None
    assert manifest.classification.softmax is False


def test_an_openvino_model_brings_its_weights() -> None:
    """The file of weights lies beside the model under the same name."""
    manifest = made(format="openvino", file="ir/model.xml")
    assert manifest.weights == "ir/model.bin"
    assert manifest.files == ("ir/model.xml", "ir/model.bin", "labels.txt")
    assert made().weights is None


def test_the_layout_says_where_channels_are() -> None:
    """The same picture, channels first or last."""
    recipe = ImagePreprocessing(input="x", width=10, height=20, layout=Layout.NHWC)
    assert recipe.shape == (20, 10, 3)
    made(inputs=[spec("x", "UINT8", -1, 20, 10, 3)], **image(layout="NHWC"))
    made(inputs=[spec("x", "FP16", -1, -1, -1, -1)])
    made(inputs=[spec("x", "FP32", 1, 3, 20, 10)], max_batch=1)


BAD_PATHS = [
    "",
    "..",
    "../model.onnx",
    "/model.onnx",
    "a/../model.onnx",
    "a//model.onnx",
    "./model.onnx",
    ".model.onnx",
    "a/.model.onnx",
    "a\\model.onnx",
    "C:model.onnx",
    "model.onnx\n",
    "model.onnx\0",
    "~model.onnx",
    "a/b/c/d/model.onnx",
    "modèle.onnx",
    "m" * 124 + ".onnx",
    "model.onnx/",
    None,
    1,
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_stays_within_the_package(path: object) -> None:
    """No way up, no root, nothing hidden, no other alphabet, in any place of the manifest."""
    with pytest.raises(MalformedError):
        check_path(path)
    with pytest.raises(MalformedError):
        made(file=path)
    if path is not None:
        with pytest.raises(MalformedError):
            made(labels=path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"name": ""},
        {"version": 1},
        {"format": "pickle"},
        {"format": None},
        {"format": ["onnx"]},
        {"file": "model.pt"},
        {"file": "model.xml"},
        {"format": "openvino"},
        {"labels": "model.onnx"},
        {"labels": "manifest.json"},
        {"format": "openvino", "file": "model.xml", "labels": "model.bin"},
        {"inputs": []},
        {"inputs": None},
        {"inputs": ["x"]},
        {"inputs": WHOLE["inputs"] * 2},
        {"outputs": [spec(f"y{n}", "FP32", -1) for n in range(65)]},
        {"outputs": []},
        {"max_batch": 0},
        {"max_batch": 1025},
        {"max_batch": True},
        {"max_batch": 8.0},
        {"max_batch": None},
        {"outputs": [spec("y", "FP32", 1, 5)]},
        {"outputs": [spec("y", "FP32")]},
        {"inputs": [spec("x", "FP32", 8, 3, 20, 10)]},
        {"inputs": [spec("x", "INT8", -1, 3, 20, 10)]},
        {"inputs": [spec("x", "FP32", -1, 3, 10, 20)]},
        {"inputs": [spec("x", "FP32", -1, 20, 10, 3)]},
        {"inputs": [spec("x", "FP32", -1, 3, 20)]},
        {"inputs": [spec("x", "FP32", 2, 3, 20, 10)], "max_batch": 1},
        {"image": []},
        image(input="y"),
        image(input=""),
        image(width=0),
        image(width=8193),
        image(width=10.0),
        image(height=True),
        image(crop=0),
        image(crop=1.01),
        image(crop="1"),
        image(crop=True),
        image(crop=math.nan),
        image(resize="nearest"),
        image(layout="nchw"),
        image(channels="GRB"),
        image(mean=[0.0, 0.0]),
        image(mean=0.0),
        image(mean=[0.0, 0.0, math.inf]),
        image(mean=[0.0, 0.0, 10**400]),
        image(scale=[1.0, 0.0, 1.0]),
        image(scale=[1.0, 1.0, None]),
        image(blur=1),
        {"classification": "y"},
        {"classification": {"output": "x"}},
        {"classification": {"output": "z"}},
        {"classification": {"output": ""}},
        {"classification": {"output": "y", "softmax": 1}},
        {"classification": {"output": "y", "top": 5}},
        {"outputs": [spec("y", "FP32")], "max_batch": 1},
        {"code": "import os"},
    ],
)
def test_a_manifest_that_contradicts_itself_is_malformed(changes: dict[str, Any]) -> None:
    """Formats, names, specifications and recipes must fit each other."""
    with pytest.raises(MalformedError):
        made(**changes)


@pytest.mark.parametrize(
    "key", ["name", "version", "format", "file", "inputs", "outputs", "max_batch"]
)
def test_a_manifest_has_all_that_is_required(key: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(MalformedError, match=f"missing {key}"):
        ModelManifest.from_json({k: v for k, v in WHOLE.items() if k != key})


@pytest.mark.parametrize("value", [None, [], "m", 1])
def test_a_manifest_is_an_object(value: object) -> None:
    """Nothing else is one."""
    with pytest.raises(MalformedError):
        ModelManifest.from_json(value)


def test_no_format_holds_code() -> None:
    """What a runtime may be given is a closed list."""
    assert [word.value for word in ModelFormat] == ["onnx", "openvino"]


@pytest.mark.parametrize("text", [b"a\nb", b"a\nb\n", b"a\r\nb\r\n", b" a \n\tb"])
def test_line_n_names_class_n(text: bytes) -> None:
    """With or without a last line end, of either kind; blanks around a name do not count."""
    assert parse_labels(text) == ("a", "b")


def test_an_empty_line_is_a_class_without_a_name() -> None:
    """Later classes keep their numbers."""
    assert parse_labels(b"a\n\nb\n") == ("a", "", "b")


def test_labels_of_all_languages() -> None:
    """A mark of the file's order is no part of a name; blanks and joiners within names are."""
    persian, family = "می\u200cخواهم", "\U0001f468\u200d\U0001f469"
    text = f"\ufeffn01\tcat\n{persian}\n{family}\nun\u00a0chat\n日本\u3000猫"
    assert parse_labels(text.encode()) == (
        "n01\tcat",
        persian,
        family,
        "un\u00a0chat",
        "日本\u3000猫",
    )


def test_wrong_labels_are_named() -> None:
    """The error has line and character."""
    with pytest.raises(BundleError, match=r"line 2 has the character U\+202E: remove it"):
        parse_labels("a\nb\u202ec\n".encode())
    with pytest.raises(BundleError, match=r"line 3 is over 1024 characters"):
        parse_labels(b"a\nb\n" + b"c" * 1025)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"a\x1b[2J",
        "a\u202eb".encode(),
        b"\n" * (MAX_LABELS + 1),
        b"a" * (MAX_LABEL_CHARACTERS + 1),
    ],
)
def test_labels_that_would_harm_who_reads_them_are_refused(text: bytes) -> None:
    """UTF-8, printable, and within the limits."""
    parse_labels(b"\n" * MAX_LABELS + b"")
    with pytest.raises(BundleError):
        parse_labels(text)
