"""Hosts that forge, withhold or reuse cosignatures: rows 142 to 145 of docs/threat-model.md."""

from __future__ import annotations

import asyncio
import json
import subprocess
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.evidence import Role
from sealflow.attest.verifiers import TrustedWitness, WitnessRequirements
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import MalformedError, UnavailableError
from sealflow.owner import Client
from sealflow.owner.trust.directory_refresh import ensure_verified
from sealflow.owner.trust.policy_file import write_policy
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.verifier.verifier_key import create_verifier_key
from sealflow.owner.verifier.witness import WitnessService
from sealflow.wire.domain import TrustDomain
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.hosted_keybroker import HostedKeyBroker
from tests.support.cluster.local_cluster import sealflow
from tests.support.trusted.keybroker import NOW_MS, KeyBrokerInstance, keybroker_deployment
from tests.support.trusted.witnesses import SigningWitness, checkpoint_of, with_cosignatures

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.owner.http.steps import Steps
    from tests.support.queue.server import QueueServer

POLICY = keybroker_deployment().deployment.policy(Role.KEY_BROKER)
WITNESSES = tuple(SigningWitness(name=f"example.org/{number}") for number in range(3))
NOW_S = NOW_MS // 1000


def client(required: int = 1, max_age_s: int | None = None, at_ms: int = NOW_MS) -> ServiceSession:
    """A client whose policy names three witnesses."""
    wanted = WitnessRequirements(
        witnesses=tuple(each.trusted for each in WITNESSES), required=required, max_age_s=max_age_s
    )
    return ServiceSession(replace(POLICY, log=wanted), clock_ms=lambda: at_ms)


def signed(document: bytes, count: int = 3, at_s: int = NOW_S) -> bytes:
    """A document that some witnesses signed."""
    text = checkpoint_of(document)
    return with_cosignatures(document, *(each.line(text, at_s) for each in WITNESSES[:count]))


def unwitnessed(session: ServiceSession, document: bytes) -> None:
    """The document is not accepted, and nothing is pinned."""
    before = session.verified
    with pytest.raises(UnavailableError) as caught:
        session.accept(session.verify_directory(document))
    assert caught.value.code == "directory_unwitnessed"
    assert session.verified is before


@pytest.fixture(scope="module")
def broker() -> KeyBrokerInstance:
    """A key broker with a model."""
    found = KeyBrokerInstance().lead()
    found.publish("m")
    return found


def bend(line: str, at: int, by: bytes) -> str:
    """A cosignature with other bytes in its signed part."""
    dash, name, encoded = line.split(" ")
    content = b64decode(encoded)
    changed = content[:at] + by + content[at + len(by) :]
    return f"{dash} {name} {b64encode(changed).decode()}"


def test_142_forged(broker: KeyBrokerInstance) -> None:
    """Who has not the key of a witness that the policy names makes no cosignature that counts."""
    document, text = broker.document, checkpoint_of(broker.document)
    session = client()
    good = WITNESSES[0].line(text, NOW_S)
    forger = SigningWitness(name=WITNESSES[0].name)
    stranger = SigningWitness(name="example.org/stranger")
    named = forger.line(text, NOW_S)
    own_id = bend(named, 0, WITNESSES[0].trusted.key_id)
    for line in (
        named,
        own_id,
        stranger.line(text, NOW_S),
        WITNESSES[1].line(text, NOW_S).replace("/1 ", "/0 "),
        bend(good, 0, b"\0\0\0\0"),
        bend(good, 4, (NOW_S + 1).to_bytes(8)),
        bend(good, 12, b"\0"),
        bend(good, 75, b"\0"),
        good + "\n",
        " " + good,
        good[2:],
        good[:-1],
        good.replace("—", "-"),
        "",
    ):
        unwitnessed(session, with_cosignatures(document, line))
    session.accept(session.verify_directory(with_cosignatures(document, own_id, good)))


def test_142_requirements() -> None:
    """A witness has a name and a key of their form; a policy demands what can be met."""
    public = WITNESSES[0].trusted.public
    for name, key in (("", public), ("a b", public), ("a+b", public), ("w", public[:-1])):
        with pytest.raises(MalformedError):
            TrustedWitness(name=name, public=key)
    many = tuple(TrustedWitness(name=f"w{at}", public=bytes([at]) * 32) for at in range(17))
    for witnesses, required in (((), 0), ((), 1), (many, 1), (many[:2], 0), (many[:2], 3)):
        with pytest.raises(MalformedError):
            WitnessRequirements(witnesses=witnesses, required=required)
    WitnessRequirements(witnesses=many[:16], required=16)


