"""Worker: checks a request's tensors and converts them to the arrays that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import InvalidInputError
from sealflow.openinfer.ndarray import to_numpy
from sealflow.openinfer.tensor import DataType

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferRequest
    from sealflow.openinfer.tensor import Tensor, TensorSpec
    from sealflow.package.manifest import ModelManifest
    from sealflow.trusted.worker.images.preparation import ImagePreparation

MAX_ROWS: Final = 4096
MAX_PREPARED_BYTES: Final = 256 * 2**20
_IMAGE_RANKS: Final = (1, 2)


def prepare(
    request: InferRequest, manifest: ModelManifest, images: ImagePreparation | None
) -> Generator[int, None, tuple[Mapping[str, NDArray[Any]], int]]:
    """Return the arrays by input name, and their number of rows (1 for a model without batches).

    Images are decoded in steps: the first yields the work of all of them, each further one that of
    the image that it decoded.

    `images`: converts images for the input that takes them; None if no input does.

    Raises: InvalidInputError that names the tensor, what was expected and what was received.
    """
    tensors = {tensor.name: tensor for tensor in request.inputs}
    specs = {spec.name: spec for spec in manifest.inputs}
    if tensors.keys() != specs.keys():
        msg = (
            f"model {manifest.ref} takes the inputs {sorted(specs)}; "
            f"the request has {sorted(tensors)}"
        )
        raise InvalidInputError(msg)
    _check_outputs(request, manifest)
    batched = manifest.max_batch > 1
    rows = _row_count(tensors) if batched else 1
    arrays = {}
    for name, spec in specs.items():
        tensor = tensors[name]
        if images is not None and name == images.input and tensor.datatype is DataType.BYTES:
            arrays[name] = yield from _prepare_images(tensor, spec, images)
        else:
            spec.check(tensor)
            arrays[name] = to_numpy(tensor)
    return arrays, rows


def _check_outputs(request: InferRequest, manifest: ModelManifest) -> None:
    names = [spec.name for spec in manifest.outputs]
    for requested in request.outputs:
        if requested.name not in names:
            msg = f"model {manifest.ref} has no output {requested.name}; it has {names}"
            raise InvalidInputError(msg)


def _row_count(tensors: Mapping[str, Tensor]) -> int:
    sizes = {name: tensor.shape[0] if tensor.shape else 0 for name, tensor in tensors.items()}
    rows = next(iter(sizes.values()))
    if any(size != rows for size in sizes.values()):
        msg = f"all inputs need the same number of rows (first size); they have {sizes}"
        raise InvalidInputError(msg)
    if not 1 <= rows <= MAX_ROWS:
        msg = f"a request must have 1 to {MAX_ROWS} rows (first size of its tensors), not {rows}"
        raise InvalidInputError(msg)
    return rows


def _prepare_images(
    tensor: Tensor, spec: TensorSpec, images: ImagePreparation
) -> Generator[int, None, NDArray[Any]]:
    count = tensor.shape[0] if tensor.shape else 0
    if len(tensor.shape) not in _IMAGE_RANKS or tensor.shape[1:] not in ((), (1,)) or count < 1:
        msg = (
            f"tensor {tensor.name}: shape {list(tensor.shape)}; "
            "images must be BYTES of shape [images] or [images, 1]"
        )
        raise InvalidInputError(msg)
    if spec.shape[0] not in (-1, count):
        msg = f"tensor {tensor.name}: {count} images; the model takes exactly {spec.shape[0]}"
        raise InvalidInputError(msg)
    if count > MAX_ROWS or count * images.row_bytes > MAX_PREPARED_BYTES:
        most = min(MAX_ROWS, MAX_PREPARED_BYTES // images.row_bytes)
        msg = f"tensor {tensor.name}: {count} images in one request; send at most {most}"
        raise InvalidInputError(msg)
    return (yield from images.prepare(tensor.elements()))
