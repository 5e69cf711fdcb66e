"""Worker: opens model packages and loads their models."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealflow.documents.receipt import MAX_RECEIPT_BYTES
from sealflow.errors import BundleError, MalformedError, ModelError, OpenError
from sealflow.openinfer.ndarray import from_numpy
from sealflow.package.container import UnverifiedPackage
from sealflow.package.manifest import ModelFormat, parse_labels
from sealflow.seal.chunked import chunked_length
from sealflow.seal.content import padded_length
from sealflow.trusted.worker.images.preparation import ImagePreparation
from sealflow.trusted.worker.models.inputs import prepare
from sealflow.trusted.worker.models.runtime import Model, warm_up
from sealflow.trusted.worker.models.top_classes import spare_bytes, top_classes
from sealflow.wire.frame_payloads import RuntimeName

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest, RequestedOutput
    from sealflow.openinfer.tensor import Tensor
    from sealflow.package.manifest import ModelManifest
    from sealflow.trusted.worker.models.runtime import Runtime
    from sealflow.trusted.worker.models.work_limit import WorkLimit
    from sealflow.wire.domain import TrustDomain
    from sealflow.wire.ids import ModelRef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedModel:
    """A loaded model with its manifest.

    `digest`: of its package, in hex. `max_rows`: rows of the largest batch; 1 for a model without
    batches, which runs each request alone. `share_batch`: whether clients who agree may share
    batches. `labels`: names of classes by index, or empty. `longest_label`: in bytes.
    """

    manifest: ModelManifest
    digest: str
    runtime: RuntimeName
    max_rows: int
    share_batch: bool
    labels: Sequence[str] = field(repr=False)
    longest_label: int
    _images: ImagePreparation | None = field(repr=False)
    _model: Model = field(repr=False)
    _runs: WorkLimit = field(repr=False)

    @property
    def ref(self) -> ModelRef:
        """The name and version of the model."""
        return self.manifest.ref

    @property
    def batched(self) -> bool:
        """Whether the first size of inputs and outputs is the number of rows of a batch."""
        return self.manifest.max_batch > 1

    def prepare(
        self, request: InferRequest
    ) -> Generator[int, None, tuple[Mapping[str, NDArray[Any]], int]]:
        """Return a request's inputs as arrays by name, and their number of rows.

        The steps are those of `inputs.prepare`.

        Raises: InvalidInputError when the request does not fit the manifest.
        """
        return prepare(request, self.manifest, self._images)

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch of at most `max_rows` rows and return the named outputs in that order.

        Only the thread that runs models may call it.

        Raises: ModelError when the runtime fails, or the run takes too long.
        """
        with self._runs.work(self.digest, self._model.stop):
            return self._model.run(inputs, outputs)

    def to_tensors(
        self, request: InferRequest, arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Tensor, ...]:
        """Return the tensors that answer a request. Spec: content.md, sections 3 and 5.

        A request that names no outputs gets all of the manifest, in its order. Any other gets what
        it names, in its own order. An output whose N best classes it asks for becomes a BYTES
        tensor, with at most N elements for each row: `score:index`, or `score:index:label`.

            the model's outputs      the request           the answer
            scores FP32 [1, 1000]    scores, 2 classes     scores BYTES [1, 2]
            boxes  FP32 [1, 8, 4]    boxes                 boxes  FP32  [1, 8, 4]

        `arrays`: the model's outputs by name, with the rows of this request only. All outputs that
        the request names must be there.

        Raises: InvalidInputError when an output has no scores to classify, or a type that tensors
        do not have; ModelError when a score is not finite.
        """
        if not request.outputs:
            return tuple(from_numpy(spec.name, arrays[spec.name]) for spec in self.manifest.outputs)
        return tuple(self._to_tensor(each, arrays[each.name]) for each in request.outputs)

    def _to_tensor(self, requested: RequestedOutput, array: NDArray[Any]) -> Tensor:
        if requested.classification is None:
            return from_numpy(requested.name, array)
        return self._top_classes(requested.name, array, requested.classification)

    def _top_classes(self, name: str, scores: NDArray[Any], count: int) -> Tensor:
        classification = self.manifest.classification
        described = classification is not None and classification.output == name
        return top_classes(
            name,
            scores,
            count,
            softmax=described and classification is not None and classification.softmax,
            labels=self._labels_of(name),
            axes=2 if self.batched else 1,
        )

    def _labels_of(self, name: str) -> Sequence[str]:
        classification = self.manifest.classification
        return self.labels if classification is None or classification.output == name else ()

    def spare_bytes(
        self,
        request: InferRequest,
        tensors: Sequence[Tensor],
        arrays: Mapping[str, NDArray[Any]],
    ) -> int:
        """Return how much longer a reply to a request of the same form could be.

        `tensors`: what `to_tensors` returned for `arrays`. Of other outputs than top classes the
        shape alone decides. Spec: content.md, 7.6.
        """
        return sum(
            spare_bytes(
                tensor,
                arrays[asked.name].shape[-1],
                self.longest_label if self._labels_of(asked.name) else -1,
            )
            for asked, tensor in zip(request.outputs, tensors, strict=False)
            if asked.classification is not None
        )


