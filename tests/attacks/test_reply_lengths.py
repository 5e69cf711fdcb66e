"""What the length of a reply tells: row 82 of docs/threat-model.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import MalformedError
from sealflow.openinfer.messages import InferRequest, RequestedOutput
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.owner.models.packing import open_outputs
from sealflow.package.manifest import MAX_REPLY_BYTES, ModelManifest
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    load_model,
    make_loader,
    onnx_manifest,
    pack_model,
    tensor_specs,
)
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import SESSION, Worker, floats, make_request

if TYPE_CHECKING:
    from sealflow.trusted.worker.models.loader import ServedModel

LABELS = ["no", "", "ja" * 100, "ж" * 300]


def labelled(*, softmax: bool = False) -> ServedModel:
    """A model whose scores are its input, and whose labels are as different as can be."""
    manifest = onnx_manifest("labelled", labels="labels.txt")
    if softmax:
        described = {**manifest.to_json(), "classification": {"output": "y", "softmax": True}}
        manifest = ModelManifest.from_json(described)
    files = {
        "model.onnx": onnx_models.elementwise("Identity", sizes=(None, 4)),
        "labels.txt": "\n".join(LABELS).encode(),
    }
    return pack_model(manifest, files).load(make_loader())


def reply_length(model: ServedModel, request: InferRequest, *, receipt: bool = False) -> int:
    """The bytes of the sealed reply to a request."""
    call = seal_request(SESSION, model, request, receipt_salt="ab" * 32 if receipt else None)
    outside = Worker().serve(model).send(call.envelope).finish()
    return len(outside.replies[0])


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("top", [1, 3, 9])
def test_82_top_classes(top: int, *, softmax: bool) -> None:
    """Neither label, index and digits of the score nor a receipt show in the length."""
    model = labelled(softmax=softmax)
    inputs = [
        [[9, 0, 0, 0]],
        [[0, 0, 9, 0]],
        [[-1.2345678e-38, -1.2345679e-38, -3.4e38, -3.3e38]],
        [[0.1, 0.12345679, 3, 4]],
    ]
    lengths = {
        reply_length(model, make_request(floats(each), top=top), receipt=receipt)
        for each in inputs
        for receipt in (False, True)
    }
    assert len(lengths) == 1
    many = np.zeros((5, 4), np.float32)
    assert reply_length(model, make_request(many, top=top)) >= max(lengths)


def test_82_errors() -> None:
    """All errors of a model are as long, in any alphabet, with a receipt or not."""
    model = labelled()
    wrong = [
        make_request(floats([[1, 2, 3]])),
        make_request(floats([[np.nan, 0, 0, 0]]), top=1),
        InferRequest(inputs=(from_numpy("\U0001f600" * 200, floats([[1, 2, 3, 4]])),)),
        InferRequest(inputs=tuple(from_numpy(f"{n}ж" * 80, floats([[1]])) for n in range(60))),
    ]
    lengths = {
        reply_length(model, each, receipt=receipt) for each in wrong for receipt in (False, True)
    }
    assert len(lengths) == 1


def open_output(**changes: Any) -> ServedModel:
    """A model whose output is as large as its input says."""
    return load_model(
        onnx_models.of_shape(),
        inputs=tensor_specs(x=(DataType.INT64, [2])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, -1])),
        max_batch=1,
        **changes,
    )


def test_82_open_outputs() -> None:
    """Open sizes show in the length, unless the manifest fixes that of all replies."""
    shapes = [(1, 1), (3, 100), (0, 7), (9, 99)]
    requests = [make_request(np.array(each, np.int64)) for each in shapes]
    assert len({reply_length(open_output(), each) for each in requests}) > 1
    fixed = open_output(reply_bytes=5000)
    too_large = make_request(np.array((100, 100), np.int64))
    for receipt in (False, True):
        lengths = {reply_length(fixed, each, receipt=receipt) for each in [*requests, too_large]}
        assert len(lengths) == 1
    call = seal_request(SESSION, fixed, too_large)
    code, message = Worker().serve(fixed).send(call.envelope).finish().error(0, call)
    assert code == "model_failed"
    assert "over reply_bytes of the model, 5000" in message


def test_82_bounds() -> None:
    """The fixed length is one that a reply may have."""
    assert open_output(reply_bytes=MAX_REPLY_BYTES).manifest.reply_bytes == MAX_REPLY_BYTES
    for bad in (-1, MAX_REPLY_BYTES + 1):
        with pytest.raises(MalformedError, match="reply_bytes"):
            replace(onnx_manifest(), reply_bytes=bad)


def test_82_which_outputs_are_open() -> None:
    """Owners are warned of outputs of open sizes and of texts, not of the rows of a batch."""
    manifest = onnx_manifest()
    assert open_outputs(manifest) == ()
    assert open_outputs(replace(manifest, max_batch=1)) == ("y",)
    assert open_outputs(replace(manifest, max_batch=1, reply_bytes=9)) == ()
    texts = tensor_specs(y=(DataType.BYTES, [-1, 1]))
    assert open_outputs(replace(manifest, outputs=texts)) == ("y",)


def test_82_requested_outputs() -> None:
    """A tensor beside top classes keeps its own length."""
    model = labelled()
    request = make_request(floats([[1, 2, 3, 4]]))
    plain = replace(request, outputs=(RequestedOutput(name="y"),))
    assert reply_length(model, plain) == reply_length(model, request)
