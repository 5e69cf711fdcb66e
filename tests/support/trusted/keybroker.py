"""Key broker instances; the test plays their host and drives their clock."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Role
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.documents.grant import Grant, open_grant
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.owner import AuditedLog, OwnerKey, audit_log
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.keybroker.standby import Standby
from sealflow.trusted.port import EventJournal
from sealflow.wire.domain import TrustDomain
from sealflow.wire.frames import FrameKind, decode_batch
from sealflow.wire.strict_json import canonical_json
from tests.support.attestation.deployments import SimulatedDeployment, simulated_deployment
from tests.support.models import onnx_models
from tests.support.models.publications import sealed_publication
from tests.support.models.served_models import onnx_manifest
from tests.support.trusted.lease_host import no_collateral

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.attest.requirements import Requirements
    from sealflow.trusted.keybroker.leader import KeyBroker
    from sealflow.trusted.port import FramePort

NOW_MS = 1_750_000_000_000
OTHER_OWNER = OwnerKey.generate(TrustDomain.SIMULATED)
OPERATOR = OwnerKey.generate(TrustDomain.SIMULATED)
AUTHORITY = OwnerKey.generate(TrustDomain.SIMULATED)
"""Of tenants."""
NO_NAMES: Mapping[str, frozenset[str]] = {}
"""Settings in which a name belongs to whoever publishes it first."""


@cache
def keybroker_deployment() -> SimulatedDeployment:
    """A deployment with two owners, an operator and a tenant authority."""
    plain = simulated_deployment(NOW_MS)
    owners = frozenset({plain.owner.signer, OTHER_OWNER.signer})
    deployment = replace(
        plain.deployment,
        owners=owners,
        operators=frozenset({OPERATOR.signer}),
        tenants=AUTHORITY.signer,
    )
    return replace(plain, deployment=deployment)


def make_identity(
    role: Role, platform_key: bytes | None = None, names: Mapping[str, frozenset[str]] = NO_NAMES
) -> EnclaveIdentity:
    """An enclave of the deployment; with another platform key, on another machine."""
    signing = Ed25519PrivateKey.generate()
    found = create_identity(
        role,
        replace(keybroker_deployment().deployment, names=names),
        keybroker_deployment().platform.to_bytes(),
        signing,
        no_collateral,
    )
    return found if platform_key is None else replace(found, platform_key=platform_key)


class _Silent:
    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Take an event."""


