"""From envelope to reply: whoever asks rightly has the answer, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealflow.errors import OpenError, RefusalCode
from sealflow.openinfer.messages import InferRequest, RequestedOutput, TopClass
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.seal.exchange import OutgoingCall, Session
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, Envelope
from sealflow.wire.frames import FrameKind, decode_batch
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    load_model,
    make_loader,
    pack_model,
    read_example,
    tensor_specs,
)
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.worker import (
    DEADLINE_MS,
    INSTANCE,
    KEY,
    NOW_MS,
    SESSION,
    Worker,
    failing_model,
    floats,
    make_request,
    negation_model,
    open_sized_model,
    read_values,
    seal_call,
)

if TYPE_CHECKING:
    from sealflow.trusted.worker.models.loader import ServedModel


def test_a_good_request_is_answered() -> None:
    """The reply opens with the call and names the request, the model and the worker."""
    model = negation_model()
    call = seal_request(SESSION, model, make_request(floats([[1, -2, 0, 4]]), id_="mine"))
    outside = Worker().serve(model).send(call.envelope).finish()
    reply = Envelope.from_bytes(outside.replies[0], max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    response = outside.response(0, call)
    assert (response.model_name, response.model_version, response.id) == ("negation", "1", "mine")
    assert read_values(response) == [[-1, 2, 0, -4]]
    header = reply.header
    assert header.request_id == call.request_id
    assert (header.instance, header.simulated) == (INSTANCE, True)  # type: ignore[union-attr]
    assert outside.frames[0][0] is FrameKind.REPLIES
    assert decode_batch(memoryview(outside.frames[0][1]))[0] == NOW_MS


def test_a_reply_opens_for_its_own_call_only() -> None:
    """Swapped by a host, two replies open for nobody."""
    model = negation_model()
    calls = [seal_call(model), seal_call(model)]
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    for slot, call in enumerate(reversed(calls)):
        with pytest.raises(OpenError):
            outside.response(slot, call)
    for slot, call in enumerate(calls):
        assert read_values(outside.response(slot, call)) == [[-1, -2, -3, -4]]


def test_post_quantum_requests_are_answered() -> None:
    """The suite is the key's affair."""
    model, key = negation_model(), OpeningKey.generate(Suite.SIMULATED_XWING)
    call = seal_request(Session.start(key.public_key), model, make_request(floats([[1, 1, 1, 1]])))
    outside = Worker().serve(model, keys=(KEY, key)).send(call.envelope).finish()
    assert read_values(outside.response(0, call)) == [[-1, -1, -1, -1]]


def test_requests_of_one_session_share_a_batch() -> None:
    """Requests of several sizes run together, and each is given the rows that it sent."""
    model, calls = negation_model(), {}
    for number in range(12):
        values = floats(np.full((1 + number % 3, 4), number))
        calls[number] = (seal_request(SESSION, model, make_request(values)), (-values).tolist())
    outside = Worker().serve(model).send(*(call.envelope for call, _ in calls.values())).finish()
    assert len(outside.frames) < 12
    for slot, (call, expected) in calls.items():
        assert read_values(outside.response(slot, call)) == expected


def test_several_models_are_served_beside_each_other() -> None:
    """A request is answered by the model and version that it names."""
    first, second = negation_model(), negation_model("negation", version="2")
    third = open_sized_model("Abs")
    calls = [seal_call(model, [[-1, 2, -3, 4]]) for model in (first, second, third, first)]
    worker = Worker().serve(first, second, third)
    outside = worker.send(*(call.envelope for call in calls)).finish()
    answers = [outside.response(slot, call) for slot, call in enumerate(calls)]
    assert [answer.model_version for answer in answers] == ["1", "2", "1", "1"]
    assert [read_values(answer) for answer in answers] == [
        [[1, -2, 3, -4]],
        [[1, -2, 3, -4]],
        [[1, 2, 3, 4]],
        [[1, -2, 3, -4]],
    ]


def test_only_the_outputs_asked_for_come_back() -> None:
    """Requests that ask for different things still run together."""
    outputs = tensor_specs(sum=(DataType.FP32, [-1, 4]), difference=(DataType.FP32, [-1, 4]))
    model = load_model(
        onnx_models.sum_and_difference(),
        inputs=tensor_specs(a=(DataType.FP32, [-1, 4]), b=(DataType.FP32, [-1, 4])),
        outputs=outputs,
    )
    inputs = tuple(from_numpy(name, np.ones((1, 4), np.float32)) for name in ("a", "b"))
    wanted: list[tuple[str, ...]] = [("sum",), ("difference",), ("difference", "sum")]
    for asked in (wanted, [*wanted, ()]):
        requests = [
            InferRequest(inputs=inputs, outputs=tuple(RequestedOutput(name=each) for each in names))
            for names in asked
        ]
        calls = [seal_request(SESSION, model, request) for request in requests]
        outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
        found = [
            tuple(tensor.name for tensor in outside.response(slot, call).outputs)
            for slot, call in enumerate(calls)
        ]
        assert found == [names or ("sum", "difference") for names in asked]
        assert len(outside.frames) == 1


