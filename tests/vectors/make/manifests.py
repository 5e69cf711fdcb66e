"""Manifests of models, right and wrong in one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.vectors.make.forms import field_faults, name

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC: Final = {"datatype": "FP32", "shape": [-1, 4]}
MANIFEST: Final[dict[str, Any]] = {
    "name": "m",
    "version": "1",
    "format": "onnx",
    "file": "model.onnx",
    "labels": "labels.txt",
    "inputs": [{"name": "x", **SPEC}],
    "outputs": [{"name": "y", **SPEC}],
    "max_batch": 8,
    "image": None,
    "classification": None,
}
IMAGE: Final[dict[str, Any]] = {
    "input": "x", "width": 4, "height": 2, "crop": 1.0, "resize": "bicubic", "layout": "NCHW",
    "channels": "RGB", "mean": [0.0, 0.0, 0.0], "scale": [1.0, 1.0, 1.0],
}  # fmt: skip
PICTURE: Final[dict[str, Any]] = {
    **MANIFEST,
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 2, 4]}],
    "image": IMAGE,
}
_PATHS: Final = (
    "",
    "/model.onnx",
    "../model.onnx",
    "a/../model.onnx",
    ".model.onnx",
    "a//m.onnx",
    "a/b/c/d/m.onnx",
    "a b.onnx",
    "é.onnx",
    "m\\x.onnx",
    "m" * 124 + ".onnx",
    7,
    None,
)
BAD: Final = "bundle"


def manifest_cases(case: Callable[[str, str, str, str, dict[str, Any]], None]) -> None:
    """Each key's form, and keys that contradict each other."""
    forms = {
        "name": name, "version": name, "format": ("pickle", "ONNX", "", 7, None), "file": _PATHS,
        "inputs": ([], {}, None, ["x"]), "outputs": ([], {}, None, ["y"]),
        "max_batch": (0, 1025, "1", True, None, 1.5), "labels": (*_PATHS[:-1],),
        "image": ("x", [], {}), "classification": ("y", [], {}),
    }  # fmt: skip
    for title, changed in field_faults(MANIFEST, forms):
        case(title, "3.1", BAD, "not its form", changed)
    specs = {"name": ("", "x" * 257, 7, None), "datatype": ("FP8", 7, None),
             "shape": ([0], [-2], ["1"], 7, [1] * 17, [-1, 2**31])}  # fmt: skip
    for title, changed in field_faults(MANIFEST["inputs"][0], specs):
        case(f"input: {title}", "3.4", BAD, "not its form", {**MANIFEST, "inputs": [changed]})
    tensor = MANIFEST["inputs"][0]
    for title, changes, expect, rule in (
        ("unknown key", {"more": 1}, BAD, "3.1"),
        ("unknown key of an input", {"inputs": [{**tensor, "more": 1}]}, BAD, "3.1"),
        ("same input twice", {"inputs": [tensor, tensor]}, BAD, "3.1"),
        ("64 inputs", {"inputs": [{**tensor, "name": f"x{n}"} for n in range(64)]}, "ok", "3.1"),
        ("65 inputs", {"inputs": [{**tensor, "name": f"x{n}"} for n in range(65)]}, BAD, "3.1"),
        ("ending", {"file": "model.xml"}, BAD, "3.1"),
        ("openvino", {"format": "openvino", "file": "a/model.xml", "labels": None}, "ok", "3.3"),
        ("openvino's ending", {"format": "openvino"}, BAD, "3.1"),
        ("labels are the model", {"labels": "model.onnx"}, BAD, "3.2"),
        (
            "labels are the weights",
            {"format": "openvino", "file": "m.xml", "labels": "m.bin"},
            BAD,
            "3.2",
        ),
        ("labels are the manifest", {"labels": "manifest.json"}, BAD, "3.2"),
        ("labels: null", {"labels": None}, "ok", "3.1"),
        ("fixed rows", {"inputs": [{**tensor, "shape": [1, 4]}]}, BAD, "3.4"),
        (
            "fixed rows of an output",
            {"outputs": [{**tensor, "name": "y", "shape": [1]}]},
            BAD,
            "3.4",
        ),
        (
            "fixed rows, one at a time",
            {"max_batch": 1, "inputs": [{**tensor, "shape": [1, 4]}]},
            "ok",
            "3.4",
        ),
        ("scalar with batches", {"inputs": [{**tensor, "shape": []}]}, BAD, "3.4"),
        ("classes", {"classification": {"output": "y", "softmax": True}}, "ok", "3.7"),
        ("classes of an input", {"classification": {"output": "x", "softmax": True}}, BAD, "3.7"),
        (
            "classes: unknown key",
            {"classification": {"output": "y", "softmax": True, "more": 1}},
            BAD,
            "3.1",
        ),
        ("classes: softmax", {"classification": {"output": "y", "softmax": 1}}, BAD, "3.1"),
        (
            "classes of a scalar",
            {
                "max_batch": 1,
                "outputs": [{**tensor, "name": "y", "shape": []}],
                "classification": {"output": "y", "softmax": False},
            },
            BAD,
            "3.7",
        ),
        (
            "classes of BYTES",
            {
                "outputs": [{**tensor, "name": "y", "datatype": "BYTES"}],
                "classification": {"output": "y", "softmax": False},
            },
            BAD,
            "3.7",
        ),
        (
            "classes of BOOL",
            {
                "outputs": [{**tensor, "name": "y", "datatype": "BOOL"}],
                "classification": {"output": "y", "softmax": False},
            },
            BAD,
            "3.7",
        ),
        (
            "classes of the rows of a batch",
            {
                "outputs": [{**tensor, "name": "y", "shape": [-1]}],
                "classification": {"output": "y", "softmax": False},
            },
            BAD,
            "3.7",
        ),
        (
            "classes of one row",
            {
                "max_batch": 1,
                "outputs": [{**tensor, "name": "y", "shape": [3]}],
                "classification": {"output": "y", "softmax": False},
            },
            "ok",
            "3.7",
        ),
    ):
        case(title, rule, expect, "which manifests there are", {**MANIFEST, **changes})
    _reply_cases(case)
    _image_cases(case)


