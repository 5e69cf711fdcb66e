"""Attacks by clients on a worker: what opens, but asks for what is not there or not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import InvalidInputError, ModelError, RefusalCode
from sealflow.openinfer.tensor import DataType
from sealflow.seal.content import ContentKind, content_parts, error_parts
from sealflow.seal.keys import Suite
from sealflow.trusted.worker.serving import runner
from sealflow.trusted.worker.serving.runner import run_batch
from sealflow.wire.ids import ModelRef
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, tensor_specs
from tests.support.trusted.jobs import make_rows_job, seal_request
from tests.support.trusted.worker import (
    DEADLINE_MS,
    SESSION,
    Worker,
    failing_model,
    floats,
    make_request,
    negation_model,
    seal_call,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY = tensor_specs(x=(DataType.FP32, [-1, -1])), tensor_specs(y=(DataType.FP32, [-1, -1]))


def test_models_that_are_not_served() -> None:
    """A model is served by its name, version and package, or not at all."""
    model = negation_model()
    parts = content_parts(ContentKind.INFER, b"{}")
    other = ModelRef(name="other", version=model.ref.version)
    for ref, digest in ((other, model.digest), (model.ref, "00" * 32)):
        call = SESSION.seal_request(ref, digest, parts, deadline_ms=DEADLINE_MS)
        outside = Worker().serve(model).send(call.envelope).finish()
        assert outside.refusal(0) is RefusalCode.UNKNOWN_MODEL


def test_a_suite_comes_before_a_model() -> None:
    """A request in another suite than its key's learns nothing about models."""
    parts = content_parts(ContentKind.INFER, b"{}")
    ref = ModelRef(name="other", version="1")
    call = SESSION.seal_request(ref, "00" * 32, parts, deadline_ms=DEADLINE_MS)
    data = bytearray(call.envelope)
    data[6:8] = int(Suite.X25519).to_bytes(2)
    outside = Worker().serve(negation_model()).send(bytes(data)).finish()
    assert outside.refusal(0) is RefusalCode.NOT_OPENED


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (content_parts(ContentKind.INFER, b"not json"), "not strict JSON"),
        (content_parts(ContentKind.INFER, b'{"inputs":[]}'), "has no inputs"),
        (error_parts("code", "text"), "content is ERROR, not INFER"),
    ],
)
def test_contents_that_are_no_requests(parts: Sequence[bytes | memoryview], message: str) -> None:
    """What opens and is no infer request is answered sealed."""
    model = negation_model()
    call = SESSION.seal_request(model.ref, model.digest, parts, deadline_ms=DEADLINE_MS)
    code, text = Worker().serve(model).send(call.envelope).finish().error(0, call)
    assert (code, message in text) == ("invalid_input", True), text


def test_inputs_that_do_not_fit() -> None:
    """A tensor that the model does not take, and one that it fails for, are answered sealed."""
    bent = seal_call(negation_model(), floats(np.ones((1, 5))))
    outside = Worker().serve(negation_model()).send(bent.envelope).finish()
    assert outside.error(0, bent)[0] == "invalid_input"
    fails = seal_request(SESSION, failing_model(), make_request([[77]]))
    outside = Worker().serve(failing_model()).send(fails.envelope).finish()
    assert outside.error(0, fails)[0] == "model_failed"


def test_replies_over_the_limit() -> None:
    """A reply that no host carries is an error instead, with advice."""
    wide = load_model(
        onnx_models.linear(np.ones((1, 5000), np.float32)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 5000])),
    )
    call = seal_request(SESSION, wide, make_request(floats([[1]])))
    outside = Worker(max_body_bytes=10_000).serve(wide).send(call.envelope).finish()
    code, text = outside.error(0, call)
    assert (code, "over the limit of 10000" in text) == ("invalid_input", True)


def test_rows_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that mixes rows answers nobody, and slices end before they fill the memory."""
    inputs, outputs = ANY
    mixing = load_model(onnx_models.doubled(0), inputs=inputs, outputs=outputs, max_batch=8)
    with pytest.raises(ModelError, match="for a batch of 3 rows"):
        run_batch([make_rows_job(mixing, 1), make_rows_job(mixing, 2)], ["y"])
    plain = load_model(onnx_models.elementwise("Neg"), inputs=inputs, outputs=outputs, max_batch=2)
    run_batch([make_rows_job(plain, 3)], ["y"])
    monkeypatch.setattr(runner, "MAX_OUTPUT_BYTES", 15)
    run_batch([make_rows_job(plain, 2)], ["y"])
    with pytest.raises(InvalidInputError, match="over 15 bytes"):
        run_batch([make_rows_job(plain, 3)], ["y"])
