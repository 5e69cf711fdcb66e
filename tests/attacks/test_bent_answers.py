"""Attacks on requests to a key broker and its answers: one field has another form."""

from __future__ import annotations

from typing import Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.errors import MalformedError
from sealflow.trusted.worker.lease.enrollment import Enrollment
from tests.support.attestation.deployments import simulated_deployment
from tests.support.trusted.keybroker import KeyBrokerInstance
from tests.support.trusted.lease_host import NOW_MS, LeaseHost, make_identity

BENT = {"": 0}
"""A value of no field's form."""

EVIDENCE = {"tee": "simulated", "quote": "AA==", "bound": "AA==", "collateral": "AA=="}


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "evidence", "nonce": "00" * 32},
        {"op": "enroll", "challenge": "c", "evidence": EVIDENCE},
        {"op": "join", "challenge": "c", "evidence": EVIDENCE},
        {"op": "publish", "sealed": "AA=="},
        {"op": "revoke", "order": "AA==", "signature": "AA=="},
    ],
    ids=lambda value: value["op"],
)
def test_requests(request_: dict[str, Any]) -> None:
    """A key broker names a request malformed of which a field is."""
    broker = KeyBrokerInstance().lead()
    if "challenge" in request_:
        # It is looked at first.
        request_ = request_ | {"challenge": broker.ask("challenge")["challenge"]}
    for name in request_.keys() - {"op"}:
        answer = broker.ask(**request_ | {name: BENT})
        assert answer["error"]["code"] == "malformed", name
    assert broker.ask(**request_, surplus=1)["error"]["code"] == "malformed"


def test_requests_to_a_standby() -> None:
    """So does a standby."""
    first, other = KeyBrokerInstance().lead(), KeyBrokerInstance(platform_key=b"\1" * 32)
    assert other.ask_standby("show", nonce=BENT)["error"]["code"] == "malformed"
    for name in ("grant", "signature", "evidence"):
        challenge = first.ask("challenge")
        shown = other.ask_standby("show", nonce=challenge["nonce"])
        good = first.ask("join", challenge=challenge["challenge"], evidence=shown["evidence"])
        answer = other.ask_standby("adopt", **good | {name: BENT})
        assert answer["error"]["code"] == "malformed", name


def test_answers_to_a_worker() -> None:
    """A worker reads each field of a key broker's answers as strictly."""
    host = LeaseHost(simulated_deployment(NOW_MS))
    worker = Enrollment(make_identity(host.made, Role.WORKER), host.messages)
    keybroker = worker.verify_key_broker(NOW_MS)
    for name in ("challenge", "nonce", "grant", "signature"):
        host.damage = lambda value, name=name: value.update({name: BENT} if name in value else {})
        with pytest.raises(MalformedError):
            worker.enroll(keybroker)
    host.damage = None
    worker.enroll(keybroker)
