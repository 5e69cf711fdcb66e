"""Core, pure, stdlib only: the manifest of a model: its files, inputs and outputs.

The constructor checks every rule, so each `ModelManifest` object is consistent.
Spec: docs/spec/bundle.md, section 3.
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
from sealflow.wire.printable import is_printable
from sealflow.wire.strict_json import canonical_json

MANIFEST_NAME: Final = "manifest.json"
MAX_BATCH: Final = 1024
MAX_SPECS: Final = 64
MAX_PATH_CHARACTERS: Final = 128
MAX_REPLY_BYTES: Final = 4_000_000
"""The most that `reply_bytes` may say, as replies are padded within their JSON of 4 MiB."""
MAX_LABELS: Final = 65_536
MAX_LABEL_CHARACTERS: Final = 1024

_IN_LABELS: Final = dict.fromkeys(
    (0x9, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x200C, 0x200D, 0x202F, 0x205F, 0x3000)
)
"""Blanks and joiners: names of classes have them, and they do not hide text."""
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}")
_NOT_SCORES = frozenset({DataType.BYTES, DataType.BOOL})
_IMAGE_DATATYPES = frozenset({DataType.FP32, DataType.FP16, DataType.UINT8})
_OPTIONAL = ("labels", "image", "classification", "rows_independent", "reply_bytes")


class ModelFormat(enum.StrEnum):
    """The file format of a model. Formats that can hold code, such as pickle, are excluded."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """The manifest of one version of a model.

    `file`, `labels`: relative paths in the package. An OpenVINO `model.xml` also needs `model.bin`.
    `max_batch`: the greatest number of rows per run, 1 to `MAX_BATCH`. `image`: how an image file
    becomes an input. `classification`: how an output becomes top classes. `rows_independent`:
    whether a row's outputs depend on that row alone, so that clients who agree may share batches.
    `reply_bytes`: the length to which every reply is padded, or 0; a longer one is an error.

    Raises: MalformedError if a field is out of range or two fields contradict each other.
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
    rows_independent: bool = False
    reply_bytes: int = 0

    def __post_init__(self) -> None:
        """Check every rule of the spec."""
        parse_name(self.name)
        parse_name(self.version)
        for path in self.files:
            check_path(path)
        ending = ".onnx" if self.format is ModelFormat.ONNX else ".xml"
        if not self.file.endswith(ending):
            msg = f"manifest: file does not end with {ending}, as format {self.format} requires"
            raise MalformedError(msg)
        if len({*self.files, MANIFEST_NAME}) != len(self.files) + 1:
            msg = "manifest: two files have the same name"
            raise MalformedError(msg)
        _check_specs(self.inputs, "inputs")
        _check_specs(self.outputs, "outputs")
        self._check_batch()
        if not 0 <= self.reply_bytes <= MAX_REPLY_BYTES:
            msg = f"manifest: reply_bytes is not 1 to {MAX_REPLY_BYTES}"
            raise MalformedError(msg)
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
        """The path of the weights file of an OpenVINO model; None for ONNX, which embeds them."""
        if self.format is ModelFormat.ONNX:
            return None
        return f"{self.file.removesuffix('.xml')}.bin"

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of exactly the files that a package holds in addition to the manifest."""
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
            # Keys that are absent in older manifests are written only when they say something.
            **({"rows_independent": True} if self.rows_independent else {}),
            **({"reply_bytes": self.reply_bytes} if self.reply_bytes else {}),
        }

    def to_bytes(self) -> bytes:
        """Return `manifest.json` as canonical JSON, the form that its digest covers."""
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned; optional keys may be null or absent.

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
            rows_independent=fields.flag("rows_independent"),
            reply_bytes=fields.integer("reply_bytes", least=1) if "reply_bytes" in fields else 0,
        )

    def _check_batch(self) -> None:
        if not 1 <= self.max_batch <= MAX_BATCH:
            msg = f"manifest: max_batch is not 1 to {MAX_BATCH}"
            raise MalformedError(msg)
        for spec in (*self.inputs, *self.outputs):
            if self.max_batch > 1 and spec.shape[:1] != (-1,):
                msg = f"manifest: with max_batch over 1 the shape of {spec.name} must start with -1"
                raise MalformedError(msg)

    def _check_image(self, image: ImagePreprocessing) -> None:
        spec = next((spec for spec in self.inputs if spec.name == image.input), None)
        if spec is None or spec.datatype not in _IMAGE_DATATYPES:
            msg = f"manifest: image {image.input} is not an input of FP32, FP16 or UINT8"
            raise MalformedError(msg)
        shape = (1, *image.shape)
        if len(spec.shape) != len(shape) or any(
            allowed not in (-1, size) for allowed, size in zip(spec.shape, shape, strict=True)
        ):
            msg = (
                f"manifest: an image of shape {list(shape)} does not fit the shape "
                f"{list(spec.shape)} of input {spec.name}"
            )
            raise MalformedError(msg)

    def _check_classification(self, classification: ClassificationPostprocessing) -> None:
        spec = next((spec for spec in self.outputs if spec.name == classification.output), None)
        axes = 1 if self.max_batch == 1 else 2
        if spec is None or len(spec.shape) < axes or spec.datatype in _NOT_SCORES:
            msg = (
                f"manifest: classification {classification.output} is not an output of numbers "
                "with an axis of classes, besides that of the batch"
            )
            raise MalformedError(msg)


def check_path(path: object) -> str:
    """Return a path in a package if it is valid. Spec: bundle.md, 3.2.

    One to four names joined by `/`. A name starts with a letter or digit, so `..`, absolute paths
    and hidden files are excluded.

    Raises: MalformedError.
    """
    if (
        not isinstance(path, str)
        or len(path) > MAX_PATH_CHARACTERS
        or _PATH.fullmatch(path) is None
    ):
        msg = (
            "a file name is not a relative path of up to 4 names of letters, digits, '.', '_' and "
            f"'-', or is over {MAX_PATH_CHARACTERS} characters"
        )
        raise MalformedError(msg)
    return path


def parse_labels(text: bytes) -> tuple[str, ...]:
    """Return the class names of a labels file in UTF-8; line N+1 is the name of class N.

    Raises: BundleError.
    """
    try:
        lines = text.decode().removeprefix("\ufeff").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        msg = "labels: not UTF-8"
        raise BundleError(msg) from error
    labels = tuple(line.strip() for line in lines)
    if len(labels) > MAX_LABELS:
        msg = f"labels: {len(labels)} lines, the limit is {MAX_LABELS}"
        raise BundleError(msg)
    for number, label in enumerate(labels, 1):
        if len(label) > MAX_LABEL_CHARACTERS:
            msg = f"labels: line {number} is over {MAX_LABEL_CHARACTERS} characters"
            raise BundleError(msg)
        if not is_printable(label.translate(_IN_LABELS)):
            wrong = next(each for each in label.translate(_IN_LABELS) if not is_printable(each))
            msg = f"labels: line {number} has the character U+{ord(wrong):04X}: remove it"
            raise BundleError(msg)
    return labels


def _check_specs(specs: tuple[TensorSpec, ...], what: str) -> None:
    if not 0 < len(specs) <= MAX_SPECS or len({spec.name for spec in specs}) != len(specs):
        msg = f"manifest: {what} is not a list of 1 to {MAX_SPECS} tensors with different names"
        raise MalformedError(msg)
