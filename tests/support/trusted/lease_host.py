"""A host between a worker's lease keeper and a real key broker, all in one thread.

The host is the outside world: it hands questions on and answers in, and may do so badly.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Role
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.owner.models.owner_key import opening_key
from sealflow.owner.models.publish import prepare_publication
from sealflow.package.container import seal_package
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.keybroker.standby import Standby
from sealflow.trusted.port import EventJournal
from sealflow.trusted.worker.lease.enrollment import Enrollment
from sealflow.trusted.worker.lease.host_requests import HostRequests
from sealflow.trusted.worker.lease.keeper import LeaseKeeper
from sealflow.trusted.worker.serving.arrivals import ArrivalQueue, ServingUpdate
from sealflow.wire.frame_payloads import Event
from sealflow.wire.frames import FrameKind, decode_batch, encode_chunk
from tests.support.models import onnx_models
from tests.support.models.served_models import make_loader, onnx_manifest
from tests.support.trusted.told_clock import told_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.owner import OwnerKey
    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.keybroker.leader import KeyBroker
    from sealflow.trusted.port import FramePort
    from tests.support.attestation.deployments import SimulatedDeployment

NOW_MS = 1_750_000_000_000
_PIECE = 1000


def no_collateral(_want: bytes) -> bytes:
    """A simulated platform brings its own."""
    raise AssertionError


def make_identity(made: SimulatedDeployment, role: Role) -> EnclaveIdentity:
    """An enclave of the deployment."""
    signing = Ed25519PrivateKey.generate()
    return create_identity(role, made.deployment, made.platform.to_bytes(), signing, no_collateral)


@dataclass(slots=True)
class Silent:
    """A host that reads what a key broker says and does nothing about it."""

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Take a frame."""


