"""Worker: the interface of model runtimes, and checks of models when they are loaded.

Two modules implement it: `onnx` and `openvino`.
"""

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
    """A model in memory. Not thread-safe."""

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch and return the named outputs in that order.

        `inputs`: an array for every input of the manifest, of its dtype and shape.

        Raises: ModelError when the runtime fails; the model can be used again after that.
        """
        ...

    def stop(self) -> None:
        """Have the present run fail soon, if the runtime can; called from another thread."""
        ...


class Runtime(Protocol):
    """Loads models with one library."""

    def stop(self) -> None:
        """Have the present load fail soon, if the library can; called from another thread."""
        ...

    def load_model(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> Model:
        """Load the model from the verified files of a package.

        Raises: BundleError when it does not load or does not fit its manifest.
        """
        ...


def check_specs(what: str, declared: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    """Check that a model's inputs or outputs are those that its manifest declares, in any order.

    The manifest may fix a size that the model leaves open, but not leave open a size that the model
    fixes.

    `what`: "input" or "output", for messages.

    Raises: BundleError with the first difference: the model's value and the manifest's.
    """
    found_by_name = {spec.name: spec for spec in found}
    if {spec.name for spec in declared} != set(found_by_name):
        names = sorted(spec.name for spec in declared)
        msg = f"the model's {what}s are {sorted(found_by_name)}, its manifest says {names}"
        raise BundleError(msg)
    for spec in declared:
        actual = found_by_name[spec.name]
        if spec.datatype is not actual.datatype:
            msg = f"{what} {spec.name} is {actual.datatype}, the manifest says {spec.datatype}"
            raise BundleError(msg)
        if len(spec.shape) != len(actual.shape) or any(
            size not in (-1, declared_size)
            for declared_size, size in zip(spec.shape, actual.shape, strict=True)
        ):
            shapes = f"{list(actual.shape)}, the manifest says {list(spec.shape)}"
            msg = f"{what} {spec.name} is {shapes}"
            raise BundleError(msg)


def has_open_shapes(manifest: ModelManifest) -> bool:
    """Return whether requests can choose a size of an input or output other than the batch's rows.

    Such a model must not keep the memory of a run: one large request could leave the worker without
    memory for all later ones.
    """
    known = 1 if manifest.max_batch > 1 else 0
    return any(-1 in spec.shape[known:] for spec in (*manifest.inputs, *manifest.outputs))


def warm_up(model: Model, manifest: ModelManifest, max_rows: int) -> None:
    """Run each batch size once with blank inputs, so that no request pays for a first run.

    The largest comes first: the runtime then allocates its memory once, and smaller batches fit
    into it. Does nothing for a model whose inputs have open sizes besides the batch's rows, as it
    may accept only some values, or an input without rows.

    Raises: BundleError when the model fails.
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
    array = np.full(shape, filling, dtype_of(spec.datatype))
    # As those of requests.
    array.flags.writeable = False
    return array
