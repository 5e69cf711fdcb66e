"""Worker: sealed packages to models that can be served."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.openinfer.ndarray import from_numpy
from sealflow.package.container import UnverifiedPackage
from sealflow.package.manifest import ModelFormat, parse_labels
from sealflow.trusted.worker.models.images import ImagePreparation
from sealflow.trusted.worker.models.inputs import prepare
from sealflow.trusted.worker.models.runtime import Model, warm_up
from sealflow.trusted.worker.models.top_classes import top_classes
from sealflow.wire.frame_payloads import RuntimeName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest
    from sealflow.openinfer.tensor import Tensor
    from sealflow.package.manifest import ModelManifest
    from sealflow.trusted.worker.models.runtime import Runtime
    from sealflow.wire.domain import TrustDomain
    from sealflow.wire.ids import ModelRef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedModel:
    """A model ready to answer, with all that its manifest says about it.

    `max_rows`: the largest batch. Models whose manifest allows only 1 run requests one by one, as
    they come.
    """

    manifest: ModelManifest
    digest: str
    runtime: RuntimeName
    max_rows: int
    labels: Sequence[str] = field(repr=False)
    _images: ImagePreparation | None = field(repr=False)
    _model: Model = field(repr=False)

    @property
    def ref(self) -> ModelRef:
        """The model's name and version."""
        return self.manifest.ref

    @property
    def batched(self) -> bool:
        """Whether the first size of inputs and outputs counts rows of a batch."""
        return self.manifest.max_batch > 1

    def prepare(self, request: InferRequest) -> tuple[Mapping[str, NDArray[Any]], int]:
        """Return the arrays that the model takes, and their rows.

        Raises: InvalidInputError.
        """
        return prepare(request, self.manifest, self._images)

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch of at most `max_rows`; only for the thread that runs models.

        Raises: ModelError.
        """
        return self._model.run(inputs, outputs)

    def to_tensors(
        self, request: InferRequest, arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Tensor, ...]:
        """Return the outputs that a request asks for, in its order; all of them if it names none.

        Raises: ModelError.
        """
        if not request.outputs:
            return tuple(from_numpy(spec.name, arrays[spec.name]) for spec in self.manifest.outputs)
        return tuple(
            from_numpy(asked.name, arrays[asked.name])
            if asked.classification is None
            else self._classes(asked.name, arrays[asked.name], asked.classification)
            for asked in request.outputs
        )

    def _classes(self, name: str, scores: NDArray[Any], count: int) -> Tensor:
        recipe = self.manifest.classification
        described = recipe is not None and recipe.output == name
        return top_classes(
            name,
            scores,
            count,
            softmax=described and recipe is not None and recipe.softmax,
            labels=self.labels if described or recipe is None else (),
        )


class ModelLoader:
    """Opens packages and builds their models; each runtime is imported when first needed."""

    def __init__(
        self, *, runtime: RuntimeName | None, threads: int, max_batch: int, max_pixels: int
    ) -> None:
        """Take what the worker was started with; see `Settings`."""
        self._runtime = runtime
        self._threads = threads
        self._max_batch = max_batch
        self._max_pixels = max_pixels
        self._runtimes: dict[RuntimeName, Runtime] = {}

    def load_package(
        self, package: bytearray, digest: str, signer: str, content_key: bytes, domain: TrustDomain
    ) -> ServedModel:
        """Verify a package, open it, build its model and run every batch size once.

        `digest`, `signer` and `content_key` are from the grant. Empties `package`.

        Raises: BundleError, also when it does not open.
        """
        try:
            verified = UnverifiedPackage.from_bytes(package).verify(signer, digest=digest)
            files = verified.open_files(content_key, domain)
        except OpenError as error:
            msg = "package: it does not open with the granted key"
            raise BundleError(msg) from error
        except MalformedError as error:
            msg = f"package: {error}"
            raise BundleError(msg) from error
        manifest = verified.manifest
        del verified
        package.clear()
        served = self._build(manifest, digest, files)
        del files
        _return_free_memory()
        return served

    def _build(
        self, manifest: ModelManifest, digest: str, files: Mapping[str, bytes]
    ) -> ServedModel:
        max_rows = min(self._max_batch or manifest.max_batch, manifest.max_batch)
        labels = parse_labels(files[manifest.labels]) if manifest.labels is not None else ()
        _check_labels(manifest, labels)
        name, runtime = self._choose(manifest.format)
        model = runtime.load_model(manifest, files)
        warm_up(model, manifest, max_rows)
        return ServedModel(
            manifest=manifest,
            digest=digest,
            runtime=name,
            max_rows=max_rows,
            labels=labels,
            _images=self._image_preparation(manifest),
            _model=model,
        )

    def _choose(self, model_format: ModelFormat) -> tuple[RuntimeName, Runtime]:
        name = self._runtime or RuntimeName.ONNX
        if model_format is ModelFormat.OPENVINO:
            name = RuntimeName.OPENVINO
        if name not in self._runtimes:
            self._runtimes[name] = _start(name, self._threads)
        return name, self._runtimes[name]

    def _image_preparation(self, manifest: ModelManifest) -> ImagePreparation | None:
        recipe = manifest.image
        if recipe is None:
            return None
        datatype = next(spec.datatype for spec in manifest.inputs if spec.name == recipe.input)
        return ImagePreparation(recipe, datatype, max_pixels=self._max_pixels)


def _start(name: RuntimeName, threads: int) -> Runtime:
    # A runtime costs 15 to 30 MiB, so the one that no model needs stays out.
    if name is RuntimeName.ONNX:
        from sealflow.trusted.worker.models.onnx import OnnxRuntime  # noqa: PLC0415

        return OnnxRuntime(threads)
    from sealflow.trusted.worker.models.openvino import OpenVino  # noqa: PLC0415

    return OpenVino(threads)


def _check_labels(manifest: ModelManifest, labels: Sequence[str]) -> None:
    recipe = manifest.classification
    if not labels or recipe is None:
        return
    classes = next(spec.shape[-1] for spec in manifest.outputs if spec.name == recipe.output)
    if classes not in (-1, len(labels)):
        msg = f"labels: {len(labels)} names for the {classes} classes of {recipe.output}"
        raise BundleError(msg)


def _return_free_memory() -> None:
    """Return back what loading needed for a moment: about 30 MiB for a model of 18 MiB."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
