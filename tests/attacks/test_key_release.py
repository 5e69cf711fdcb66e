"""Attacks on the release of keys: rows 22 to 30, 150 of docs/threat-model.md. Real key brokers."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import BoundClaims, Role, report_data
from sealflow.documents.grant import open_grant
from sealflow.errors import OpenError, RefusalCode
from sealflow.owner import RevokedKind
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.keybroker.key_release import CHALLENGE_LIFE_MS
from sealflow.trusted.port import FatalError
from sealflow.wire.domain import TrustDomain
from sealflow.wire.frame_payloads import Fatal
from tests.support.attestation.deployments import simulated_deployment
from tests.support.trusted.lease_host import NOW_MS, LeaseHost, make_identity
from tests.support.trusted.worker import Worker, negation_model, seal_call

if TYPE_CHECKING:
    from sealflow.attest.evidence import Evidence
    from sealflow.documents.grant import Grant
    from sealflow.trusted.identity.identity import EnclaveIdentity


@pytest.fixture
def host() -> LeaseHost:
    """A key broker with one model, and a host that carries for it."""
    made = LeaseHost(simulated_deployment(NOW_MS))
    made.pack("first")
    return made


def ask(host: LeaseHost, **request: Any) -> dict[str, Any]:
    """Ask the key broker."""
    answer: dict[str, Any] = json.loads(host.broker.answer(json.dumps(request).encode()))
    return answer


def challenge(host: LeaseHost) -> tuple[str, str]:
    """A new challenge: id and nonce."""
    answer = ask(host, op="challenge")
    return answer["challenge"], answer["nonce"]


def enroll(host: LeaseHost, number: str, evidence: Evidence) -> dict[str, Any]:
    """Answer a challenge."""
    return ask(host, op="enroll", challenge=number, evidence=evidence.to_json())


def opened(
    host: LeaseHost, worker: EnclaveIdentity, answer: dict[str, Any], nonce: str, bound: bytes
) -> Grant:
    """Open a grant as a worker does."""
    return open_grant(
        b64decode(answer["grant"]),
        b64decode(answer["signature"]),
        private_key=worker.private_key,
        bound=bound,
        nonce=nonce,
        signer=host.broker_identity.signing.public_key().public_bytes_raw(),
    )


def granted(host: LeaseHost, worker: EnclaveIdentity) -> tuple[dict[str, Any], str, bytes]:
    """Enroll a worker; gives the answer, the nonce and the claims."""
    number, nonce = challenge(host)
    evidence = worker.evidence(nonce)
    answer = enroll(host, number, evidence)
    opened(host, worker, answer, nonce, evidence.bound)
    return answer, nonce, evidence.bound


def test_22_another_workers_grant(host: LeaseHost) -> None:
    """A grant does not open with another worker's key, though it is genuine too."""
    answer, nonce, bound = granted(host, make_identity(host.made, Role.WORKER))
    thief = make_identity(host.made, Role.WORKER)
    with pytest.raises(OpenError):
        opened(host, thief, answer, nonce, bound)


def test_23_replayed_grant(host: LeaseHost) -> None:
    """An old grant does not answer a new challenge, so that a lease cannot be stretched with it."""
    worker = make_identity(host.made, Role.WORKER)
    old, _, _ = granted(host, worker)
    _, nonce = challenge(host)
    with pytest.raises(OpenError):
        opened(host, worker, old, nonce, worker.evidence(nonce).bound)


def test_24_nonces(host: LeaseHost) -> None:
    """A challenge is good once, soon, for its own nonce, at the key broker that drew it."""
    worker = make_identity(host.made, Role.WORKER)
    number, nonce = challenge(host)
    evidence = worker.evidence(nonce)
    assert "grant" in enroll(host, number, evidence)
    assert enroll(host, number, evidence)["error"]["code"] == "unknown_challenge"
    other, _ = challenge(host)
    assert enroll(host, other, evidence)["error"]["code"] == "policy"
    assert enroll(host, "00" * 16, evidence)["error"]["code"] == "unknown_challenge"


def test_24_kept_back(host: LeaseHost) -> None:
    """Evidence that a host keeps back for two minutes is refused, and a second before is not."""
    worker = make_identity(host.made, Role.WORKER)
    for wait_ms, word in ((CHALLENGE_LIFE_MS - 1, "grant"), (CHALLENGE_LIFE_MS, "error")):
        number, nonce = challenge(host)
        evidence = worker.evidence(nonce)
        host.broker.advance(host.clock.advance(host.clock.now_ms + wait_ms))
        answer = enroll(host, number, evidence)
        assert word in answer
    assert answer["error"]["code"] == "unknown_challenge"
    number, nonce = challenge(host)
    host.broker.advance(host.clock.advance(host.clock.now_ms + CHALLENGE_LIFE_MS))
    joiner = make_identity(host.made, Role.KEY_BROKER).evidence(nonce).to_json()
    answer = ask(host, op="join", challenge=number, evidence=joiner)
    assert answer["error"]["code"] == "unknown_challenge"


