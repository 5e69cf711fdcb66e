"""The signed directory: what is written is read back; nothing else is accepted."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Evidence, Tee
from sealflow.documents.directory import (
    MAX_DIRECTORY_BYTES,
    Directory,
    DirectoryKey,
    DirectoryModel,
    SignedDirectory,
)
from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.errors import EvidenceError, MalformedError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = "ab" * 32
SIGNING = Ed25519PrivateKey.generate()
PUBLIC = SIGNING.public_key().public_bytes_raw()
EVIDENCE = Evidence(tee=Tee.SGX, quote=b"quote", bound=b"bound", collateral=b"collateral")
SPEC = TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 4))


def _key(suite: Suite = Suite.XWING) -> DirectoryKey:
    sealing = OpeningKey.generate(suite).public_key
    return DirectoryKey(
        kid=sealing.key_id,
        suite=suite,
        public=sealing.public,
        not_before_ms=1,
        retire_ms=2,
        destroy_ms=3,
    )


MODEL = DirectoryModel(
    name="tiny",
    version="1",
    digest=DIGEST,
    owner=DIGEST,
    workers=None,
    default=True,
    inputs=(SPEC,),
    outputs=(SPEC,),
    image=None,
)
DIRECTORY = Directory(
    deployment="test",
    log_id=DIGEST,
    log_number=4,
    log_digest=DIGEST,
    version=3,
    previous=DIGEST,
    issued_ms=10,
    expires_ms=20,
    manifest_digest=DIGEST,
    models=(
        MODEL,
        dataclasses.replace(MODEL, version="2", workers=DIGEST, default=False, image="x"),
    ),
    keys=(_key(), _key(Suite.X25519)),
    revoked=(
        Revoked(kind=RevokedKind.MODEL, id=DIGEST),
        Revoked(kind=RevokedKind.WORKER, id="cd" * 16),
        Revoked(kind=RevokedKind.KEY, id=_key().kid),
    ),
)


def _signed(
    directory: Directory = DIRECTORY, domain: TrustDomain = TrustDomain.HARDWARE
) -> SignedDirectory:
    return SignedDirectory.sign(directory, SIGNING, domain, EVIDENCE)


@pytest.mark.parametrize("previous", [None, DIGEST])
def test_round_trip(previous: str | None) -> None:
    """A published directory is read and verified as it was signed."""
    version = 1 if previous is None else 3
    directory = dataclasses.replace(DIRECTORY, previous=previous, version=version)
    found = SignedDirectory.from_bytes(_signed(directory).to_bytes())
    assert found == _signed(directory)
    assert found.digest == _signed(directory).digest
    assert found.verify_signature(PUBLIC, TrustDomain.HARDWARE) == directory


def test_other_signatures() -> None:
    """Another key, another payload, another world, or no key at all: not the key broker's."""
    signed = _signed()
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    changed = dataclasses.replace(signed, payload=signed.payload.replace(b'"version":3', b"9"))
    for document, key, domain in (
        (signed, other, TrustDomain.HARDWARE),
        (signed, PUBLIC[:-1], TrustDomain.HARDWARE),
        (signed, PUBLIC, TrustDomain.SIMULATED),
        (changed, PUBLIC, TrustDomain.HARDWARE),
    ):
        with pytest.raises(EvidenceError) as caught:
            document.verify_signature(key, domain)
        assert caught.value.code == "directory_signature"


