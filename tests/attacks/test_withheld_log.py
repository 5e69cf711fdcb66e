"""Hosts that withhold the log, or take revocations back: rows 115, 155 of docs/threat-model.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import EvidenceError, SealflowError, UnavailableError
from sealflow.owner.http.steps import HttpResponse
from sealflow.owner.trust.directory_refresh import ensure_verified, refresh, verify_fresh
from sealflow.owner.trust.session import ServiceSession
from sealflow.wire.strict_json import canonical_json
from tests.support.trusted.keybroker import NOW_MS, KeyBrokerInstance, keybroker_deployment
from tests.support.trusted.played_gateway import host, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealflow.owner.http.steps import HttpRequest

    Log = Callable[[int], HttpResponse]

POLICY = keybroker_deployment().deployment.policy(Role.KEY_BROKER)
WITHHELD: dict[str, Log] = {
    "503": lambda _: HttpResponse(status=503, headers={}, body=b'{"error": "no log"}'),
    "404": lambda _: HttpResponse(status=404, headers={}, body=b""),
    "empty": lambda _: HttpResponse(status=200, headers={}, body=b""),
}


def branches() -> tuple[KeyBrokerInstance, KeyBrokerInstance]:
    """Two instances of one state: the first revoked the model, the second serves it still."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    other = first.successor()
    first.revoke(RevokedKind.MODEL, first.directory.models[0].digest)
    for number in range(3):
        other.publish(f"n{number}")
    assert other.directory.version > first.directory.version + 1
    return first, other


def client() -> ServiceSession:
    """A client that remembers the newest directory."""
    return ServiceSession(POLICY, clock_ms=lambda: NOW_MS)


@pytest.mark.parametrize("how", [*WITHHELD, "too few"])
def test_115_withheld(how: str) -> None:
    """A branch whose log is withheld is not taken; the pinned directory stays while it is valid."""
    first, other = branches()

    def few(start: int) -> HttpResponse:
        records = other.records[start:-2] if start <= len(first.records) else []
        return HttpResponse(status=200, headers={}, body=b"\n".join(records))

    session = client()
    run(refresh(session), host(first))
    seen = session.verified
    with pytest.raises(SealflowError) as caught:
        run(refresh(session), host(other, WITHHELD.get(how, few)))
    assert isinstance(caught.value, UnavailableError | EvidenceError)
    assert session.verified is seen
    run(ensure_verified(session), host(other, WITHHELD.get(how, few)))
    with pytest.raises(EvidenceError) as fork:
        run(refresh(session), host(other))
    assert fork.value.code == "directory_fork"


def test_115_genuine_but_withheld() -> None:
    """Without the log, a later genuine directory waits too, unless somebody accepts the gap."""
    broker = KeyBrokerInstance().lead()
    session = client()
    run(refresh(session), host(broker))
    for number in range(3):
        broker.publish(f"m{number}")
    with pytest.raises(UnavailableError) as caught:
        run(refresh(session), host(broker, WITHHELD["empty"]))
    assert (caught.value.code, caught.value.retry_after_s) == ("directory_unlinked", 30.0)
    session.accept_gap = True
    assert run(refresh(session), host(broker, WITHHELD["503"])).directory == broker.directory
    session.accept_gap = False
    broker.publish("m3")
    broker.publish("m4")
    assert run(refresh(session), host(broker)).directory == broker.directory


def test_115_revoked_no_more() -> None:
    """No flag accepts a directory that takes a revocation back."""
    first, other = branches()
    session = client()
    session.accept_gap = True
    run(refresh(session), host(first))
    with pytest.raises(EvidenceError) as caught:
        run(refresh(session), host(other, WITHHELD["empty"]))
    assert caught.value.code == "directory_revocation"


def test_116_fresh_evidence() -> None:
    """A client's own nonce must be in the evidence, and the same enclave must have signed."""
    broker = KeyBrokerInstance().lead()
    session = client()
    assert run(verify_fresh(session), host(broker)).fresh
    assert not run(refresh(session), host(broker)).fresh
    kept = host(broker)
    old = broker.ask("evidence", nonce="ab" * 32)

    def replay(request: HttpRequest) -> HttpResponse:
        if request.path != "/v1/control":
            return kept(request)
        return HttpResponse(status=200, headers={}, body=canonical_json(old))

    with pytest.raises(SealflowError, match="nonce"):
        run(verify_fresh(session), replay)
    old = broker.ask("other")
    with pytest.raises(UnavailableError, match="did not answer"):
        run(verify_fresh(session), replay)
    after = broker.successor()

    def another(request: HttpRequest) -> HttpResponse:
        return host(after if request.path == "/v1/control" else broker)(request)

    with pytest.raises(UnavailableError, match="leads now"):
        run(verify_fresh(session), another)


def test_155_shared_pin(tmp_path: Path) -> None:
    """A fork is not taken though its log was followed before another process pinned the rest."""
    path = tmp_path / "client.pin"
    forked, honest = (ServiceSession(POLICY, pin=path, clock_ms=lambda: NOW_MS) for _ in range(2))
    before = KeyBrokerInstance().lead()
    before.publish("m")
    fork = before.successor()
    forked.accept(forked.verify_directory(before.document))
    before.publish("m1")
    for number in range(3):
        fork.publish(f"n{number}")
    candidate = forked.verify_directory(fork.document)
    gap = candidate.gap
    assert gap is not None
    honest.accept(honest.verify_directory(before.document))
    with pytest.raises(EvidenceError, match="another process has pinned") as caught:
        forked.accept(candidate, fork.records[gap.after + 1 : gap.until + 1])
    assert caught.value.code == "directory_rollback"
    again = forked.verify_directory(fork.document)
    assert again.gap is not None
    with pytest.raises(EvidenceError) as caught:
        forked.accept(again, fork.records[again.gap.after + 1 : again.gap.until + 1])
    assert caught.value.code == "directory_fork"
