"""A small deployment for vectors: its directory, its log, and documents that it publishes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sealflow.documents.directory import Directory, DirectoryKey, DirectoryModel, SignedDirectory
from sealflow.documents.log import EntryKind, LogEntry, SignedEntry
from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.owner.trust.pin import PinnedDirectory
from sealflow.seal.keys import Suite
from sealflow.wire.domain import TrustDomain
from tests.support.forging.intel import IntelForge
from tests.vectors.make.evidence_parts import (
    MANIFEST,
    NOW_MS,
    SGX_REQUIREMENTS,
    policy,
    sealing_key,
    sgx,
    signing_key,
    text,
)

DOMAIN = TrustDomain.SIMULATED
HISTORY = "0f" * 32
OWNER = signing_key("owner").public_key().public_bytes_raw().hex()
POLICY = policy(IntelForge().root_der, SGX_REQUIREMENTS)
EVIDENCE = sgx()
HOUR_MS = 3_600_000


def directory_key(name: str, begin_ms: int, suite: Suite = Suite.SIMULATED_X25519) -> DirectoryKey:
    """An epoch key of an hour."""
    public = sealing_key(name, suite).public_key
    return DirectoryKey(
        kid=public.key_id,
        suite=suite,
        public=public.public,
        not_before_ms=begin_ms,
        retire_ms=begin_ms + HOUR_MS,
        destroy_ms=begin_ms + 2 * HOUR_MS,
    )


def model(name: str = "m", version: str = "1", **changes: Any) -> DirectoryModel:
    """A model from FP32 x to FP32 y."""
    spec = {"datatype": "FP32", "shape": [-1, 4]}
    value = {
        "name": name,
        "version": version,
        "digest": hashlib.sha256(f"{name}:{version}".encode()).hexdigest(),
        "owner": OWNER,
        "workers": None,
        "default": True,
        "inputs": [{"name": "x", **spec}],
        "outputs": [{"name": "y", **spec}],
        "image": None,
        **changes,
    }
    return DirectoryModel.from_json(value)


def directory(**changes: Any) -> Directory:
    """The directory of the deployment, now."""
    values: dict[str, Any] = {
        "deployment": "test",
        "log_id": HISTORY,
        "log_number": 7,
        "log_digest": "ee" * 32,
        "version": 3,
        "previous": "dd" * 32,
        "issued_ms": NOW_MS - 60_000,
        "expires_ms": NOW_MS + 840_000,
        "manifest_digest": MANIFEST,
        "models": (model(),),
        "keys": (
            directory_key("epoch 1", NOW_MS - HOUR_MS // 2),
            directory_key("epoch 2", NOW_MS + HOUR_MS // 2),
        ),
        "revoked": (Revoked(kind=RevokedKind.WORKER, id="0a" * 16),),
        **changes,
    }
    return Directory(**values)


def publish(
    payload: bytes | Directory | dict[str, Any],
    *,
    signer: str = "key broker",
    domain: TrustDomain = DOMAIN,
    evidence: Any = None,
) -> dict[str, Any]:
    """Sign and publish a payload; the document as JSON."""
    if isinstance(payload, Directory):
        payload = payload.to_bytes()
    elif isinstance(payload, dict):
        payload = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    signature = signing_key(signer).sign(domain.label("directory") + payload)
    value: dict[str, Any] = json.loads(_frame())
    value["directory"] |= {"payload": text(payload), "signature": text(signature)}
    return {**value, "evidence": EVIDENCE if evidence is None else evidence}


def _frame() -> bytes:
    """A document of the library's, so that what it writes besides is in ours."""
    signed = SignedDirectory.sign(directory(), signing_key("key broker"), DOMAIN, _evidence())
    return signed.to_bytes()


def _evidence() -> Any:
    from sealflow.attest.evidence import Evidence

    return Evidence.from_json(EVIDENCE)


def pin_of(published: Directory, **changes: Any) -> dict[str, Any]:
    """The pin of a client that accepted a directory."""
    pinned = PinnedDirectory.from_directory(published, published.to_bytes())
    value: dict[str, Any] = json.loads(pinned.to_bytes())
    return {**value, **changes}


class Log:
    """A log that grows by entries of any content; `digests` are those of its entries."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.entries: list[SignedEntry] = []
        self.digests: list[str] = []
        self.signer = "key broker"

    def add(self, kind: EntryKind, body: dict[str, Any], keys: dict[str, Any] | None = None) -> str:
        """Add an entry, with other `keys` if any; None takes one away. Gives its digest."""
        number = len(self.entries)
        entry = LogEntry(
            number=number,
            previous=self.digests[-1] if number else None,
            at_ms=NOW_MS - HOUR_MS + 1000 * number,
            kind=kind,
            body=body,
        )
        value = {**json.loads(entry.to_bytes()), **(keys or {})}
        absent = {name for name, each in (keys or {}).items() if each is None}
        value = {name: each for name, each in value.items() if name not in absent}
        encoded = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return self.add_bytes(encoded)

    def add_bytes(self, encoded: bytes) -> str:
        """Add the bytes of an entry."""
        plain = SignedEntry(text=encoded, signature=b"")
        digest = plain.digest(DOMAIN)
        signature = signing_key(self.signer).sign(DOMAIN.label("log head") + bytes.fromhex(digest))
        self.entries.append(SignedEntry(text=encoded, signature=signature))
        self.digests.append(digest)
        return digest

    def records(self, begin: int = 0) -> list[str]:
        """The records from a number on, as lines."""
        return [each.to_bytes().decode() for each in self.entries[begin:]]