@dataclass(slots=True)
class LeaseHost:
    """Carries between one worker and one key broker; `then` is what happens at each enrollment."""

    made: SimulatedDeployment
    then: deque[Callable[[], object]] = field(default_factory=deque)
    packages: dict[str, bytes] = field(default_factory=dict)
    frames: list[tuple[FrameKind, bytes]] = field(default_factory=list)
    document: bytes = b""
    states: list[bytes] = field(default_factory=list)
    state_keys: list[bytes] = field(default_factory=list)
    away: int = 0
    orders: int = 0
    complete: bool = True
    loads_itself: bool = True
    on_want: dict[str, Callable[[], object]] = field(default_factory=dict)
    damage: Callable[[dict[str, Any]], object] | None = None
    clock: EnclaveClock = field(default_factory=lambda: told_clock(NOW_MS))
    arrivals: ArrivalQueue = field(default_factory=lambda: ArrivalQueue(max_items=10, max_bytes=10))
    broker: KeyBroker = field(init=False)
    broker_identity: EnclaveIdentity = field(init=False)
    messages: HostRequests = field(init=False)
    keeping: LeaseKeeper = field(init=False)

    def __post_init__(self) -> None:
        """Start the key broker and make a worker."""
        self.replace_broker(self.made)
        port = cast("FramePort", self)
        self.messages = HostRequests(port)
        worker = make_identity(self.made, Role.WORKER)
        self.keeping = LeaseKeeper(
            worker,
            Enrollment(worker, self.messages),
            self.messages,
            make_loader(),
            self.arrivals,
            self.clock,
            port,
            EventJournal(port),
            threads=1,
        )
        self.keeping.serve(self.made.owner.signer)

    def replace_broker(self, made: SimulatedDeployment) -> None:
        """Put a new key broker, which knows nothing, in the place of the old one."""
        self._start_broker(made, [], b"")

    def restart_broker(self, state: bytes | None = None) -> None:
        """Start the key broker again with the state that it left, or with an older one."""
        self._start_broker(self.made, self.state_keys, self.states[-1] if state is None else state)

    def _start_broker(self, made: SimulatedDeployment, keys: list[bytes], state: bytes) -> None:
        self.broker_identity = make_identity(made, Role.KEY_BROKER)
        journal = EventJournal(cast("FramePort", Silent()))
        standby = Standby(
            self.broker_identity, self.clock.now_ms, self._take_from_broker, journal, keys
        )
        self.broker = standby.lead(state)

    def _take_from_broker(self, kind: FrameKind, payload: bytes) -> None:
        match kind:
            case FrameKind.DIRECTORY:
                self.document = payload
            case FrameKind.STATE:
                self.states.append(bytes(decode_batch(memoryview(payload))[1][0][1]))
            case FrameKind.KEY:
                self.state_keys = [payload]

    def tell(self) -> None:
        """Tick: hand the worker what is published now."""
        self.keeping.update_directory(self.document)

    def pack(self, name: str) -> str:
        """Pack a model y = -x and hand its key to the key broker; returns its digest."""
        digest: str = self.publish(name)["digest"]
        return digest

    def publish(self, name: str, owner: OwnerKey | None = None, **manifest: Any) -> dict[str, Any]:
        """Publish a model y = -x whose manifest may say anything; gives the answer."""
        owner = owner or self.made.owner
        files = {"model.onnx": onnx_models.elementwise("Neg", sizes=(None, 4))}
        package = seal_package(
            onnx_manifest(name, **manifest),
            files,
            signing=owner.signing,
            sealing=opening_key(owner).public_key,
        )
        keybroker = self.broker_identity.private_key.public_key
        self.orders += 1
        publication = prepare_publication(
            package,
            owner,
            keybroker,
            deployment=self.made.deployment.name,
            log_id=self.broker.state_key.log_id,
            counter=self.clock.now_ms + self.orders,
        )
        request = {"op": "publish", "sealed": b64encode(publication.sealed).decode()}
        answer: dict[str, Any] = json.loads(self.broker.answer(json.dumps(request).encode()))
        assert answer.get("digest", publication.digest) == publication.digest
        self.packages[publication.digest] = package
        return answer

    def revoke(self, kind: RevokedKind, name: str) -> dict[str, Any]:
        """Have the owner revoke something; gives the answer."""
        owner, deployment = self.made.owner, self.made.deployment
        self.orders += 1
        order = RevocationOrder(
            deployment=deployment.name,
            log_id=self.broker.state_key.log_id,
            counter=self.clock.now_ms + self.orders,
            revoked=(Revoked(kind=kind, id=name),),
            signer=owner.signer,
        )
        signed = SignedRevocationOrder.sign(order, owner.signing, deployment.tee.domain)
        request = {"op": "revoke", **signed.to_json()}
        answer: dict[str, Any] = json.loads(self.broker.answer(json.dumps(request).encode()))
        return answer

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Take a frame of the worker's, as its port would."""
        self.frames.append((kind, bytes(payload)))
        if kind is FrameKind.CONTROL:
            self.messages.deliver_answer(kind, memoryview(self._answer(payload)))
        elif kind is FrameKind.WANT:
            self.on_want.pop(payload.hex(), lambda: None)()
            package = self.packages.get(payload.hex(), b"")
            for at in range(0, max(1, len(package)), _PIECE):
                piece = encode_chunk(payload, at, len(package), package[at : at + _PIECE])
                self.messages.deliver_answer(FrameKind.PACKAGE, memoryview(piece))
        elif kind is FrameKind.EVENT and self.events[-1] in _TURNS:
            if self.events[-1] is Event.ENROLLED and self.loads_itself:
                self.complete = self.keeping.models.load_missing()
            self.then.popleft()()

    def _answer(self, request: bytes) -> bytes:
        if self.away:
            self.away -= 1
            return b""
        answer = self.broker.answer(request)
        if self.damage is not None:
            value = json.loads(answer)
            self.damage(value)
            answer = json.dumps(value).encode()
        return answer

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        return [
            Event(json.loads(payload)["event"])
            for kind, payload in self.frames
            if kind is FrameKind.EVENT
        ]

    @property
    def ready(self) -> list[list[str]]:
        """The names of the models in each READY frame so far."""
        return [
            [model["name"] for model in json.loads(payload)["models"]]
            for kind, payload in self.frames
            if kind is FrameKind.READY
        ]

    @property
    def wanted(self) -> list[str]:
        """The digests of the packages asked for."""
        return [payload.hex() for kind, payload in self.frames if kind is FrameKind.WANT]

    def run(self, *then: Callable[[], object]) -> list[ServingUpdate]:
        """Keep the lease; at each enrollment or failure do the next thing, then close."""
        self.then.extend((*then, self.keeping.close))
        self.keeping.keep_lease()
        assert not self.then
        self.arrivals.put(None)
        found = []
        while (message := self.arrivals.next()) is not None:
            assert isinstance(message, ServingUpdate)
            found.append(message)
        return found


_TURNS = (
    Event.ENROLLED,
    Event.KEY_BROKER_UNREACHABLE,
    Event.ENROLLMENT_REFUSED,
)