def test_142_another_log(broker: KeyBrokerInstance) -> None:
    """Cosignatures of other logs, heads, sizes or trust domains are none of this one."""
    other = KeyBrokerInstance().lead()
    other.publish("m")
    before = broker.document
    broker.publish("n")
    text = checkpoint_of(broker.document)
    origin, size, root, _ = text.split("\n")
    session = client()
    for wrong in (
        checkpoint_of(other.document),
        checkpoint_of(before),
        checkpoint_of(broker.document, TrustDomain.HARDWARE),
        f"{origin}\n{int(size) - 1}\n{root}\n",
        f"{origin}\n{size}\n{b64encode(bytes(32)).decode()}\n",
        f"{origin}/1\n{size}\n{root}\n",
        text[:-1],
        text + "\n",
    ):
        lines = [each.line(wrong, NOW_S) for each in WITNESSES]
        unwitnessed(session, with_cosignatures(broker.document, *lines))
    session.accept(session.verify_directory(signed(broker.document)))


def test_142_fork() -> None:
    """What the witnesses did not see is not accepted, also by a client without a pin."""
    first = KeyBrokerInstance().lead()
    first.publish("m")
    fork = first.successor()
    first.revoke(RevokedKind.MODEL, first.directory.models[0].digest)
    fork.publish("n")
    lines = [each.line(checkpoint_of(first.document), NOW_S) for each in WITNESSES]
    unwitnessed(client(), with_cosignatures(fork.document, *lines))
    session = client()
    session.accept(session.verify_directory(with_cosignatures(first.document, *lines)))


def test_143_too_few(broker: KeyBrokerInstance) -> None:
    """One witness is one, however often it signed; withheld ones do not count."""
    text = checkpoint_of(broker.document)
    session = client(required=2)
    one = WITNESSES[0]
    twice = [one.line(text, NOW_S), one.line(text, NOW_S - 1), one.line(text, NOW_S)]
    for lines in ([], twice[:1], twice):
        unwitnessed(session, with_cosignatures(broker.document, *lines))
    unwitnessed(session, broker.document)
    session.accept(session.verify_directory(signed(broker.document, 2)))
    unwitnessed(client(required=3), signed(broker.document, 2))


def test_143_withheld_later() -> None:
    """Without cosignatures the next directory waits; the one in use stays while it is valid."""
    broker = KeyBrokerInstance().lead()
    session = client()
    session.accept(session.verify_directory(signed(broker.document)))
    seen = session.verified
    broker.publish("m")
    unwitnessed(session, broker.document)
    run(ensure_verified(session))
    assert session.verified is seen
    session.accept(session.verify_directory(signed(broker.document)))


def run(steps: Steps[None]) -> None:
    """Take steps that need no network."""
    assert next(steps, None) is None


@pytest.mark.parametrize("lines", [None, {}, "x", [7], [None], ["x"] * 17, ["x" * 401]])
def test_143_no_list(broker: KeyBrokerInstance, lines: Any) -> None:
    """What is no list of lines is refused, where a policy names witnesses, and else not read."""
    document = json.dumps({**json.loads(broker.document), "cosignatures": lines}).encode()
    with pytest.raises(MalformedError):
        client().verify_directory(document)
    plain = ServiceSession(POLICY, clock_ms=lambda: NOW_MS)
    assert plain.verify_directory(document).verified.cosignatures == ()


def test_144_times(broker: KeyBrokerInstance) -> None:
    """A cosignature that is too old, or from the future, does not count."""
    for at_s, max_age_s, good in (
        (NOW_S, None, True),
        (NOW_S - 100_000, None, True),
        (NOW_S + 300, None, True),
        (NOW_S + 301, None, False),
        (0, None, False),
        (2**64 - 1, None, False),
        (NOW_S - 59, 60, True),
        (NOW_S - 60, 60, False),
        (0, 60, False),
    ):
        session = client(max_age_s=max_age_s)
        document = signed(broker.document, at_s=at_s)
        if good:
            session.accept(session.verify_directory(document))
        else:
            unwitnessed(session, document)