def test_24_other_session(host: LeaseHost) -> None:
    """A challenge of another key broker, or of the one before a restart, is unknown here."""
    number, nonce = challenge(host)
    evidence = make_identity(host.made, Role.WORKER).evidence(nonce)
    host.restart_broker()
    assert enroll(host, number, evidence)["error"]["code"] == "unknown_challenge"
    number, _ = challenge(host)
    assert enroll(host, number, evidence)["error"]["code"] == "policy"


def test_25_relay(host: LeaseHost) -> None:
    """Who relays a genuine worker's evidence gets a grant that only that worker opens."""
    victim, relay = (
        make_identity(host.made, Role.WORKER),
        OpeningKey.generate(Suite.SIMULATED_XWING),
    )
    number, nonce = challenge(host)
    evidence = victim.evidence(nonce)
    answer = enroll(host, number, evidence)
    with pytest.raises(OpenError):
        relay.open(b64decode(answer["grant"]), b"")
    with pytest.raises(OpenError):
        opened(host, replace(victim, private_key=relay), answer, nonce, evidence.bound)


def test_26_swapped_key(host: LeaseHost) -> None:
    """The attacker's key in a genuine worker's claims parts them from the quote."""
    number, nonce = challenge(host)
    evidence = make_identity(host.made, Role.WORKER).evidence(nonce)
    mine = OpeningKey.generate(Suite.SIMULATED_XWING).public_key.public
    bound = replace(BoundClaims.from_bytes(evidence.bound), sealing_key=mine).to_bytes()
    answer = enroll(host, number, replace(evidence, bound=bound))
    assert answer["error"]["code"] == "evidence"
    assert "report_data" in answer["error"]["detail"]


def test_27_wrong_role(host: LeaseHost) -> None:
    """Content keys go to workers: a genuine key broker gets no worker's grant, nor the reverse."""
    number, nonce = challenge(host)
    broker = make_identity(host.made, Role.KEY_BROKER)
    assert enroll(host, number, broker.evidence(nonce))["error"]["code"] == "policy"
    number, nonce = challenge(host)
    evidence = make_identity(host.made, Role.WORKER).evidence(nonce).to_json()
    answer = ask(host, op="join", challenge=number, evidence=evidence)
    assert answer["error"]["code"] == "policy"


def test_28_stale_settings(host: LeaseHost) -> None:
    """A genuine worker that was measured with other settings of the deployment gets nothing."""
    other = replace(host.made, deployment=replace(host.made.deployment, lease_s=7200))
    number, nonce = challenge(host)
    answer = enroll(host, number, make_identity(other, Role.WORKER).evidence(nonce))
    assert answer["error"]["code"] == "policy"
    assert "manifest_digest" in answer["error"]["detail"]


def test_29_older_state(host: LeaseHost) -> None:
    """A worker that knew a newer state leaves a key broker that was started with an older one."""
    host.pack("second")

    def roll_back() -> None:
        host.restart_broker(host.states[0])
        host.tell()

    with pytest.raises(FatalError) as caught:
        host.run(roll_back)
    assert caught.value.code is Fatal.KEY_BROKER_ROLLED_BACK


def test_30_revoked_worker(host: LeaseHost) -> None:
    """A revoked worker is not granted again, and what it holds ends with its lease."""
    worker = make_identity(host.made, Role.WORKER)
    granted(host, worker)
    assert "error" not in host.revoke(RevokedKind.WORKER, worker.instance)
    number, nonce = challenge(host)
    answer = enroll(host, number, worker.evidence(nonce))
    assert (answer["error"]["code"], "revoked" in answer["error"]["detail"]) == ("evidence", True)
    serving = Worker().serve(negation_model(), lease_ms=20_000)
    serving.clock.advance(20_000)
    outside = serving.send(seal_call(negation_model()).envelope).finish()
    assert outside.refusal(0) is RefusalCode.UNAVAILABLE


def test_150_bytes_received(host: LeaseHost) -> None:
    """A secret is signed over the claims as they came, with what only another release knows."""
    worker = make_identity(host.made, Role.WORKER)
    number, nonce = challenge(host)
    plain = worker.evidence(nonce)
    claims = json.loads(plain.bound)
    for spelled in (
        json.dumps({**claims, "later": {"a": [1]}}, indent=1).encode(),
        json.dumps(dict(reversed(claims.items()))).encode(),
    ):
        number, nonce = challenge(host)
        bound = spelled.replace(claims["nonce"].encode(), nonce.encode())
        data = report_data(bound, Role.WORKER, TrustDomain.SIMULATED)
        evidence = replace(plain, bound=bound, quote=worker._quoter.quote(data))
        answer = enroll(host, number, evidence)
        assert opened(host, worker, answer, nonce, bound).log_id
        same = BoundClaims.from_bytes(bound).to_bytes()
        assert same != bound
        with pytest.raises(OpenError):
            opened(host, worker, answer, nonce, same)
