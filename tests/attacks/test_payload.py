"""Attacks by what is inside requests and packages: rows 53 to 59 of docs/threat-model.md."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, MalformedError, ModelError
from sealflow.openinfer.binary import decode_request
from sealflow.openinfer.tensor import DataType
from sealflow.package.container import UnverifiedPackage
from sealflow.package.manifest import ModelFormat, check_path
from sealflow.package.preprocessing import ImagePreprocessing
from sealflow.trusted.worker.images.preparation import MAX_PIXELS, ImagePreparation
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.images.png_files import png
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    SIGNER,
    make_loader,
    onnx_manifest,
    pack_model,
    read_example,
)
from tests.support.trusted.worker import Worker, floats, negation_model, seal_call

if TYPE_CHECKING:
    from pathlib import Path


def request(**tensor: Any) -> tuple[bytes, bytes]:
    """An infer request of one tensor in its JSON form."""
    whole = {"name": "x", "datatype": "FP32", "shape": [1], "data": [0.0], **tensor}
    return canonical_json({"inputs": [whole]}), b""


def bent(*, data: bytes = b"", **tensor: Any) -> None:
    """Decode a request of one binary tensor that must be refused."""
    whole = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1],
        "parameters": {"binary_data_size": len(data)},
        **tensor,
    }
    with pytest.raises(MalformedError):
        decode_request(canonical_json({"inputs": [whole]}), data)


def test_53_bombs() -> None:
    """Images that unpack to gigabytes are refused by their header; nothing else is unpacked."""
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    bombs = [png(side, side, raw=bytes(10_000)) for side in (30_000, 2**31 - 1)]
    packed = (b"\x1f\x8b" + bytes(20), b"PK\3\4" + bytes(20), b"\x93NUMPY" + bytes(20))
    recipe = ImagePreprocessing(input="x", width=224, height=224)
    preparation = ImagePreparation(recipe, DataType.FP32, max_pixels=MAX_PIXELS)
    for image in (*bombs, jpeg, *packed):
        with pytest.raises(InvalidInputError):
            next(preparation.prepare([memoryview(image)]))


@pytest.mark.parametrize(
    "shape", [[-1], [2**31, 2**31], [2**62, 4], [0, 2**63], [1] * 1000, ["1"], [1.0], [True]]
)
def test_54_shapes(shape: Any) -> None:
    """Negative, overflowing and endless shapes are refused before memory is taken."""
    bent(shape=shape, data=bytes(4))


def test_54_not_a_number() -> None:
    """NaN and infinities in JSON are refused; in tensors they are answered as values or errors."""
    for word in (b"NaN", b"Infinity", b"1e999"):
        text = request()[0].replace(b"0.0", word)
        with pytest.raises(MalformedError):
            decode_request(text, b"")
    model = negation_model()
    call = seal_call(model, floats([[np.nan, np.inf, -np.inf, 0]]))
    outside = Worker().serve(model).send(call.envelope).finish()
    assert outside.response(0, call).output("y") is not None


def test_55_pickle() -> None:
    """Formats that can hold code do not exist: a pickled model is refused wherever it is named."""
    assert {each.value for each in ModelFormat} == {"onnx", "openvino"}
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError):
        pack_model(onnx_manifest(), {"model.onnx": buffer.getvalue()}).load(make_loader())
    for name in ("model.pt", "model.pkl", "model.npy"):
        with pytest.raises(MalformedError):
            replace(onnx_manifest(), file=name)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\x05\0\0\0abc", b"\x01\0\0\0", b"\0\0\0\0\0", b"\1\0\0\0a\1\0\0\0b"],
)
def test_56_texts(data: bytes) -> None:
    """Texts whose lengths lie are refused; there is no format with offsets."""
    bent(datatype="BYTES", data=data)


def test_58_outside_files(tmp_path: Path) -> None:
    """A signed model cannot make the enclave read the host's files, nor leave its package."""
    secret = tmp_path / "weights"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    for path in (str(secret), "weights", "../weights"):
        files = {"model.onnx": onnx_models.with_outside_weights(path)}
        with pytest.raises(ModelError):
            pack_model(onnx_manifest(), files).load(make_loader())
    for path in ("../x.onnx", "/x.onnx", "a/../../x.onnx", ".x.onnx", "a//x.onnx", "a\\x.onnx"):
        with pytest.raises(MalformedError):
            check_path(path)


def test_59_time_of_use() -> None:
    """What was checked is what is used: the package is one buffer, and it is gone afterwards."""
    tiny = pack_model(*read_example("tiny"))
    package = bytearray(tiny.package)
    model = make_loader().load_package(
        package, tiny.digest, SIGNER, tiny.content_key, TrustDomain.SIMULATED
    )
    assert not package
    assert (
        model.digest
        == tiny.digest
        == UnverifiedPackage.from_bytes(tiny.package).verify(SIGNER).digest
    )
