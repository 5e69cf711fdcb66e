"""Worker: what serving asks of a model runtime. Two implementations: `onnx` and `openvino`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sealflow.errors import BundleError, ModelError
from sealflow.openinfer.ndarray import dtype_of
from sealflow.openinfer.tensor import DataType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.openinfer.tensor import TensorSpec
    from sealflow.package.manifest import ModelManifest


class Model(Protocol):
    """A model in memory, to be run by one thread at a time."""

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch and give the outputs asked for, in that order.

        `inputs`: an array for every input of the manifest, of its dtype and shape.

        Raises: ModelError when the runtime fails; the model stays usable.
        """
        ...


class Runtime(Protocol):
    """Makes models; everything of one library lives behind it."""

    def load_model(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> Model:
        """Build a model of a package's files, which must have been verified.

        Raises: BundleError when it does not load or does not fit its manifest.
        """
        ...


def check_specs(what: str, promised: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    """Compare the inputs or outputs of a manifest with a model's; their order is free.

    The manifest may fix a size that the model leaves open, never the other way round.

    Raises: BundleError for the first difference: expected and found.
    """
    have = {spec.name: spec for spec in found}
    if {spec.name for spec in promised} != set(have):
        names = sorted(spec.name for spec in promised)
        msg = f"the model's {what}s are {sorted(have)}, its manifest says {names}"
        raise BundleError(msg)
    for spec in promised:
        got = have[spec.name]
        if spec.datatype is not got.datatype:
            msg = f"{what} {spec.name} is {got.datatype}, the manifest says {spec.datatype}"
            raise BundleError(msg)
        if len(spec.shape) != len(got.shape) or any(
            size not in (-1, wanted) for wanted, size in zip(spec.shape, got.shape, strict=True)
        ):
            msg = f"{what} {spec.name} is {list(got.shape)}, the manifest says {list(spec.shape)}"
            raise BundleError(msg)


def has_open_shapes(manifest: ModelManifest) -> bool:
    """Whether a request can choose how much memory the model takes, beyond the rows of a batch.

    Such a model must not keep what a large run took, or one request could leave the worker without
    memory for all others.
    """
    known = 1 if manifest.max_batch > 1 else 0
    return any(-1 in spec.shape[known:] for spec in (*manifest.inputs, *manifest.outputs))


def warm_up(model: Model, manifest: ModelManifest, max_rows: int) -> None:
    """Run every batch size that can occur, so that no request pays for a first time.

    The largest goes first: the runtime then claims its memory once, and smaller batches fit into
    it. A model with sizes open beyond the batch is not warmed: no size of our choice need fit it.

    Raises: BundleError when the model cannot run.
    """
    if any(-1 in spec.shape[1:] or spec.shape[:1] == (0,) for spec in manifest.inputs):
        return
    names = [spec.name for spec in manifest.outputs]
    for rows in range(max_rows, 0, -1):
        inputs = {spec.name: _blank(spec, rows) for spec in manifest.inputs}
        try:
            model.run(inputs, names)
        except ModelError as error:
            msg = f"the model loads but does not run with {rows} blank rows: {error}"
            raise BundleError(msg) from error


def _blank(spec: TensorSpec, rows: int) -> NDArray[Any]:
    shape = tuple(rows if size == -1 else size for size in spec.shape)
    filling = b"" if spec.datatype is DataType.BYTES else 0
    return np.full(shape, filling, dtype_of(spec.datatype))
