"""A host that forks or withholds the log from clients that ask for proofs: rows 139 to 141."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.log_tree import LogTree, TreeHead
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import EvidenceError, MalformedError, UnavailableError
from sealflow.owner.http.steps import HttpRequest, HttpResponse
from sealflow.owner.trust.directory_refresh import refresh
from sealflow.owner.trust.log_proof import verify_consistency
from sealflow.owner.trust.pin import PinnedDirectory
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.verifier.merkle import merkle_root
from tests.support.trusted.keybroker import NOW_MS, KeyBrokerInstance, keybroker_deployment
from tests.support.trusted.log_proofs import consistency_path, leaves_of, with_proof

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = keybroker_deployment().deployment.policy(Role.KEY_BROKER)


def play(session: ServiceSession, document: Callable[[int | None], bytes]) -> Any:
    """Refresh a client by a gateway that withholds the log; `document` gets the size asked for."""
    steps, given = refresh(session), None
    while True:
        try:
            event = steps.send(given)
        except StopIteration as end:
            return end.value
        given = answer(event, document) if isinstance(event, HttpRequest) else None


def answer(request: HttpRequest, document: Callable[[int | None], bytes]) -> HttpResponse:
    """What the gateway says."""
    path, _, query = request.path.partition("?log_size=")
    if path != "/v1/directory":
        return HttpResponse(status=200, headers={}, body=b"")
    return HttpResponse(status=200, headers={}, body=document(int(query) if query else None))


def proving(broker: KeyBrokerInstance, bend: Any = list) -> Callable[[int | None], bytes]:
    """What a gateway answers with the proof that is asked for, as `bend` leaves it."""

    def document(size: int | None) -> bytes:
        if size is None:
            return broker.document
        path = consistency_path(leaves_of(broker.records), size)
        return with_proof(broker.document, size, bend(path))

    return document


def client(pin: Path | None = None) -> ServiceSession:
    """A client."""
    return ServiceSession(POLICY, pin=pin, clock_ms=lambda: NOW_MS)


def branches() -> tuple[KeyBrokerInstance, KeyBrokerInstance]:
    """Two instances of one state: the first revoked the model, the second serves it still."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    other = first.successor()
    first.revoke(RevokedKind.MODEL, first.directory.models[0].digest)
    for number in range(3):
        other.publish(f"n{number}")
    return first, other


def far() -> tuple[ServiceSession, KeyBrokerInstance]:
    """A client that saw an early directory, and the instance, which is 12 versions ahead."""
    broker = KeyBrokerInstance().lead()
    session = client()
    play(session, proving(broker))
    for number in range(12):
        broker.publish(f"m{number}")
    return session, broker


def test_139_fork() -> None:
    """A branch from the same state has no proof: not its own, and none of another log."""
    first, other = branches()
    session = client()
    play(session, proving(first))
    seen = session.verified
    for log in (other, first):

        def document(size: int | None, log: KeyBrokerInstance = log) -> bytes:
            leaves = leaves_of(log.records)
            path = consistency_path(leaves, min(size or 1, len(leaves) - 1))
            return with_proof(other.document, size or 1, path)

        with pytest.raises(EvidenceError) as caught:
            play(session, document)
        assert caught.value.code == "directory_fork"
    with pytest.raises(UnavailableError) as withheld:
        play(session, lambda _: other.document)
    assert withheld.value.code == "directory_unlinked"
    assert session.verified is seen


