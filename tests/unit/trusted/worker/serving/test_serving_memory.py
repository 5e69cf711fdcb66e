"""Requests that want more memory than there is: refused alone, sealed, and the worker goes on."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from sealflow.errors import InvalidInputError, RefusalCode
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.package.preprocessing import ImagePreprocessing
from sealflow.trusted.worker.serving.runner import MAX_OUTPUT_BYTES, NO_MEMORY, run_batch
from sealflow.wire.frame_payloads import RuntimeName
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, make_loader, tensor_specs
from tests.support.trusted.jobs import make_job, make_rows_job, seal_request
from tests.support.trusted.worker import (
    SESSION,
    Worker,
    make_request,
    negation_model,
    open_sized_model,
    read_values,
    seal_call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.worker.models.loader import ServedModel

MIB = 2**20


def _data_bytes() -> int:
    found = Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]
    return int(found) * 1024


@contextmanager
def _room(more_bytes: int) -> Iterator[None]:
    """Let this process claim so much more memory than it has now."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _expanding(runtime: RuntimeName) -> ServedModel:
    """Gives each row as often as `n` says, in the largest of the batch."""
    return load_model(
        onnx_models.expanding(),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 1]), n=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, -1])),
        max_batch=8,
    )


def _request(times: int) -> InferRequest:
    given = {"x": np.full((1, 1), 7, np.float32), "n": np.full((1, 1), times)}
    return InferRequest(inputs=tuple(from_numpy(name, array) for name, array in given.items()))


def _call(model: ServedModel, times: int) -> OutgoingCall:
    return seal_request(SESSION, model, _request(times))


@pytest.mark.parametrize("runtime", RuntimeName)
@pytest.mark.parametrize("times", [2 * 10**8, 2 * 10**9])
def test_a_request_that_expands_fails_alone(runtime: RuntimeName, times: int) -> None:
    """Those in one batch with it are answered, and nothing that it claimed is missing later."""
    model = _expanding(runtime)
    calls = [_call(model, times) for times in (2, times, 3)]
    with _room(512 * MIB):
        worker = Worker().serve(model).send(*(call.envelope for call in calls))
        outside = worker.finish()
    code, message = outside.error(1, calls[1])
    assert (code, "memory" in message or "bad_alloc" in message) == ("model_failed", True), message
    assert read_values(outside.response(0, calls[0])) == [[7, 7]]
    assert read_values(outside.response(2, calls[2])) == [[7, 7, 7]]


@pytest.mark.parametrize("runtime", RuntimeName)
def test_nothing_is_kept_of_a_large_run(runtime: RuntimeName) -> None:
    """A request that just fitted leaves its memory to others, whatever they need it for."""
    model = _expanding(runtime)
    before = _data_bytes()
    # OpenVINO has two buffers for outputs.
    for times in (50_000_000, 1, 1):
        ((found,),) = run_batch([make_job(model, _request(times))[0]], ["y"])
        assert found.shape == (1, times)
        del found
    assert _data_bytes() - before < 64 * MIB


def test_slices_stop_when_their_outputs_are_too_large() -> None:
    """Each slice is small; together they would take 1 GiB, for a reply that nobody could send."""
    model = load_model(
        onnx_models.linear(np.ones((1, 2**16), np.float32)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 2**16])),
        max_batch=8,
    )
    with pytest.raises(InvalidInputError, match=f"over {MAX_OUTPUT_BYTES} bytes"):
        run_batch([make_rows_job(model, 4096, width=1)], ["y"])
    expanding = _expanding(RuntimeName.ONNX)
    many = InferRequest(
        inputs=(
            from_numpy("x", np.ones((4096, 1), np.float32)),
            from_numpy("n", np.full((4096, 1), 2**16)),
        )
    )
    with _room(512 * MIB), pytest.raises(InvalidInputError, match="ask for fewer rows"):
        run_batch([make_job(expanding, many)[0]], ["y"])
    ((found,),) = run_batch([make_rows_job(model, 256, width=1)], ["y"])
    assert found.shape == (256, 2**16)


def test_a_reply_that_cannot_be_sealed() -> None:
    """The model had memory enough, and the reply has not: its error is sealed in its place."""
    model = _expanding(RuntimeName.ONNX)
    calls = [_call(model, 25_000_000), _call(model, 2)]
    with _room(150 * MIB):
        worker = Worker(max_body_bytes=120 * MIB).serve(model)
        outside = worker.send(*(call.envelope for call in calls)).finish()
    assert outside.error(0, calls[0]) == ("model_failed", NO_MEMORY)
    assert read_values(outside.response(1, calls[1])) == [[7, 7]]


def test_inputs_that_cannot_be_prepared() -> None:
    """A small image that becomes a large tensor is refused, sealed."""
    side = 4096
    model = load_model(
        onnx_models.identity(onnx_models.FLOAT, sizes=(None, 3, side, side)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 3, side, side])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 3, side, side])),
        image=ImagePreprocessing(input="x", width=side, height=side),
        max_batch=1,
    )
    image = cv2.imencode(".png", np.full((2, 2, 3), 7, np.uint8))[1].tobytes()
    call = seal_request(SESSION, model, InferRequest(inputs=(Tensor.from_elements("x", [image]),)))
    good = seal_call(negation_model())
    with _room(100 * MIB):
        worker = Worker().serve(model, negation_model()).send(call.envelope, good.envelope)
        outside = worker.finish()
    assert outside.error(0, call) == ("model_failed", NO_MEMORY)
    assert read_values(outside.response(1, good)) == [[-1, -2, -3, -4]]


def test_a_request_that_cannot_be_opened_now() -> None:
    """Nothing of it was read, so it is refused in clear and may be sent again."""
    model = open_sized_model("Abs")
    large = seal_request(SESSION, model, make_request(np.ones((1, 16 * MIB), np.float32)))
    good = seal_call(negation_model())
    with _room(32 * MIB):
        worker = Worker(max_body_bytes=96 * MIB).serve(model, negation_model())
        outside = worker.send(large.envelope, good.envelope).finish()
    assert outside.refusal(0) is RefusalCode.OVERLOADED
    assert read_values(outside.response(1, good)) == [[-1, -2, -3, -4]]


def test_many_small_elements_take_little_more_than_their_bytes() -> None:
    """A million empty texts are 4 MiB sealed, and no hundreds of MiB of views."""
    tensor = Tensor.from_elements("x", [b""] * MIB)
    with _room(64 * MIB):
        assert to_numpy(tensor).shape == (MIB,)