def _reply_cases(case: Callable[[str, str, str, str, dict[str, Any]], None]) -> None:
    good: dict[str, tuple[Any, ...]] = {"rows_independent": (True,), "reply_bytes": (1, 4_000_000)}
    bad = {
        "rows_independent": (False, None, 1, "true"),
        "reply_bytes": (0, 4_000_001, None, True, "9", 1.5),
    }
    rules = {"rows_independent": "3.9", "reply_bytes": "3.10"}
    for expect, found in (("ok", good), (BAD, bad)):
        for key, values in found.items():
            for value in values:
                case(f"{key} {value!r}", rules[key], expect, "optional", {**MANIFEST, key: value})


def _image_cases(case: Callable[[str, str, str, str, dict[str, Any]], None]) -> None:
    forms = {
        "input": ("y", "", 7, None),
        "width": (0, 8193, "4", True, None, 4.0),
        "height": (0, 8193, None),
        "crop": (0.0, 1.5, -1.0, "1", None, 1),
        "resize": ("nearest", 7),
        "layout": ("CHW", 7),
        "channels": ("RGBA", 7),
        "mean": ([0.0], "x", [0.0, 0.0, "0"], [0, 0, 0]),
        "scale": ([1.0], [1.0, 0.0, 1.0], [1.0, 1.0, None]),
    }
    case("image", "3.5", "ok", "a recipe", PICTURE)
    for title, changed in field_faults(IMAGE, forms):
        case(f"image: {title}", "3.5", BAD, "not its one form", {**PICTURE, "image": changed})
    tensor = PICTURE["inputs"][0]
    last = {**IMAGE, "layout": "NHWC"}
    for title, image, spec, expect in (
        ("unknown key", {**IMAGE, "more": 1}, {}, BAD),
        ("of FP16", IMAGE, {"datatype": "FP16"}, "ok"),
        ("of UINT8", IMAGE, {"datatype": "UINT8"}, "ok"),
        ("of INT8", IMAGE, {"datatype": "INT8"}, BAD),
        ("of any size", IMAGE, {"shape": [-1, -1, -1, -1]}, "ok"),
        ("other width", {**IMAGE, "width": 5}, {}, BAD),
        ("turned", {**IMAGE, "width": 2, "height": 4}, {}, BAD),
        ("other layout", last, {}, BAD),
        ("NHWC", last, {"shape": [-1, 2, 4, 3]}, "ok"),
        ("three axes", IMAGE, {"shape": [-1, 3, 2]}, BAD),
        ("one channel", IMAGE, {"shape": [-1, 1, 2, 4]}, BAD),
    ):
        case(f"image: {title}", "3.5", expect, "whether the input fits one picture",
             {**PICTURE, "inputs": [{**tensor, **spec}], "image": image})  # fmt: skip
