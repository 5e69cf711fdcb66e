"""The documents of a later release: every open object has a field that today's does not know.

A `Writer` may also change one level beyond that, so that readers must refuse it.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Evidence, report_data
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.documents.log import entry_digest
from sealflow.documents.log_tree import LogTree
from sealflow.owner import Role, Tee, TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.cluster.scripted_service import INSTANCE, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.cluster.published_service import PublishedService

    Change = Callable[[dict[str, Any]], dict[str, Any]]

SIMULATED: Final = TrustDomain.SIMULATED
NEW: Final = "since_2"
VALUE: Final = {"depth": [1, "two", None, {"critical": 7}], "format": 9}
"""The value of the new field; what is in it is nobody's affair."""
GONE: Final = "99" * 16
"""A worker that was revoked."""


def newer(value: dict[str, Any]) -> dict[str, Any]:
    """Say that it is of another format."""
    return {**value, "format": 2}


def critical(value: dict[str, Any]) -> dict[str, Any]:
    """Say that readers must know the new field."""
    return {**value, "critical": [NEW]}


@dataclass(kw_only=True)
class Writer:
    """Write documents with a new field at every level. `changes`: what else is done, by level."""

    published: PublishedService
    worker: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    changes: dict[str, Change] = field(default_factory=dict)
    levels: set[str] = field(default_factory=set)
    records: list[bytes] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def written(self, level: str, value: dict[str, Any]) -> dict[str, Any]:
        """Return an object of a level with the new field."""
        self.levels.add(level)
        new = {**value, NEW: VALUE}
        change = self.changes.get(level)
        return new if change is None else change(new)

    def evidence(self) -> dict[str, Any]:
        """Return evidence whose quote binds claims with the new field."""
        bound = canonical_json(
            self.written("bound claims", json.loads(self.published.bound().to_bytes()))
        )
        data = report_data(bound, Role.KEY_BROKER, SIMULATED)
        platform = self.published.site.platform
        evidence = Evidence(
            tee=Tee.SIMULATED,
            quote=platform.quote(simulated_measurement(Role.KEY_BROKER), data),
            bound=bound,
            collateral=platform.collateral,
        )
        return self.written("evidence", evidence.to_json())

    def publish(self) -> bytes:
        """Write the log and the published document, and return the document."""
        self.records.clear()
        self.digests.clear()
        directory = self.published.with_model()
        keys = [key.kid for key in directory.keys]
        deployment = self.published.site.deployment
        about = {"deployment": deployment.name, "manifest_digest": deployment.digest}
        self.log("opened", {**about, "evidence": self.evidence()})
        self.log("weathered", {"sky": "clear"})
        self.log(
            "grant",
            {
                "instance": INSTANCE,
                "signing_key": self.worker.public_key().public_bytes_raw().hex(),
                "keys": keys,
                "models": [directory.models[0].digest],
                "until_ms": now_ms() + 3_600_000,
                "directory_version": 1,
            },
        )
        logged = replace(
            directory,
            log_id=self.digests[0],
            log_number=2,
            log_digest=self.digests[2],
            log_tree=LogTree(first=1).append(self.digests[1]).append(self.digests[2]),
        )
        payload = self.payload(json.loads(logged.to_bytes()))
        self.log("directory", {"version": 1, "digest": hashlib.sha256(payload).hexdigest()})
        self.log("weathered", {"sky": "cloudy"})
        signature = self.published.signing.sign(SIMULATED.label("directory") + payload)
        signed = {"payload": text(payload), "signature": text(signature)}
        document = {
            "format": 1,
            "directory": self.written("signed directory", signed),
            "evidence": self.evidence(),
            "log_proof": self.written("log proof", {"size": 1, "hashes": []}),
        }
        return canonical_json(self.written("published document", document))

    def payload(self, value: dict[str, Any]) -> bytes:
        """Return a payload with the new field at each level, and with items of new kinds."""
        [model] = value["models"]
        gone = {"kind": "worker", "id": GONE}
        models = [
            self.model(model),
            self.model({**model, "name": "n"}, datatype="FP4"),
            critical(self.model({**model, "name": "o"})),
            self.model({**model, "name": "p"}, more={"critical": [NEW]}),
        ]
        unknown = {**value["keys"][0], "kid": "0" * 32, "suite": 0xF0F0}
        return canonical_json(
            self.written(
                "directory",
                {
                    **value,
                    "models": models,
                    "log_tree": self.written("log tree", value["log_tree"]),
                    "keys": [self.written("key", each) for each in (*value["keys"], unknown)],
                    "revoked": [
                        self.written("revoked", gone),
                        self.written("revoked", {**gone, "kind": "moon"}),
                    ],
                },
            )
        )

    def model(
        self,
        model: dict[str, Any],
        *,
        datatype: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a model with the new field in it and in its tensors."""
        tensors = {
            name: [
                {
                    **self.written("tensor", each),
                    "datatype": datatype or each["datatype"],
                    **(more or {}),
                }
                for each in model[name]
            ]
            for name in ("inputs", "outputs")
        }
        return self.written("model", {**model, **tensors})

    def log(self, kind: str, body: dict[str, Any]) -> None:
        """Append an entry with the new field in record, entry and body."""
        entry = {
            "format": 1,
            "number": len(self.records),
            "previous": self.digests[-1] if self.digests else None,
            "at_ms": now_ms(),
            "kind": kind,
            "body": {**body, NEW: VALUE},
        }
        written = canonical_json(self.written("log entry", entry))
        digest = entry_digest(written, SIMULATED)
        signed = SIMULATED.label("log head") + bytes.fromhex(digest)
        record = {"entry": text(written), "signature": text(self.published.signing.sign(signed))}
        self.records.append(canonical_json(self.written("log record", record)))
        self.digests.append(digest)

    def receipt(self, value: bytes) -> dict[str, Any]:
        """Return a receipt that the worker signs, with the new field within and around."""
        written = canonical_json(self.written("receipt", json.loads(value)))
        signature = self.worker.sign(SIMULATED.label("receipt") + written)
        given = {"receipt": text(written), "signature": text(signature)}
        return self.written("reply with a receipt", given)


def text(data: bytes) -> str:
    """Return bytes in base64."""
    return b64encode(data).decode()