def test_144_end(broker: KeyBrokerInstance) -> None:
    """A directory is good no longer than the oldest cosignature that is needed."""
    text = checkpoint_of(broker.document)
    lines = [each.line(text, NOW_S - 10 * at) for at, each in enumerate(WITNESSES)]
    for required, older_s in ((1, 0), (2, 10), (3, 20)):
        session = client(required=required, max_age_s=60)
        found = session.verify_directory(with_cosignatures(broker.document, *lines)).verified
        assert found.valid_until_ms == 1000 * (NOW_S - older_s + 60)


class _Gateway:
    """The gateway of a witness, which serves what the test says."""

    def __init__(self, document: bytes) -> None:
        self.document = document

    async def run_steps(self, steps: Steps[Any]) -> Any:
        """Answer each request with the document."""
        from sealflow.owner.http.steps import HttpRequest, HttpResponse

        given = None
        while True:
            try:
                event = steps.send(given)
            except StopIteration as end:
                return end.value
            body = self.document
            if isinstance(event, HttpRequest) and event.path.startswith("/v1/log/"):
                body = b""
            given = HttpResponse(status=200, headers={}, body=body)


def witness(tmp_path: Path) -> WitnessService:
    """A witness; its key and state are files."""
    path = tmp_path / "witness.key"
    from sealflow.owner.verifier.verifier_key import load_verifier_key

    key = load_verifier_key(path) if path.exists() else create_verifier_key(path)
    state = tmp_path / "witness.pin"
    return WitnessService(POLICY, state, key, "example.org/w", clock_ms=lambda: NOW_MS)


def look(service: WitnessService, document: bytes) -> str:
    """Have a witness look at a document; gives the checkpoint that it vouches for now."""

    async def ask() -> str:
        await service.watch(_Gateway(document))  # type: ignore[arg-type]
        answer = await service.answer(None)  # type: ignore[arg-type]
        return str(answer.text)

    return asyncio.run(ask()).rpartition("\n— ")[0]


def test_145_witness_signs_one_history(tmp_path: Path) -> None:
    """A fork, an older directory, or one whose log is withheld, is not signed, also later."""
    first = KeyBrokerInstance().lead()
    old = first.document
    first.publish("m")
    fork = first.successor()
    service = witness(tmp_path)
    assert look(service, old) == checkpoint_of(old)
    assert look(service, first.document) == checkpoint_of(first.document)
    first.publish("n")
    newest = checkpoint_of(first.document)
    assert look(service, first.document) == newest
    for _ in range(3):
        fork.publish(f"f{_}")
        assert look(service, fork.document) == newest
    assert look(service, old) == newest
    again = witness(tmp_path)
    for document in (old, fork.document, b"{}", b""):
        assert look(again, document) == ""
    assert look(again, first.document) == newest
    for number in range(3):
        first.publish(f"o{number}")
    assert look(again, first.document) == newest


def test_145_whole_service(server: QueueServer, tmp_path: Path) -> None:
    """With real processes: a client whose policy names a witness gets its cosignature."""
    key, policy_file = tmp_path / "witness.key", tmp_path / "client.toml"
    create_verifier_key(key)
    with HostedKeyBroker(server, state_dir=tmp_path / "state") as host:
        policy = host.made.deployment.policy(Role.KEY_BROKER)
        write_policy(policy_file, policy)
        note = tmp_path / "note"
        with GatewayProcess(server, witnesses=[str(note)]) as gateway:
            arguments = ("--key", str(key), "--name", "example.org/w", "--port", "0", "--json")
            files = ("--state", str(tmp_path / "witness.pin"), "--policy", str(policy_file))
            with subprocess.Popen(
                sealflow("log", "witness", *arguments, *files, "--url", gateway.url),
                stdout=subprocess.PIPE,
                text=True,
            ) as running:
                try:
                    assert running.stdout is not None
                    said = json.loads(running.stdout.readline())
                    wanted = WitnessRequirements.from_json({"witnesses": [said["vkey"]]})
                    demanding = replace(policy, log=wanted)
                    with (
                        Client(gateway.url, policy=demanding) as client,
                        pytest.raises(UnavailableError, match="policy demands 1"),
                    ):
                        client.verify(timeout_s=30)
                    with (
                        GatewayProcess(server, witnesses=[said["url"]]) as carrying,
                        Client(carrying.url, policy=demanding) as client,
                    ):
                        report = client.verify(timeout_s=30)
                    assert report.witnesses == ("example.org/w",)
                finally:
                    running.terminate()
    assert (tmp_path / "witness.pin").stat().st_mode & 0o777 == 0o600
