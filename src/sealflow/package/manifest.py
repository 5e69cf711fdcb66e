"""Core, pure, stdlib only: what a model package holds and how the model is used.

A manifest that exists is consistent in itself. Spec: docs/spec/bundle.md, section 3.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final, Self

from sealflow.errors import BundleError, MalformedError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.package.preprocessing import ClassificationPostprocessing, ImagePreprocessing
from sealflow.wire.fields import Fields
from sealflow.wire.ids import ModelRef, parse_name
from sealflow.wire.strict_json import canonical_json

MANIFEST_NAME: Final = "manifest.json"
MAX_BATCH: Final = 1024
MAX_SPECS: Final = 64
MAX_PATH_CHARACTERS: Final = 128
MAX_LABELS: Final = 65_536
MAX_LABEL_CHARACTERS: Final = 1024

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}")
_IMAGE_DATATYPES = frozenset({DataType.FP32, DataType.FP16, DataType.UINT8})
_OPTIONAL = ("labels", "image", "classification")


class ModelFormat(enum.StrEnum):
    """What a runtime may be given; nothing that can hold code, so never pickle."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """One version of a model: its files, what goes in and out, and how pixels become numbers.

    `file` and `labels` are relative paths. An OpenVINO `model.xml` brings its `model.bin`.

    Raises: MalformedError when it contradicts itself.
    """

    name: str
    version: str
    format: ModelFormat
    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch: int = 1
    labels: str | None = None
    image: ImagePreprocessing | None = None
    classification: ClassificationPostprocessing | None = None

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        parse_name(self.name)
        parse_name(self.version)
        for path in self.files:
            check_path(path)
        ending = ".onnx" if self.format is ModelFormat.ONNX else ".xml"
        if not self.file.endswith(ending):
            msg = f"manifest: the file of format {self.format} must end with {ending}"
            raise MalformedError(msg)
        if len({*self.files, MANIFEST_NAME}) != len(self.files) + 1:
            msg = "manifest: two files have the same name"
            raise MalformedError(msg)
        _check_specs(self.inputs, "inputs")
        _check_specs(self.outputs, "outputs")
        self._check_batch()
        if self.image is not None:
            self._check_image(self.image)
        if self.classification is not None:
            self._check_classification(self.classification)

    @property
    def ref(self) -> ModelRef:
        """The model's name and version."""
        return ModelRef(name=self.name, version=self.version)

    @property
    def weights(self) -> str | None:
        """The file of weights beside an OpenVINO `file`; ONNX has them inside."""
        if self.format is ModelFormat.ONNX:
            return None
        return f"{self.file.removesuffix('.xml')}.bin"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a package must hold, no more and no less, beside the manifest."""
        return tuple(path for path in (self.file, self.weights, self.labels) if path is not None)

    def to_json(self) -> dict[str, object]:
        """Return the manifest as a JSON object."""
        image, classification = self.image, self.classification
        return {
            "name": self.name,
            "version": self.version,
            "format": self.format.value,
            "file": self.file,
            "labels": self.labels,
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "max_batch": self.max_batch,
            "image": None if image is None else image.to_json(),
            "classification": None if classification is None else classification.to_json(),
        }

    def to_bytes(self) -> bytes:
        """Write `manifest.json`, in the one form that digests are taken of."""
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` gives; what is optional may be null or absent.

        Raises: MalformedError.
        """
        required = ("name", "version", "format", "file", "inputs", "outputs", "max_batch")
        fields = Fields(value, "manifest", required, _OPTIONAL)
        return cls(
            name=fields.read("name", parse_name),
            version=fields.read("version", parse_name),
            format=fields.word("format", ModelFormat),
            file=fields.read("file", check_path),
            labels=fields.read_optional("labels", check_path),
            inputs=fields.list_of("inputs", TensorSpec.from_json, MAX_SPECS),
            outputs=fields.list_of("outputs", TensorSpec.from_json, MAX_SPECS),
            max_batch=fields.integer("max_batch", least=1, most=MAX_BATCH),
            image=fields.read_optional("image", ImagePreprocessing.from_json),
            classification=fields.read_optional(
                "classification", ClassificationPostprocessing.from_json
            ),
        )

    def _check_batch(self) -> None:
        if not 1 <= self.max_batch <= MAX_BATCH:
            msg = f"manifest: max_batch is not 1 to {MAX_BATCH}"
            raise MalformedError(msg)
        for spec in (*self.inputs, *self.outputs):
            if self.max_batch > 1 and spec.shape[:1] != (-1,):
                msg = f"manifest: max_batch over 1 needs {spec.name} to start with -1"
                raise MalformedError(msg)

    def _check_image(self, image: ImagePreprocessing) -> None:
        spec = next((spec for spec in self.inputs if spec.name == image.input), None)
        if spec is None or spec.datatype not in _IMAGE_DATATYPES:
            msg = f"manifest: image {image.input} is not an input of FP32, FP16 or UINT8"
            raise MalformedError(msg)
        whole = (1, *image.shape)
        if len(spec.shape) != len(whole) or any(
            wanted not in (-1, size) for wanted, size in zip(spec.shape, whole, strict=True)
        ):
            msg = f"manifest: an image of {list(whole)} does not fit {list(spec.shape)}"
            raise MalformedError(msg)

    def _check_classification(self, recipe: ClassificationPostprocessing) -> None:
        spec = next((spec for spec in self.outputs if spec.name == recipe.output), None)
        if spec is None or not spec.shape or spec.datatype is DataType.BYTES:
            msg = f"manifest: classification {recipe.output} is not an output of scores"
            raise MalformedError(msg)


def check_path(path: object) -> str:
    """Accept a relative path of plain names: no way out of the package, nothing hidden.

    Raises: MalformedError.
    """
    if (
        not isinstance(path, str)
        or len(path) > MAX_PATH_CHARACTERS
        or _PATH.fullmatch(path) is None
    ):
        msg = "a file name is not a relative path of letters, digits, '.', '_' and '-'"
        raise MalformedError(msg)
    return path


def parse_labels(text: bytes) -> tuple[str, ...]:
    """Read a labels file: UTF-8, line N+1 names class N.

    Raises: BundleError.
    """
    try:
        labels = tuple(line.strip() for line in text.decode().removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        msg = "labels: not UTF-8"
        raise BundleError(msg) from error
    if len(labels) > MAX_LABELS or max(map(len, labels)) > MAX_LABEL_CHARACTERS:
        msg = f"labels: over {MAX_LABELS} lines or {MAX_LABEL_CHARACTERS} characters in one"
        raise BundleError(msg)
    if not all(map(str.isprintable, labels)):
        msg = "labels: characters that cannot be printed"
        raise BundleError(msg)
    return labels


def _check_specs(specs: tuple[TensorSpec, ...], what: str) -> None:
    if not 0 < len(specs) <= MAX_SPECS or len({spec.name for spec in specs}) != len(specs):
        msg = f"manifest: {what} are not 1 to {MAX_SPECS} of different names"
        raise MalformedError(msg)
