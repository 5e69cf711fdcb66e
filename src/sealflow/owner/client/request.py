"""Owner: makes a KServe V2 request of a caller's arguments. Pure, but it reads image files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import InvalidInputError
from sealflow.files import file_errors
from sealflow.openinfer.binary import encode_request
from sealflow.openinfer.messages import SHARE_BATCH, TENANT_TOKEN, InferRequest, RequestedOutput
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.owner.client.arguments import check_tensors, whole_number
from sealflow.seal.content import ContentKind, Parts, content_parts

if TYPE_CHECKING:
    import numpy as np

    from sealflow.documents.directory import DirectoryModel
    from sealflow.openinfer.tensor import Parameter, TensorSpec

Image = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A path of a JPEG or PNG file, or the bytes of one. It is decoded in the enclave.

Example:
    >>> image: Image = "cat.jpg"
    >>> client.infer("efficientnet-lite0", image=image).top[0].label
    'tiger cat'
"""

Tensors = Mapping[str, "np.ndarray[Any, np.dtype[Any]] | Tensor | Sequence[Any]"]
"""Arrays by input name: numpy arrays, `Tensor` values, or lists of numbers, text or bytes.

Lists, and arrays of another datatype, are cast to the model's. Real numbers are rounded; a value
that would change otherwise is an error: 300 for UINT8, 1.5 for INT64, 1e39 for FP32, text or None
for a number, a masked value.

Example:
    >>> x: Tensors = {"x": [[1.0, 2.0, 3.0, 4.0]]}
    >>> client.infer("tiny", tensors=x).outputs["probabilities"].shape
    (1, 3)
"""


DEFAULT_TOP_K: Final = 5
_BATCH_AND_ONE: Final = 2
_ONE_IMAGE: Final = (str, os.PathLike, bytes, bytearray, memoryview)
_NOT_SCORES: Final = (DataType.BYTES, DataType.BOOL)


def split_item(item: Image | Tensors) -> tuple[Image | None, Tensors | None]:
    """Return an input as a pair of image and tensors, of which one is None."""
    return (None, item) if isinstance(item, Mapping) else (item, None)


def request_parts(
    model: DirectoryModel,
    *,
    image: Image | Sequence[Image] | None,
    tensors: Tensors | None,
    top_k: int | None,
    share_batch: bool = False,
    tenant_token: str | None = None,
) -> Parts:
    """Return the content of a request, to be sealed.

    `top_k`: how many best classes to ask for instead of scores; None is 5 for images of a model
    with an output of scores, else 0.
    `share_batch`: whether its rows may share batches with other clients' rows. `tenant_token`: the
    caller's, where the deployment serves tenants.
    Raises: InvalidInputError when it cannot fit the model, ConfigError when a file is unreadable.
    """
    if tensors is not None:
        check_tensors(tensors)
    inputs = [*_images(model, image), *_tensors(model, tensors)]
    if not inputs:
        names = ", ".join(spec.name for spec in model.inputs)
        msg = f"nothing to infer: give image=, or tensors= with {names}"
        raise InvalidInputError(msg)
    outputs = _outputs(model, top_k, of_images=image is not None)
    parameters: dict[str, Parameter] = {SHARE_BATCH: True} if share_batch else {}
    if tenant_token is not None:
        parameters[TENANT_TOKEN] = tenant_token
    request = InferRequest(inputs=tuple(inputs), outputs=outputs, parameters=parameters)
    text, buffers = encode_request(request)
    return content_parts(ContentKind.INFER, text, buffers)


def _outputs(
    model: DirectoryModel, top_k: int | None, *, of_images: bool
) -> tuple[RequestedOutput, ...]:
    """Return what a request asks of all outputs: the best classes of one, the others as they are.

    Without the default, no classes are asked of a model that does not say which output has them.
    """
    default = DEFAULT_TOP_K if of_images else 0
    count = default if top_k is None else whole_number("top_k", top_k)
    if count == 0:
        return ()
    scores = _scores(model)
    if scores is None:
        if top_k is None:
            return ()
        names = ", ".join(spec.name for spec in model.outputs)
        msg = (
            f"model {model.name} does not say which of its outputs has scores of classes: {names}; "
            "use top_k=0 for all outputs, or have its owner name one under [classification]"
        )
        raise InvalidInputError(msg)
    asked: dict[str, Parameter] = {"classification": count}
    return tuple(
        RequestedOutput(name=spec.name, parameters=asked if spec.name == scores else {})
        for spec in model.outputs
    )


def _scores(model: DirectoryModel) -> str | None:
    """Return the output that has scores: the one that the owner named, or the only one."""
    if model.classification is not None:
        return model.classification
    named = [spec.name for spec in model.outputs if spec.datatype not in _NOT_SCORES]
    return named[0] if len(model.outputs) == len(named) == 1 else None


def _images(model: DirectoryModel, image: Image | Sequence[Image] | None) -> list[Tensor]:
    if image is None:
        return []
    spec = next((each for each in model.inputs if each.name == model.image), None)
    if spec is None:
        msg = f"model {model.name} takes no images: give tensors= instead"
        raise InvalidInputError(msg)
    one = isinstance(image, _ONE_IMAGE) or not isinstance(image, Sequence)
    images: Sequence[object] = [image] if one else list(image)  # type: ignore[arg-type]
    encoded = [_read(each) for each in images]
    shape = (len(encoded), 1) if len(spec.shape) == _BATCH_AND_ONE else (len(encoded),)
    return [Tensor.from_elements(spec.name, encoded, shape)]


def _read(image: object) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, str | os.PathLike):
        msg = (
            f"an image is a {type(image).__name__}: give the path or the bytes of a JPEG or PNG "
            "file; pixels go into tensors="
        )
        raise InvalidInputError(msg)
    with file_errors(f"image {os.fspath(image)}"):
        return Path(image).read_bytes()


def _tensors(model: DirectoryModel, tensors: Tensors | None) -> list[Tensor]:
    if not tensors:
        return []
    specs = {spec.name: spec for spec in model.inputs}
    made = []
    for name, value in tensors.items():
        if name not in specs:
            msg = f"model {model.name} has no input {name!r}: it takes {', '.join(specs)}"
            raise InvalidInputError(msg)
        tensor = value if isinstance(value, Tensor) else _tensor(name, value, specs[name])
        specs[name].check(tensor)
        made.append(tensor)
    return made


def _tensor(name: str, value: object, spec: TensorSpec) -> Tensor:
    from sealflow.owner.client.arrays import tensor_of  # noqa: PLC0415 - numpy only when wanted

    return tensor_of(name, value, spec.datatype)