@dataclass(slots=True)
class KeyBrokerInstance:
    """One instance: it stands by until `lead`."""

    platform_key: bytes | None = None
    keys: list[bytes] = field(default_factory=list)
    frames: list[FrameKind] = field(default_factory=list)
    states: list[bytes] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    document: bytes = b""
    now_ms: int = NOW_MS
    orders: int = 0
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    identity: EnclaveIdentity = field(init=False)
    standby: Standby = field(init=False)
    leading: KeyBroker | None = None

    def __post_init__(self) -> None:
        """Start it."""
        self.identity = make_identity(Role.KEY_BROKER, self.platform_key, self.names)
        journal = EventJournal(cast("FramePort", _Silent()))
        self.standby = Standby(self.identity, self.now_ms, self._take, journal, tuple(self.keys))

    def lead(self, state: bytes = b"") -> KeyBrokerInstance:
        """Have it serve."""
        self.leading = self.standby.lead(state)
        return self

    def successor(self, state: bytes | None = None, **changes: Any) -> KeyBrokerInstance:
        """Another process, which goes on with what this one left."""
        keys = changes.pop("keys", self.keys)
        changes = {"orders": self.orders, "now_ms": self.now_ms, **changes}
        after = KeyBrokerInstance(keys=list(keys), records=list(self.records), **changes)
        return after.lead(self.states[-1] if state is None else state)

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask the one that leads."""
        assert self.leading is not None
        request = json.dumps({"op": op, **fields}).encode()
        answer: dict[str, Any] = json.loads(self.leading.answer(request))
        return answer

    def ask_standby(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask one that does not lead, as its host does."""
        request = json.dumps({"op": op, **fields}).encode()
        answer: dict[str, Any] = json.loads(self.standby.answer(request))
        return answer

    def tick(self, by_ms: int) -> None:
        """Let time pass."""
        assert self.leading is not None
        self.now_ms += by_ms
        self.leading.advance(self.now_ms)

    @property
    def directory(self) -> Directory:
        """What is published now, verified."""
        signing_key = self.identity.signing.public_key().public_bytes_raw()
        return SignedDirectory.from_bytes(self.document).verify_signature(
            signing_key, TrustDomain.SIMULATED
        )

    def log(self) -> AuditedLog:
        """All that was logged, checked."""
        return audit_log(self.records, keybroker_deployment().deployment.policy(Role.KEY_BROKER))

    def publish(
        self,
        name: str,
        *,
        owner: OwnerKey | None = None,
        workers: Requirements | None = None,
        issued_ms: int | None = None,
        version: str = "1",
        **changes: Any,
    ) -> dict[str, Any]:
        """Have an owner publish a model of its own."""
        owner = owner or keybroker_deployment().owner
        packed = pack_model(name, owner, version)
        package = UnverifiedPackage.from_bytes(packed).verify(owner.signer)
        assert self.leading is not None
        self.orders += 1
        values = {
            "log_id": self.leading.state_key.log_id,
            "counter": self.now_ms + self.orders if issued_ms is None else issued_ms,
            **changes,
        }
        sealed = sealed_publication(
            package,
            package.unwrap(opening_key(owner)),
            self.identity.private_key.public_key,
            owner.signing,
            workers=workers,
            **values,
        )
        return self.ask("publish", sealed=b64encode(sealed).decode())

    def revoke(
        self, kind: RevokedKind, *names: str, key: OwnerKey | None = None, **changes: Any
    ) -> dict[str, Any]:
        """Have somebody order a revocation: whoever may, or the one with `key`."""
        assert self.leading is not None
        signers = {
            RevokedKind.WORKER: OPERATOR,
            RevokedKind.KEY: OPERATOR,
            RevokedKind.TOKEN: AUTHORITY,
        }
        key = key or signers.get(kind, keybroker_deployment().owner)
        self.orders += 1
        values: dict[str, Any] = {
            "deployment": "test",
            "log_id": self.leading.state_key.log_id,
            "counter": self.now_ms + self.orders,
            "revoked": tuple(Revoked(kind=kind, id=name) for name in names),
            "signer": key.signer,
            **changes,
        }
        order = RevocationOrder(**values)
        return self.ask(
            "revoke",
            **SignedRevocationOrder.sign(order, key.signing, TrustDomain.SIMULATED).to_json(),
        )

    def revoke_model(self, digest: str) -> None:
        """Have its owner revoke a model."""
        assert "error" not in self.revoke(RevokedKind.MODEL, digest)

    def enroll(self, worker: EnclaveIdentity, serves: str | None = None) -> dict[str, Any]:
        """Have a worker ask for a grant of an owner's models; gives the answer."""
        challenge = self.ask("challenge")
        serves = serves or keybroker_deployment().owner.signer
        evidence = worker.evidence(challenge["nonce"], serves)
        answer = self.ask("enroll", challenge=challenge["challenge"], evidence=evidence.to_json())
        return {**answer, "bound": evidence.bound, "nonce": challenge["nonce"]}

    def grant(self, worker: EnclaveIdentity, serves: str | None = None) -> Grant:
        """Have a worker ask for a grant, and open it."""
        answer = self.enroll(worker, serves)
        return open_grant(
            b64decode(answer["grant"]),
            b64decode(answer["signature"]),
            private_key=worker.private_key,
            bound=answer["bound"],
            nonce=answer["nonce"],
            signer=self.identity.signing.public_key().public_bytes_raw(),
        )

    def _take(self, kind: FrameKind, payload: bytes) -> None:
        self.frames.append(kind)
        match kind:
            case FrameKind.STATE:
                (_, state), *records = decode_batch(memoryview(payload))[1]
                self.states.append(bytes(state))
                for number, record in records:
                    assert number == len(self.records)
                    self.records.append(bytes(record))
            case FrameKind.DIRECTORY:
                self.document = payload
            case FrameKind.KEY:
                self.keys.append(payload)


@cache
def pack_model(name: str, owner: OwnerKey, version: str = "1") -> bytes:
    """A package y = -x of an owner."""
    files = {"model.onnx": onnx_models.elementwise("Neg", sizes=(None, 4))}
    return seal_package(
        replace(onnx_manifest(name), version=version),
        files,
        signing=owner.signing,
        sealing=opening_key(owner).public_key,
    )


def publication_without_order(
    broker: KeyBrokerInstance, name: str, issued_ms: int = NOW_MS + 10**6, version: str = "1"
) -> str:
    """A publication of format 1: whoever knows a package and its content key can make it."""
    owner = keybroker_deployment().owner
    package = UnverifiedPackage.from_bytes(pack_model(name, owner, version)).verify(owner.signer)
    value = {
        "format": 1,
        "content_key": b64encode(package.unwrap(opening_key(owner))).decode(),
        "issued_ms": issued_ms,
        "signature": b64encode(package.signature).decode(),
        "signer": owner.signer,
        "statement": b64encode(package.payload).decode(),
        "workers": None,
    }
    key = broker.identity.private_key.public_key
    sealed = key.seal(canonical_json(value), TrustDomain.SIMULATED.label("publish"))
    return b64encode(sealed).decode()


def error_code(answer: dict[str, Any]) -> str:
    """The code of an answer that says what went wrong."""
    return str(answer["error"]["code"])
