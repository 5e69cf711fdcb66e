"""What is wrong with a request that opened is said sealed, and fails no other request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from sealflow.openinfer.messages import InferRequest, RequestedOutput, TopClass
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.package.preprocessing import ImagePreprocessing
from sealflow.seal.content import ContentKind, content_parts, error_parts
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, tensor_specs
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import (
    DEADLINE_MS,
    SESSION,
    Worker,
    failing_model,
    floats,
    make_request,
    negation_model,
    open_sized_model,
    read_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.trusted.worker.models.loader import ServedModel


def _error(model: ServedModel, request: InferRequest, **settings: Any) -> tuple[str, str]:
    call = seal_request(SESSION, model, request)
    return Worker(**settings).serve(model).send(call.envelope).finish().error(0, call)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (make_request(np.ones((1, 4))), "tensor x: is FP64, must be FP32"),
        (make_request(floats(np.ones((1, 5)))), "tensor x: shape [1, 5] does not fit [-1, 4]"),
        (
            InferRequest(inputs=(from_numpy("z", np.ones((1, 4), np.float32)),)),
            "model negation:1 takes the inputs ['x']; the request has ['z']",
        ),
        (
            InferRequest(
                inputs=(from_numpy("x", np.ones((1, 4), np.float32)),),
                outputs=(RequestedOutput(name="z"),),
            ),
            "model negation:1 has no output z; it has ['y']",
        ),
    ],
)
def test_mistakes_are_answered_sealed(request_: InferRequest, message: str) -> None:
    """Only the caller learns what was wrong, in words that help."""
    assert _error(negation_model(), request_) == ("invalid_input", message)


def test_a_damaged_image_is_answered_sealed() -> None:
    """The element is named, and the images beside it are not decoded for nothing."""
    model = load_model(
        onnx_models.identity(onnx_models.FLOAT, sizes=(None, 3, 2, 2)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 3, 2, 2])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 3, 2, 2])),
        image=ImagePreprocessing(input="x", width=2, height=2),
    )
    image = cv2.imencode(".png", np.full((2, 2, 3), 7, np.uint8))[1].tobytes()
    good = seal_request(SESSION, model, InferRequest(inputs=(Tensor.from_elements("x", [image]),)))
    bad_request = InferRequest(inputs=(Tensor.from_elements("x", [image, image[:50]]),))
    bad = seal_request(SESSION, model, bad_request)
    outside = Worker().serve(model).send(bad.envelope, good.envelope).finish()
    code, message = outside.error(0, bad)
    assert code == "invalid_input"
    assert message.startswith("input x, element 1: the image is a PNG that ends early")
    assert np.all(np.array(read_values(outside.response(1, good))) == 7)


@pytest.mark.parametrize(
    "parts",
    [
        content_parts(ContentKind.INFER, b"not json"),
        content_parts(ContentKind.INFER, b"{}"),
        content_parts(ContentKind.INFER, b'{"inputs":[]}'),
        content_parts(ContentKind.INFER, b'{"inputs":[]}', [b"left over"]),
        error_parts("code", "an error is no request"),
    ],
)
def test_content_that_is_no_infer_request_is_answered_sealed(
    parts: Sequence[bytes | memoryview],
) -> None:
    """Once a request has opened, nothing about it is said in clear."""
    model = negation_model()
    call = SESSION.seal_request(model.ref, model.digest, parts, deadline_ms=DEADLINE_MS)
    outside = Worker().serve(model).send(call.envelope).finish()
    code, message = outside.error(0, call)
    assert code == "invalid_input"
    assert message


def test_one_bad_request_does_not_fail_its_batch() -> None:
    """When a batch fails, each of it is run alone, and only the one to blame has an error."""
    model = failing_model()
    indices = [0, 1, 77, 3, 2]
    calls = [seal_request(SESSION, model, make_request([[index]])) for index in indices]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    assert len(outside.frames) == 1
    code, message = outside.error(2, calls[2])
    assert code == "model_failed"
    assert message.startswith("the model failed")
    for slot in (0, 1, 3, 4):
        assert read_values(outside.response(slot, calls[slot])) == [[10.0 * (indices[slot] + 1)]]


def test_an_answer_that_is_no_number_is_its_own_callers_affair() -> None:
    """NaN among the scores of one request leaves the others' classes as they are."""
    model = open_sized_model("Log")
    rows = [[1.0, 2.0], [-1.0, 1.0], [4.0, 3.0]]
    calls = [seal_request(SESSION, model, make_request(floats([row]), top=1)) for row in rows]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    assert outside.error(1, calls[1])[0] == "model_failed"
    for slot, index in ((0, 1), (2, 0)):
        (tensor,) = outside.response(slot, calls[slot]).outputs
        assert [TopClass.from_bytes(each).index for each in tensor.elements()] == [index]


def test_no_classes_cannot_be_ranked() -> None:
    """A request for the best of nothing is answered, and so is the next one."""
    model = open_sized_model("Abs")
    calls = [
        seal_request(SESSION, model, make_request(np.ones((1, width), np.float32), top=1))
        for width in (0, 3)
    ]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    assert outside.error(0, calls[0])[0] == "invalid_input"
    (tensor,) = outside.response(1, calls[1]).outputs
    assert tensor.elements() == [b"1:0"]


def test_an_output_that_no_tensor_can_hold_is_an_error() -> None:
    """A few bytes that make a shape beyond all limits do not end the worker."""
    model = load_model(
        onnx_models.of_shape(),
        inputs=tensor_specs(x=(DataType.INT64, [2])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, -1])),
        max_batch=1,
    )
    calls = [
        seal_request(SESSION, model, make_request(np.array(shape, np.int64)))
        for shape in ((0, 2**32), (1, 4))
    ]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    code, message = outside.error(0, calls[0])
    assert (code, "elements" in message) == ("model_failed", True)
    assert read_values(outside.response(1, calls[1])) == [[0, 0, 0, 0]]


def test_replies_over_the_limit_are_errors() -> None:
    """What could not be sent back is said so, with what to ask for instead."""
    model = load_model(
        onnx_models.linear(np.ones((1, 5000), np.float32)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 5000])),
    )
    code, message = _error(model, make_request(floats([[1]])), max_body_bytes=10_000)
    assert code == "invalid_input"
    assert "over the limit of 10000: ask for fewer rows" in message
    call = seal_request(SESSION, model, make_request(floats([[1]]), top=1))
    outside = Worker(max_body_bytes=10_000).serve(model).send(call.envelope).finish()
    (tensor,) = outside.response(0, call).outputs
    assert tensor.elements() == [b"1:0"]


def test_a_request_of_many_rows_is_cut_into_batches() -> None:
    """More rows than the model takes at once come back in their order."""
    model = negation_model()
    values = floats(np.arange(27 * 4).reshape(27, 4))
    call = seal_request(SESSION, model, make_request(values))
    outside = Worker().serve(model).send(call.envelope).finish()
    assert read_values(outside.response(0, call)) == (-values).tolist()
