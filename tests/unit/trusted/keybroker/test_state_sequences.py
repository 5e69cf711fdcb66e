"""Whatever a key broker accepts, in any order: clients read it, and another process goes on."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealflow.attest.evidence import Role
from sealflow.documents.log import LogEntry, SignedEntry
from sealflow.owner import EntryKind, RevokedKind
from sealflow.owner.trust.session import ServiceSession
from tests.support.trusted.keybroker import (
    NOW_MS,
    OTHER_OWNER,
    KeyBrokerInstance,
    keybroker_deployment,
    make_identity,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Step = tuple[object, ...]
NAMES = st.sampled_from(["a", "b", "c"])
OWNERS = st.sampled_from([keybroker_deployment().owner, OTHER_OWNER])
TIMES = st.one_of(
    st.sampled_from([0, NOW_MS, 2**53 - 1]), st.integers(NOW_MS - 10**6, NOW_MS + 10**6)
)
STEPS = st.one_of(
    st.tuples(st.just("publish"), NAMES, OWNERS, TIMES),
    st.tuples(st.just("revoke"), st.sampled_from(RevokedKind), st.integers(0, 9)),
    st.tuples(st.just("enroll")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("tick"), st.sampled_from([1, 10**6, 10**7, 10**10, 10**13])),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)


def _revoke(broker: KeyBrokerInstance, kind: RevokedKind, number: int) -> None:
    directory = broker.directory
    texts = [SignedEntry.from_bytes(record).text for record in broker.records]
    entries = map(LogEntry.unverified_from_bytes, texts)
    grants = [entry.body for entry in entries if entry.kind is EntryKind.GRANT]
    workers = [str(body["instance"]) for body in grants] or [f"{number:032x}"]
    ids: dict[RevokedKind, list[str]] = {
        RevokedKind.WORKER: workers,
        RevokedKind.GRANT: workers,
        RevokedKind.MODEL: [model.digest for model in directory.models] or ["ab" * 32],
        RevokedKind.KEY: [str(key.kid) for key in directory.keys],
        RevokedKind.TOKEN: [f"{number:032x}"],
    }
    known = ids[kind]
    broker.revoke(kind, known[number % len(known)])


def _play(broker: KeyBrokerInstance, step: Step) -> KeyBrokerInstance:
    match step:
        case ("publish", str(name), owner, int(issued_ms)):
            broker.publish(name, owner=owner, issued_ms=issued_ms)  # type: ignore[arg-type]
        case ("revoke", RevokedKind() as kind, int(number)):
            _revoke(broker, kind, number)
        case ("enroll",):
            broker.enroll(make_identity(Role.WORKER))
        case ("restart",):
            return broker.successor(now_ms=broker.now_ms)
        case ("tick", int(by_ms)):
            broker.tick(by_ms)
        case ("bytes", bytes(junk)):
            broker.ask("publish", sealed=b64encode(junk).decode())
            broker.ask(junk.hex(), order=json.dumps(junk.hex()))
    return broker


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=12))
def test_what_was_accepted_is_read_by_clients_and_by_the_next_process(steps: list[Step]) -> None:
    """After each step a client of its own parser reads the directory; at the end all goes on."""
    broker = KeyBrokerInstance().lead()
    policy = keybroker_deployment().deployment.policy(Role.KEY_BROKER)
    clock: Callable[[], int] = lambda: NOW_MS  # noqa: E731 - evidence is judged by a fixed time
    for step in steps:
        broker = _play(broker, step)
        directory = broker.directory
        assert directory.keys
        if broker.now_ms == NOW_MS:
            session = ServiceSession(policy, clock_ms=clock)
            session.accept(session.verify_directory(broker.document))
    after = broker.successor(now_ms=broker.now_ms)
    assert after.directory.models == broker.directory.models
    assert after.directory.revoked == broker.directory.revoked
    assert after.directory.version == broker.directory.version + 1
