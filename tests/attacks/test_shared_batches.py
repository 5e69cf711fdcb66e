"""Rows of other clients in a batch: row 81 of docs/threat-model.md."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.errors import ConfigError, MalformedError
from sealflow.openinfer.messages import SHARE_BATCH
from sealflow.owner.trust.session import ServiceSession
from sealflow.package.manifest import ModelManifest
from sealflow.seal.exchange import Session, session_info
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, make_loader, onnx_manifest
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.keybroker import keybroker_deployment
from tests.support.trusted.worker import KEY, Worker, floats, make_request, read_values

if TYPE_CHECKING:
    from sealflow.openinfer.messages import InferResponse
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.worker.models.loader import ServedModel

SECRET, OWN = floats([[1_000_123, 1_000_456, 7, 8]]), floats([[1, 2, 3, 4]])


@cache
def rolling(*, declared: bool = False, allowed: bool = False) -> ServedModel:
    """A model that gives each row the row before it, whatever its manifest declares."""
    loading = make_loader(share_batch=allowed)
    return load_model(onnx_models.rolled(), loading=loading, rows_independent=declared)


def ask(session: Session, model: ServedModel, values: Any, *, shares: bool = False) -> OutgoingCall:
    """Seal a request, which says whether it shares batches."""
    request = make_request(values)
    if shares:
        request = replace(request, parameters={SHARE_BATCH: True})
    return seal_request(session, model, request)


def serve(model: ServedModel, *calls: OutgoingCall) -> list[InferResponse]:
    """Have a worker open all of them before its model runs."""
    outside = Worker().serve(model).send(*(call.envelope for call in calls)).finish()
    return [outside.response(slot, call) for slot, call in enumerate(calls)]


def start() -> Session:
    """A session of another client."""
    return Session.start(KEY.public_key)


def test_81_policy() -> None:
    """A client shares batches only where its policy says so."""
    policy = keybroker_deployment().deployment.policy(Role.KEY_BROKER)
    with pytest.raises(ConfigError, match="the policy keeps batches apart"):
        ServiceSession(policy).require_share_batch()
    ServiceSession(replace(policy, share_batch=True)).require_share_batch()


def test_81_rows_of_others() -> None:
    """A model that mixes the rows of a batch has only rows of one session to mix."""
    model, first, second = rolling(), start(), start()
    calls = [ask(first, model, SECRET), ask(second, model, OWN), ask(second, model, -OWN)]
    answers = [read_values(each) for each in serve(model, *calls)]
    assert answers == [SECRET.tolist(), (-OWN).tolist(), OWN.tolist()]


def test_81_copied_session_id() -> None:
    """Whoever sends another's session id, with a key blob of its own, meets none of its rows."""
    model, first, own = rolling(), start(), start()
    info = session_info(KEY.suite.domain, KEY.public_key.key_id, first.session_id)
    blob = KEY.public_key.seal(own._secret, info)
    second = replace(own, session_id=first.session_id, key_blob=blob)
    answers = serve(model, ask(first, model, SECRET), ask(second, model, OWN))
    assert [read_values(each) for each in answers] == [SECRET.tolist(), OWN.tolist()]


def test_81_two_sessions_of_one_client() -> None:
    """Sessions are what a worker can tell apart, so two of one client are apart as well."""
    model, sessions = rolling(), (start(), start())
    answers = serve(model, *(ask(each, model, floats(OWN * n)) for n, each in enumerate(sessions)))
    assert [read_values(each) for each in answers] == [(OWN * n).tolist() for n in range(2)]


def test_81_range_of_others() -> None:
    """A dynamically quantized model, which is honest, answers the same beside any other client."""
    model = load_model(onnx_models.quantized())
    [alone] = serve(model, ask(start(), model, OWN))
    beside, _ = serve(model, ask(start(), model, OWN), ask(start(), model, OWN * 10_000))
    assert read_values(beside) == read_values(alone)


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("shares", [(False, False), (True, False), (False, True), (True, True)])
def test_81_all_agree(*, declared: bool, allowed: bool, shares: tuple[bool, bool]) -> None:
    """Rows meet only where both clients, the model's owner and the deployment's settings say so."""
    model = rolling(declared=declared, allowed=allowed)
    first, second = (
        ask(start(), model, values, shares=each)
        for values, each in zip((SECRET, OWN), shares, strict=True)
    )
    answers = [read_values(each) for each in serve(model, first, second)]
    met = declared and allowed and all(shares)
    assert (answers == [OWN.tolist(), SECRET.tolist()]) is met
    assert (answers == [SECRET.tolist(), OWN.tolist()]) is not met


def test_81_those_who_do_not_agree() -> None:
    """Beside clients that share, one that does not has a batch of its own."""
    model = rolling(declared=True, allowed=True)
    values = [floats(OWN * n) for n in range(3)]
    calls = [ask(start(), model, each, shares=n != 1) for n, each in enumerate(values)]
    answers = [read_values(each) for each in serve(model, *calls)]
    assert answers == [values[2].tolist(), values[1].tolist(), values[0].tolist()]


@pytest.mark.parametrize("value", ["true", 1, None])
def test_81_other_declarations(value: Any) -> None:
    """A manifest whose promise is anything but true or false declares nothing."""
    table = {**onnx_manifest().to_json(), "rows_independent": value}
    with pytest.raises(MalformedError, match="rows_independent"):
        ModelManifest.from_json(table)


@pytest.mark.parametrize("value", ["true", 1, 0.0])
def test_81_other_values(value: Any) -> None:
    """Whoever asks to share with anything but true or false is told so, and shares nothing."""
    model = rolling(declared=True, allowed=True)
    request = make_request(OWN)
    object.__setattr__(request, "parameters", {SHARE_BATCH: value})
    call = seal_request(start(), model, request)
    outside = Worker().serve(model).send(call.envelope).finish()
    code, message = outside.error(0, call)
    assert code == "invalid_input"
    assert "share_batch is not a boolean" in message
