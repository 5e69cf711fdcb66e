"""One package of one owner, whole, in parts and put together again."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.package.container import MAGIC, Package, UnverifiedPackage, seal_package
from sealflow.package.manifest import ModelManifest
from sealflow.package.statement import encode_envelope, sign_statement
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping


KEY = Ed25519PrivateKey.generate()
SIGNER = KEY.public_key().public_bytes_raw().hex()
OWNER = OpeningKey.generate(Suite.SIMULATED_X25519)
WORLD = TrustDomain.SIMULATED
MANIFEST = ModelManifest.from_json(
    {
        "name": "m",
        "version": "1",
        "format": "openvino",
        "file": "model.xml",
        "labels": "labels.txt",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
        "max_batch": 8,
    }
)
FILES = {"model.xml": b"<net/>", "model.bin": b"weights of it", "labels.txt": b""}


def pack(files: Mapping[str, bytes] = FILES, owner: OpeningKey = OWNER) -> bytes:
    """A package of the owner's."""
    return seal_package(MANIFEST, files, signing=KEY, sealing=owner.public_key)


PACKAGE = pack()


def open_package(package: bytes | bytearray | memoryview) -> dict[str, bytes]:
    """The way of a package through all its checks."""
    verified = UnverifiedPackage.from_bytes(package).verify(SIGNER)
    return verified.open_files(verified.unwrap(OWNER), WORLD)


def split_package(package: bytes) -> tuple[bytes, bytes, bytes]:
    """Envelope, wrapped key and encrypted files."""
    parts, at = [], len(MAGIC)
    for _ in range(2):
        end = at + 4 + int.from_bytes(package[at : at + 4])
        parts.append(package[at + 4 : end])
        at = end
    return parts[0], parts[1], package[at:]


def join_package(envelope: bytes, wrapped: bytes, sealed: bytes) -> bytes:
    """The package of these parts."""
    lengths = [struct.pack(">I", len(part)) for part in (envelope, wrapped)]
    return b"".join((MAGIC, lengths[0], envelope, lengths[1], wrapped, sealed))


def verified_package() -> Package:
    """The package with its signature checked."""
    return UnverifiedPackage.from_bytes(PACKAGE).verify(SIGNER)


def sign_changed(change: dict[str, object], place: int = 0) -> bytes:
    """A package whose owner signed something else about one file."""
    _, wrapped, sealed = split_package(PACKAGE)
    value = json.loads(UnverifiedPackage.from_bytes(PACKAGE)._payload)
    value["predicate"]["resources"][place].update(change)
    digests = [bytes.fromhex(each["digest"]) for each in value["predicate"]["resources"]]
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()
    payload = canonical_json(value)
    return join_package(
        encode_envelope(payload, sign_statement(payload, KEY), SIGNER), wrapped, sealed
    )