def test_signed_nonsense() -> None:
    """What a key broker signed must still be a directory, with keys of its own world."""
    payload = b"{}"
    signature = SIGNING.sign(TrustDomain.HARDWARE.label("directory") + payload)
    nonsense = SignedDirectory(payload=payload, signature=signature, evidence=EVIDENCE)
    mixed = dataclasses.replace(DIRECTORY, keys=(_key(Suite.SIMULATED_XWING),))
    for document in (nonsense, _signed(mixed)):
        with pytest.raises(EvidenceError) as caught:
            document.verify_signature(PUBLIC, TrustDomain.HARDWARE)
        assert caught.value.code == "directory"


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("keys"),
        lambda value: value.update(more=1, critical=["more"]),
        lambda value: value.update(format=2),
        lambda value: value.update(models=value["models"] * 2),
        lambda value: value["models"][1].update(default=True),
        lambda value: value["models"][1].update(image="y"),
        lambda value: value.update(version=-1),
        lambda value: value.update(version=True),
        lambda value: value.update(log_number="4"),
        lambda value: value.update(issued_ms=2**53),
        lambda value: value.update(expires_ms=1.5),
        lambda value: value.update(previous="ab"),
        lambda value: value.update(previous=None),
        lambda value: value.update(version=1),
        lambda value: value.update(version=0, previous=None),
        lambda value: value.update(expires_ms=10),
        lambda value: value.update(keys=value["keys"] * 2),
        lambda value: value.update(models={}),
        lambda value: value.update(models=[5]),
        lambda value: value.update(keys=[{}] * 65),
        lambda value: value["models"][0].update(default=1),
        lambda value: value["models"][0].update(image=1),
        lambda value: value["models"][0].update(inputs=5),
        lambda value: value["keys"].__setitem__(0, "key"),
        lambda value: value["keys"][0].update(kid=value["keys"][1]["kid"]),
        lambda value: value["keys"][0].update(suite=None),
        lambda value: value["keys"][0].update(public="*"),
        lambda value: value["keys"][0].update(retire_ms=-1),
        lambda value: value["revoked"].__setitem__(0, []),
        lambda value: value["revoked"][0].update(kind=[]),
        lambda value: value["revoked"][0].update(id="cd" * 16),
        lambda value: value["revoked"][1].update(id=DIGEST),
    ],
)
def test_malformed_payloads(change: Callable[[dict[str, Any]], object]) -> None:
    """Every field has one type and its bounds; what else comes is refused."""
    value = json.loads(DIRECTORY.to_bytes())
    change(value)
    with pytest.raises(MalformedError):
        Directory.unverified_from_bytes(json.dumps(value).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(directory=[]),
        lambda value: value["directory"].pop("signature"),
        lambda value: value["directory"].update(payload=5),
        lambda value: value["directory"].update(signature=b64encode(bytes(67)).decode()),
        lambda value: value.update(evidence=None),
    ],
)
def test_malformed_documents(change: Callable[[dict[str, Any]], object]) -> None:
    """The document around the payload is as strict."""
    value = json.loads(_signed().to_bytes())
    change(value)
    with pytest.raises(MalformedError):
        SignedDirectory.from_bytes(json.dumps(value).encode())


def test_oversized_documents() -> None:
    """A document over the limit is refused before it is parsed."""
    with pytest.raises(MalformedError, match="document: over"):
        SignedDirectory.from_bytes(bytes(2 * MAX_DIRECTORY_BYTES + 1))


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda value: value.update(more=1), (2, 2, 3)),
        (lambda value: value["models"][0].update(more=1), (2, 2, 3)),
        (lambda value: value["models"][0].update(more=1, critical=["more"]), (1, 2, 3)),
        (lambda value: value["models"][0]["inputs"][0].update(more=1), (2, 2, 3)),
        (lambda value: value["models"][0]["inputs"][0].update(datatype="FP8"), (1, 2, 3)),
        (lambda value: value["keys"][0].update(more=1), (2, 2, 3)),
        (lambda value: value["keys"][0].update(suite=3), (2, 1, 3)),
        (lambda value: value["keys"][0].update(more=1, critical=["more"]), (2, 1, 3)),
        (lambda value: value["revoked"][0].update(more=1), (2, 2, 3)),
        (lambda value: value["revoked"][0].update(kind="owner", id=5), (2, 2, 2)),
    ],
)
def test_a_directory_of_a_newer_release(
    change: Callable[[dict[str, Any]], object], left: tuple[int, int, int]
) -> None:
    """Unknown fields are ignored; models and keys that need a newer reader are left out."""
    value = json.loads(DIRECTORY.to_bytes())
    change(value)
    read = Directory.unverified_from_bytes(json.dumps(value).encode())
    assert (len(read.models), len(read.keys), len(read.revoked)) == left


def test_the_code_of_a_newer_directory() -> None:
    """A directory that only a newer release can read says so."""
    value = json.loads(DIRECTORY.to_bytes())
    for changes, code in (({"format": 2}, "format"), ({"x": 1, "critical": ["x"]}, "critical")):
        payload = json.dumps(value | changes).encode()
        signature = SIGNING.sign(TrustDomain.HARDWARE.label("directory") + payload)
        document = SignedDirectory(payload=payload, signature=signature, evidence=EVIDENCE)
        with pytest.raises(EvidenceError) as caught:
            document.verify_signature(PUBLIC, TrustDomain.HARDWARE)
        assert caught.value.code == code