class DamagedPackageError(BundleError):
    """The package is not the one that its owner signed: the host has another file."""


class ModelLoader:
    """Opens packages and loads their models; each runtime is imported when first needed.

    `share_batch` is that of the deployment's settings. `loads`, `runs`: the time that a load and a
    run may take. The other arguments are of `WorkerBoot`.
    """

    def __init__(  # noqa: PLR0913 - settings of all models
        self,
        *,
        runtime: RuntimeName | None,
        threads: int,
        max_batch: int,
        max_pixels: int,
        max_body_bytes: int,
        share_batch: bool = False,
        loads: WorkLimit,
        runs: WorkLimit,
    ) -> None:
        self._runtime = runtime
        self._threads = threads
        self._max_batch = max_batch
        self._max_pixels = max_pixels
        self._max_body_bytes = max_body_bytes
        self._share_batch = share_batch
        self._loads = loads
        self._runs = runs
        self._runtimes: dict[RuntimeName, Runtime] = {}

    def load_package(
        self, package: bytearray, digest: str, signer: str, content_key: bytes, domain: TrustDomain
    ) -> ServedModel:
        """Verify a package, open it, load its model and run each batch size once.

        `digest`, `signer` and `content_key` are from the grant. `package` is emptied, to free its
        memory before the model is loaded.

        Raises: DamagedPackageError when the package is not the granted one, or does not open or
        parse; BundleError when its model does not load, or not in time.
        """
        try:
            verified = UnverifiedPackage.from_bytes(package).verify(signer, digest=digest)
            files = verified.open_files(content_key, domain)
        except OpenError as error:
            msg = "package: it does not open with the granted content key"
            raise DamagedPackageError(msg) from error
        except (MalformedError, BundleError) as error:
            raise DamagedPackageError(f"package: {error}") from error
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
        reply_bytes = chunked_length(padded_length(manifest.reply_bytes + MAX_RECEIPT_BYTES))
        if manifest.reply_bytes and reply_bytes > self._max_body_bytes:
            msg = f"reply_bytes {manifest.reply_bytes} is over max_body_bytes of this deployment"
            raise BundleError(msg)
        name, runtime = self._runtime_for(manifest.format)
        try:
            with self._loads.work(digest, runtime.stop):
                model = runtime.load_model(manifest, files)
            with self._loads.work(digest, model.stop):
                warm_up(model, manifest, max_rows)
        except ModelError as error:
            raise BundleError(str(error)) from error
        return ServedModel(
            manifest=manifest,
            digest=digest,
            runtime=name,
            max_rows=max_rows,
            share_batch=self._share_batch and manifest.rows_independent,
            labels=labels,
            longest_label=max((len(label.encode()) for label in labels), default=0),
            _images=self._image_preparation(manifest),
            _model=model,
            _runs=self._runs,
        )

    def _runtime_for(self, model_format: ModelFormat) -> tuple[RuntimeName, Runtime]:
        name = self._runtime or RuntimeName.ONNX
        if model_format is ModelFormat.OPENVINO:
            name = RuntimeName.OPENVINO
        if name not in self._runtimes:
            self._runtimes[name] = _import_runtime(name, self._threads)
        return name, self._runtimes[name]

    def _image_preparation(self, manifest: ModelManifest) -> ImagePreparation | None:
        image = manifest.image
        if image is None:
            return None
        datatype = next(spec.datatype for spec in manifest.inputs if spec.name == image.input)
        return ImagePreparation(image, datatype, max_pixels=self._max_pixels)


def _import_runtime(name: RuntimeName, threads: int) -> Runtime:
    # A runtime takes 15 to 30 MiB of memory, so it is imported only when a model needs it.
    if name is RuntimeName.ONNX:
        from sealflow.trusted.worker.models.onnx import OnnxRuntime  # noqa: PLC0415

        return OnnxRuntime(threads)
    from sealflow.trusted.worker.models.openvino import OpenVino  # noqa: PLC0415

    return OpenVino(threads)


def _check_labels(manifest: ModelManifest, labels: Sequence[str]) -> None:
    classification = manifest.classification
    if not labels or classification is None:
        return
    output = classification.output
    classes = next(spec.shape[-1] for spec in manifest.outputs if spec.name == output)
    if classes not in (-1, len(labels)):
        msg = f"labels: {len(labels)} names for the {classes} classes of {output}"
        raise BundleError(msg)


def _return_free_memory() -> None:
    """Return free memory of the C library to the system: about 30 MiB for a model of 18 MiB."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