def test_139_unlogged_directory() -> None:
    """A directory that another instance of the same state never logged is not continued."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    first.ask("challenge")
    state = first.states[-1]
    life_ms = 1000 * keybroker_deployment().deployment.directory_s
    first.tick(life_ms // 2)
    session = ServiceSession(POLICY, clock_ms=lambda: first.now_ms)
    play(session, proving(first))
    other = KeyBrokerInstance(
        keys=list(first.keys), records=first.records[: state_number(state) + 1], now_ms=first.now_ms
    ).lead(state)
    for number in range(3):
        other.publish(f"n{number}")
    with pytest.raises(EvidenceError) as caught:
        play(session, proving(other))
    assert caught.value.code == "directory_fork"


def state_number(state: bytes) -> int:
    """The number of the newest log entry of a sealed state."""
    return int.from_bytes(state[36:44])


BENT: dict[str, Any] = {
    "none": lambda _: [],
    "first missing": lambda path: path[1:],
    "last missing": lambda path: path[:-1],
    "one more": lambda path: [*path, bytes(32)],
    "one twice": lambda path: [path[0], *path],
    "order": lambda path: path[::-1],
    "one bit": lambda path: [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]],
    "last bit": lambda path: [*path[:-1], path[-1][:-1] + bytes([path[-1][-1] ^ 1])],
}


@pytest.mark.parametrize("how", BENT)
def test_139_bent_proof(how: str) -> None:
    """A proof with one fault is refused, and what the client had stays in use."""
    session, broker = far()
    seen = session.verified
    with pytest.raises(EvidenceError) as caught:
        play(session, proving(broker, BENT[how]))
    assert caught.value.code == "directory_fork"
    assert session.verified is seen


@pytest.mark.parametrize(
    "proof",
    [
        {},
        [],
        {"size": 1},
        {"size": 0, "hashes": []},
        {"size": True, "hashes": []},
        {"size": 1, "hashes": "ab"},
        {"size": 1, "hashes": ["ab"]},
        {"size": 1, "hashes": ["AB" * 32]},
        {"size": 1, "hashes": ["ab" * 32] * 65},
    ],
)
def test_139_no_proof(proof: Any) -> None:
    """What has not the form of a proof is refused before anything is hashed."""
    session, broker = far()
    value = {**json.loads(broker.document), "log_proof": proof}
    with pytest.raises(MalformedError):
        play(session, lambda _: json.dumps(value).encode())


def test_139_all_sizes() -> None:
    """Between any two sizes the true proof passes, and no other head or size does."""
    leaves = [bytes([number]) * 32 for number in range(20)]
    heads = {
        size: TreeHead(first=0, size=size, root=merkle_root(leaves[:size])) for size in range(1, 20)
    }
    for old, new in itertools.combinations(heads.values(), 2):
        path = consistency_path(leaves[: new.size], old.size)
        verify_consistency(old, new, path)
        for bent in (
            (replace(old, root=bytes(32)), new),
            (old, replace(new, root=bytes(32))),
            (replace(old, first=1), new),
            (old, replace(new, size=new.size + 32)),
            (replace(old, size=old.size + 32), new),
            (new, old),
        ):
            with pytest.raises(EvidenceError):
                verify_consistency(*bent, path)
    tree = LogTree(first=0)
    for size, leaf in enumerate(leaves[:19], 1):
        tree = tree.append(leaf.hex())
        assert tree.head == heads[size]


def test_140_far_behind() -> None:
    """A client that is far behind follows by a proof alone, with the log withheld."""
    session, broker = far()
    assert play(session, proving(broker)).directory == broker.directory
    broker.publish("next")
    assert play(session, lambda _: broker.document).directory == broker.directory


def test_141_older_pins(tmp_path: Path) -> None:
    """A pin without a tree asks for the log once; that withheld, nothing is taken."""
    broker = KeyBrokerInstance().lead()
    path = tmp_path / "client.pin"
    play(client(path), proving(broker))
    old = PinnedDirectory.from_bytes(path.read_bytes())
    path.write_bytes(replace(old, tree=None).to_bytes())
    broker.publish("a")
    broker.publish("b")
    with pytest.raises(UnavailableError, match="withheld"):
        play(client(path), proving(broker))
    session = client(path)
    candidate = session.verify_directory(broker.document)
    assert candidate.gap is not None
    session.accept(candidate, broker.records[candidate.gap.after + 1 : candidate.gap.until + 1])
    broker.publish("c")
    broker.publish("d")
    assert play(client(path), proving(broker)).directory == broker.directory


def test_141_another_beginning(tmp_path: Path) -> None:
    """A tree that begins elsewhere than the pinned one is another tree."""
    broker = KeyBrokerInstance().lead()
    path = tmp_path / "client.pin"
    play(client(path), proving(broker))
    pin = json.loads(path.read_bytes())
    pin["log_tree"]["first"] = 1
    path.write_bytes(json.dumps(pin).encode())
    broker.publish("a")
    with pytest.raises(EvidenceError) as caught:
        play(client(path), lambda _: broker.document)
    assert caught.value.code == "directory_fork"
