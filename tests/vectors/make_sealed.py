"""Writes sealed.json: packages, publications, a grant, a state and its key. What is there stays.

Run from the repository's root: `python -m tests.vectors.make_sealed`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from sealflow.attest.evidence import Role
from sealflow.attest.policy import appraise
from sealflow.owner import OwnerKey, Requirements
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.seal.enclave import seal_to_enclave
from sealflow.seal.keys import OpeningKey, Suite, parse_suite
from sealflow.trusted.keybroker.state import machine_id
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json, parse_object
from tests.support.models.publications import sealed_publication
from tests.support.models.served_models import onnx_manifest
from tests.support.trusted.keybroker import (
    NOW_MS,
    KeyBrokerInstance,
    keybroker_deployment,
    make_identity,
)

FILES = {"model.onnx": bytes(range(256)) * 2, "labels.txt": b"a\nb\n"}


def main() -> None:
    """Make what is missing."""
    path = Path(__file__).parent / "sealed.json"
    value: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    makers = {
        "packages": lambda: {domain.name.lower(): _package(domain) for domain in TrustDomain},
        "grant": _grant,
        "state": _state,
        "reject_grants": _reject_grants,
    }
    value |= {name: make() for name, make in makers.items() if name not in value}
    for package in value["packages"].values():
        if "reject_publications" not in package:
            package["reject_publications"] = _reject_publications(package)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _package(domain: TrustDomain) -> dict[str, Any]:
    owner, keybroker = OwnerKey.generate(domain), OpeningKey.generate(Suite.for_domain(domain))
    manifest = onnx_manifest(labels="labels.txt")
    sealing = opening_key(owner).public_key
    package = seal_package(manifest, FILES, signing=owner.signing, sealing=sealing)
    verified = UnverifiedPackage.from_bytes(package).verify(owner.signer)
    content_key = verified.unwrap(opening_key(owner))
    workers = Requirements(measurements=frozenset({"11" * 32}), min_svn=2)
    publication = sealed_publication(
        verified, content_key, keybroker.public_key, owner.signing, workers=workers, counter=NOW_MS
    )
    files = len(package) - sum(map(len, verified._sealed.values()))
    return {
        "suite": int(opening_key(owner).suite),
        "owner_signing_seed": owner.signing_seed.hex(),
        "owner_sealing_seed": owner.sealing_seed.hex(),
        "signer": owner.signer,
        "digest": verified.digest,
        "manifest": manifest.to_bytes().decode(),
        "files": {name: b64encode(content).decode() for name, content in FILES.items()},
        "content_key": content_key.hex(),
        "package": b64encode(package).decode(),
        "reject": {
            "cut": _text(package[:-1]),
            "longer": _text(package + b"\0"),
            "magic": _text(b"SFB2" + package[4:]),
            "signature": _text(_flipped(package, package.index(b'"sig":"') + 9)),
            "wrapped key": _text(_flipped(package, files - 1)),
            "first chunk": _text(_flipped(package, files + 60)),
            "last tag": _text(_flipped(package, len(package) - 1)),
        },
        "keybroker_seed": keybroker.seed.hex(),
        "publication": b64encode(publication).decode(),
        "publication_issued_ms": NOW_MS,
        "publication_workers": workers.to_json(),
    }


def _grant() -> dict[str, Any]:
    broker, worker = KeyBrokerInstance().lead(), make_identity(Role.WORKER)
    digest = broker.publish("m")["digest"]
    answer = broker.enroll(worker)
    return {
        "suite": int(worker.private_key.suite),
        "worker_seed": worker.private_key.seed.hex(),
        "bound": answer["bound"].decode(),
        "nonce": answer["nonce"],
        "signer": broker.identity.signing.public_key().public_bytes_raw().hex(),
        "grant": answer["grant"],
        "signature": answer["signature"],
        "keys": [key.kid for key in broker.directory.keys],
        "models": [digest],
        "lease_ms": NOW_MS + 1000 * keybroker_deployment().deployment.lease_s,
        "history": broker.directory.log_id,
        "directory_version": broker.directory.version,
    }


def _reject_grants() -> dict[str, dict[str, Any]]:
    """Seal and sign grants that are malformed inside."""
    instance, worker = KeyBrokerInstance().lead(), make_identity(Role.WORKER)
    nonce, signing = "5a" * 32, instance.identity.signing
    evidence = worker.evidence(nonce)
    policy = keybroker_deployment().deployment.policy(Role.WORKER)
    approval = appraise(evidence, policy, NOW_MS, nonce=nonce)
    key = {"suite": int(worker.private_key.suite), "seed": "A" * 43 + "=", "destroy_ms": 1}
    grant = {
        "format": 1,
        "keys": [key],
        "models": [],
        "lease_ms": 1,
        "history": "00" * 32,
        "directory_version": 1,
    }
    malformed = {
        "lease_ms over 2^53-1": grant | {"lease_ms": 2**53},
        "lease_ms below 0": grant | {"lease_ms": -1},
        "destroy_ms over 2^53-1": grant | {"keys": [key | {"destroy_ms": 2**53}]},
    }
    rejects = {}
    for name, value in malformed.items():
        sealed, signature = seal_to_enclave(canonical_json(value), approval, signing, "grant")
        rejects[name] = {
            "suite": int(worker.private_key.suite),
            "worker_seed": worker.private_key.seed.hex(),
            "bound": evidence.bound.decode(),
            "nonce": nonce,
            "signer": signing.public_key().public_bytes_raw().hex(),
            "grant": _text(sealed),
            "signature": _text(signature),
        }
    return rejects


def _reject_publications(values: dict[str, Any]) -> dict[str, str]:
    """Seal publications that are malformed inside."""
    seed, suite = bytes.fromhex(values["keybroker_seed"]), parse_suite(values["suite"])
    keybroker = OpeningKey(suite=suite, seed=seed)
    label = suite.domain.label("publish")
    inside = parse_object(keybroker.open(b64decode(values["publication"]), label), "publication")
    malformed = {
        "no order": {key: value for key, value in inside.items() if key != "order"},
    }
    return {
        name: _text(keybroker.public_key.seal(canonical_json(value), label))
        for name, value in malformed.items()
    }


def _state() -> dict[str, Any]:
    broker = KeyBrokerInstance().lead()
    digest = broker.publish("m")["digest"]
    assert broker.leading is not None
    key, platform_key = broker.leading.state_key, broker.identity.platform_key
    return {
        "deployment_digest": keybroker_deployment().deployment.digest,
        "key": key.key.hex(),
        "history": key.log_id,
        "number": key.number,
        "state": b64encode(broker.states[-1]).decode(),
        "epochs": [each.kid for each in broker.directory.keys],
        "models": [digest],
        "directory_version": broker.directory.version,
        "platform_key": platform_key.hex(),
        "machine_id": machine_id(platform_key, TrustDomain.SIMULATED).hex(),
        "wrapped_key": b64encode(key.wrap(platform_key, TrustDomain.SIMULATED)).decode(),
    }


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _text(data: bytes) -> str:
    return b64encode(data).decode()


if __name__ == "__main__":
    main()
