"""Packages as their owner makes them, and models as a worker loads them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.package.manifest import ModelFormat, ModelManifest
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.worker.models.loader import ModelLoader, ServedModel
from sealflow.trusted.worker.models.work_limit import WorkLimit
from sealflow.wire.domain import TrustDomain
from tests.support.models import onnx_models

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from sealflow.wire.frame_payloads import RuntimeName

EXAMPLES = Path(__file__).parents[3] / "examples"
SIGNING = Ed25519PrivateKey.generate()
SIGNER = SIGNING.public_key().public_bytes_raw().hex()
T = TypeVar("T")
OWNER = OpeningKey.generate(Suite.SIMULATED_X25519)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedModel:
    """A package and what a grant says about it."""

    package: bytes
    digest: str
    content_key: bytes

    def load(self, loading: ModelLoader) -> ServedModel:
        """Load it as a worker does."""
        package = bytearray(self.package)
        return loading.load_package(
            package, self.digest, SIGNER, self.content_key, TrustDomain.SIMULATED
        )


def pack_model(manifest: ModelManifest, files: Mapping[str, bytes]) -> PackedModel:
    """Pack files as their owner does."""
    package = seal_package(manifest, files, signing=SIGNING, sealing=OWNER.public_key)
    verified = UnverifiedPackage.from_bytes(package).verify(SIGNER)
    return PackedModel(package=package, digest=verified.digest, content_key=verified.unwrap(OWNER))


def make_loader(
    runtime: RuntimeName | None = None,
    *,
    max_batch: int = 0,
    max_pixels: int = 10_000_000,
    share_batch: bool = False,
) -> ModelLoader:
    """Loading as a worker with one thread has it."""
    return ModelLoader(
        runtime=runtime,
        threads=1,
        max_batch=max_batch,
        max_pixels=max_pixels,
        max_body_bytes=2**24,
        share_batch=share_batch,
        loads=WorkLimit("load", 60),
        runs=WorkLimit("run", 60),
    )


def read_example(name: str) -> tuple[ModelManifest, dict[str, bytes]]:
    """An example's manifest and files."""
    folder = EXAMPLES / name
    table = tomllib.loads((folder / "model.toml").read_text())
    manifest = ModelManifest.from_json(table)
    return manifest, {path: (folder / path).read_bytes() for path in manifest.files}


def tensor_specs(**given: tuple[DataType, list[int]]) -> tuple[TensorSpec, ...]:
    """Specifications by name."""
    return tuple(
        TensorSpec(name=name, datatype=datatype, shape=tuple(shape))
        for name, (datatype, shape) in given.items()
    )


def onnx_manifest(name: str = "m", **changes: Any) -> ModelManifest:
    """The manifest of an ONNX model from FP32 x [-1, 4] to FP32 y [-1, 4], unless changed."""
    settings: dict[str, Any] = {
        "version": "1",
        "format": ModelFormat.ONNX,
        "file": "model.onnx",
        "inputs": tensor_specs(x=(DataType.FP32, [-1, 4])),
        "outputs": tensor_specs(y=(DataType.FP32, [-1, 4])),
        "max_batch": 8,
    }
    return ModelManifest(name=name, **{**settings, **changes})


def load_model(
    model: bytes, name: str = "m", *, loading: ModelLoader | None = None, **changes: Any
) -> ServedModel:
    """Pack and load an ONNX model."""
    manifest = onnx_manifest(name, **changes)
    return pack_model(manifest, {manifest.file: model}).load(loading or make_loader())


ANY = tensor_specs(x=(DataType.FP32, [-1, -1])), tensor_specs(y=(DataType.FP32, [-1, -1]))


@cache
def any_negation(name: str, max_batch: int) -> ServedModel:
    """Gives -x of rows of any length."""
    inputs, outputs = ANY
    model = onnx_models.elementwise("Neg")
    return load_model(model, name, inputs=inputs, outputs=outputs, max_batch=max_batch)


@cache
def tiny_model() -> PackedModel:
    """Return the example model `tiny`, packed."""
    return pack_model(*read_example("tiny"))


def finish(steps: Generator[int, None, T]) -> T:
    """Take all steps of a preparation and return what it made."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def run_alone(model: ServedModel, values: NDArray[Any], output: str = "y") -> NDArray[Any]:
    """Return one output of a model with the input `x`, for a request that shares no batch."""
    request = InferRequest(inputs=(from_numpy("x", values),))
    inputs, _ = finish(model.prepare(request))
    (array,) = model.run(inputs, [output])
    (tensor,) = model.to_tensors(request, {output: array})
    assert tensor.name == output
    return to_numpy(tensor)