def test_top_classes_are_given_with_labels() -> None:
    """The example answers with the names of its classes."""
    model = pack_model(*read_example("tiny")).load(make_loader(max_batch=2))
    asked = RequestedOutput(name="probabilities", parameters={"classification": 2})
    tensor = from_numpy("x", floats([[1, 0, 0, 0], [0, 0, 0, 3]]))
    call = seal_request(SESSION, model, InferRequest(inputs=(tensor,), outputs=(asked,)))
    whole = seal_request(SESSION, model, InferRequest(inputs=(tensor,)))
    outside = Worker().serve(model).send(call.envelope, whole.envelope).finish()
    (found,) = outside.response(0, call).outputs
    (scores,) = outside.response(1, whole).outputs
    assert (found.datatype, found.shape) == (DataType.BYTES, (2, 2))
    best = [TopClass.from_bytes(element) for element in found.elements()]
    expected = to_numpy(scores)
    for row in (0, 1):
        order = np.argsort(-expected[row])[:2]
        assert [each.index for each in best[2 * row : 2 * row + 2]] == order.tolist()
        assert best[2 * row].score == pytest.approx(float(expected[row].max()))
        assert best[2 * row].label == "abc"[order[0]]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_full_hand_over_only_slows_down(threads: int) -> None:
    """With room for one job, one thread or two still get through everything."""
    model = negation_model()
    calls = [seal_call(model, [[number] * 4]) for number in range(20)]
    worker = Worker(max_jobs=1).serve(model)
    outside = worker.send(*(call.envelope for call in calls)).finish(threads=threads)
    for slot, call in enumerate(calls):
        assert read_values(outside.response(slot, call)) == [[-slot] * 4]


REFUSALS = {
    "copy": RefusalCode.REPLAYED,
    "forged": RefusalCode.NOT_OPENED,
    "cut": RefusalCode.MALFORMED,
    "expired": RefusalCode.EXPIRED,
    "unknown": RefusalCode.UNKNOWN_MODEL,
}
ACTIONS = ("good", "bad index", "bad name", "copy", "forged", "cut", "expired", "unknown")


Expected = tuple[str, int, OutgoingCall]


def _made(model: ServedModel, action: str, index: int) -> list[tuple[bytes, Expected]]:
    """Envelopes, and what each of them deserves."""
    value = 99 if action == "bad index" else index
    name = "z" if action == "bad name" else "x"
    request = InferRequest(inputs=(from_numpy(name, np.array([[value]])),))
    deadline_ms = NOW_MS - 1 if action == "expired" else DEADLINE_MS
    call = seal_request(SESSION, model, request, deadline_ms=deadline_ms)
    data = call.envelope
    if action == "copy":
        return [(data, ("good", index, call)), (data, (action, index, call))]
    if action == "forged":
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif action == "cut":
        data = data[:-1]
    elif action == "unknown":
        data = data.replace(model.digest.encode(), b"0" * 64)
    return [(data, (action, index, call))]


FRAMES = st.lists(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=6))


@settings(max_examples=40, deadline=None)
@given(FRAMES, st.sampled_from([1, 2]))
def test_every_slot_is_answered_once_as_it_deserves(
    frames: list[list[tuple[str, int]]], threads: int
) -> None:
    """Whatever comes in whatever frames, each slot has its own answer and no other."""
    model = failing_model()
    worker = Worker(max_jobs=3).serve(model)
    expected: list[Expected] = []
    for frame in frames:
        made = [each for action, index in frame for each in _made(model, action, index)]
        worker.send(*(data for data, _ in made))
        expected.extend(each for _, each in made)
    outside = worker.finish(threads=threads)
    for slot, (action, index, call) in enumerate(expected):
        if action == "good":
            assert read_values(outside.response(slot, call)) == [[10.0 * (index + 1)]]
        elif action == "bad index":
            assert outside.error(slot, call)[0] == "model_failed"
        elif action == "bad name":
            assert outside.error(slot, call)[0] == "invalid_input"
        else:
            assert outside.refusal(slot) is REFUSALS[action]


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_to_do_ends_all_threads(threads: int) -> None:
    """A worker that never served closes like any other."""
    assert Worker().finish(threads=threads).frames == []


def test_one_thread_runs_a_batch_as_soon_as_it_is_full() -> None:
    """With one thread, what came later waits for a full batch, not the other way round."""
    model = negation_model(max_batch=2)
    calls = [seal_call(model) for _ in range(5)]
    worker = Worker().serve(model)
    for call in calls:
        worker.send(call.envelope)
    outside = worker.finish(threads=1)
    assert [len(decode_batch(memoryview(payload))[1]) for _, payload in outside.frames] == [2, 2, 1]
