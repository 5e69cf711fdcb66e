"""Packages: what comes out is what the owner put in, or nothing does."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.seal.bundle import (
    MAGIC,
    MAX_WRAPPED_KEY_BYTES,
    Package,
    _file_key,
    content_key_id,
    pack,
    read_package,
)
from sealflow.seal.keys import OpeningKey
from sealflow.seal.manifest import ModelManifest
from sealflow.seal.statement import MAX_STATEMENT_BYTES, encode_envelope, sign_statement
from sealflow.seal.stream import open_stream, seal_stream, stream_length
from sealflow.seal.suites import Suite
from sealflow.wire.strict_json import canonical
from sealflow.wire.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = Ed25519PrivateKey.generate()
SIGNER = KEY.public_key().public_bytes_raw().hex()
OWNER = OpeningKey.generate(Suite.SIMULATED_X25519)
WORLD = World.SIMULATED


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


def packed(files: Mapping[str, bytes] = FILES, owner: OpeningKey = OWNER) -> bytes:
    """A package of the owner's."""
    return pack(MANIFEST, files, signing=KEY, sealing=owner.sealing)


PACKAGE = packed()


def opened(package: bytes | bytearray | memoryview) -> dict[str, bytes]:
    """The way of a package through all its checks."""
    verified = read_package(package).verify(SIGNER)
    return verified.open_files(verified.unwrap(OWNER), WORLD)


def split(package: bytes) -> tuple[bytes, bytes, bytes]:
    """Envelope, wrapped key and encrypted files."""
    parts, at = [], len(MAGIC)
    for _ in range(2):
        end = at + 4 + int.from_bytes(package[at : at + 4])
        parts.append(package[at + 4 : end])
        at = end
    return parts[0], parts[1], package[at:]


def joined(envelope: bytes, wrapped: bytes, sealed: bytes) -> bytes:
    """The package of these parts."""
    lengths = [struct.pack(">I", len(part)) for part in (envelope, wrapped)]
    return b"".join((MAGIC, lengths[0], envelope, lengths[1], wrapped, sealed))


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 65_536, 200_001])
def test_a_package_opens_to_its_files(suite: Suite, size: int) -> None:
    """In every suite, with files around the borders of chunks."""
    owner = OpeningKey.generate(suite)
    files = {**FILES, "model.bin": bytes(range(256)) * 800}
    files["model.bin"] = files["model.bin"][:size]
    package = read_package(bytearray(packed(files, owner))).verify(SIGNER)
    assert package.manifest == MANIFEST
    assert package.signer == SIGNER
    content_key = package.unwrap(owner)
    assert package.open_files(content_key, suite.world) == files


def test_packing_tells_how_far_it_is() -> None:
    """The pieces add up to the files and the manifest."""
    done: list[int] = []
    files = {**FILES, "model.bin": bytes(150_000)}
    pack(MANIFEST, files, signing=KEY, sealing=OWNER.sealing, progress=done.append)
    assert sum(done) == sum(map(len, files.values())) + len(MANIFEST.encode())
    assert len(done) > len(files)


def test_two_packings_share_nothing() -> None:
    """Each has a content key and a name of its own, and looks like noise."""
    first, second = read_package(PACKAGE), read_package(packed())
    assert first.digest != second.digest
    assert split(PACKAGE)[2] != split(packed())[2]
    assert b"weights of it" not in PACKAGE


@pytest.mark.parametrize("names", [["model.xml"], [*FILES, "manifest.json"], [*FILES, "../x"], []])
def test_a_package_has_exactly_the_manifests_files(names: list[str]) -> None:
    """Nothing is left out or smuggled in."""
    with pytest.raises(BundleError):
        packed(dict.fromkeys(names, b""))


def test_every_flipped_byte_is_refused() -> None:
    """No byte of a package can change unnoticed: lengths, statement, wrapped key and files."""
    for at in range(len(PACKAGE)):
        changed = bytearray(PACKAGE)
        changed[at] ^= 1 << at % 8
        with pytest.raises((BundleError, OpenError, MalformedError)):
            opened(changed)
            pytest.fail(f"byte {at} does not count")


def test_every_truncation_is_refused() -> None:
    """So is a byte more."""
    for end in range(len(PACKAGE)):
        with pytest.raises(BundleError):
            read_package(memoryview(PACKAGE)[:end])
    with pytest.raises(BundleError):
        read_package(PACKAGE + b"\0")


def test_another_signer_or_digest_is_refused() -> None:
    """The caller says whose package it wants, and may say which."""
    unverified = read_package(PACKAGE)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert unverified.verify(SIGNER, digest=unverified.digest).digest == unverified.digest
    for signer, digest in ((other, None), (SIGNER, "0" * 64), (SIGNER, "")):
        with pytest.raises(BundleError):
            unverified.verify(signer, digest=digest)


def test_a_signature_by_somebody_else_in_the_signers_name_is_refused() -> None:
    """The key id in the envelope proves nothing."""
    envelope, wrapped, sealed = split(PACKAGE)
    payload = read_package(PACKAGE)._payload
    forged = encode_envelope(payload, sign_statement(payload, Ed25519PrivateKey.generate()), SIGNER)
    assert len(forged) == len(envelope)
    unverified = read_package(joined(forged, wrapped, sealed))
    with pytest.raises(BundleError, match="signature"):
        unverified.verify(SIGNER)


def verified() -> Package:
    """The package with its signature checked."""
    return read_package(PACKAGE).verify(SIGNER)


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 32, b"k" * 33])
def test_a_wrong_content_key_opens_nothing(key: bytes) -> None:
    """The statement commits to the right one."""
    with pytest.raises(OpenError):
        verified().open_files(key, WORLD)


def test_the_right_content_key_opens_nothing_in_another_world() -> None:
    """What is simulated never counts as hardware."""
    key = verified().unwrap(OWNER)
    assert content_key_id(key, World.HARDWARE) != content_key_id(key, World.SIMULATED)
    with pytest.raises(OpenError):
        verified().open_files(key, World.HARDWARE)


def test_only_the_packing_owner_unwraps() -> None:
    """Neither another key nor the same seed in another world."""
    for other in (
        OpeningKey.generate(Suite.SIMULATED_X25519),
        OpeningKey(suite=Suite.X25519, seed=OWNER.seed),
    ):
        with pytest.raises(OpenError):
            verified().unwrap(other)


def test_a_wrapped_key_of_another_package_is_refused() -> None:
    """It is bound to the digest of its own."""
    envelope, _, sealed = split(PACKAGE)
    _, other, _ = split(packed())
    package = read_package(joined(envelope, other, sealed)).verify(SIGNER)
    with pytest.raises(OpenError):
        package.unwrap(OWNER)
    with pytest.raises(OpenError):
        package.open_files(verified().unwrap(OWNER), WORLD)


def test_files_cannot_change_places() -> None:
    """Two files of one length are still bound to their names."""
    files = {**FILES, "labels.txt": b"a" * 500, "model.bin": b"b" * 500, "model.xml": b"c" * 500}
    envelope, wrapped, sealed = split(packed(files))
    length, between = stream_length(500), len(MANIFEST.encode())
    second = length + stream_length(between)
    swapped = b"".join(
        (
            sealed[second : second + length],
            sealed[length:second],
            sealed[:length],
            sealed[second + length :],
        )
    )
    assert len(swapped) == len(sealed)
    with pytest.raises(OpenError):
        opened(joined(envelope, wrapped, swapped))


def test_files_are_encrypted_as_the_spec_says() -> None:
    """A second implementation, written from bundle.md 5.2, opens the first file."""
    package = verified()
    _, wrapped, sealed = split(PACKAGE)
    first = package.statement.resources[0]
    parts = (bytes.fromhex(package.digest), hashlib.sha256(wrapped).digest(), first.name.encode())
    bound = b"".join(len(part).to_bytes(4) + part for part in parts)
    context = hashlib.sha256(WORLD.label("bundle file context") + bound).digest()
    info = WORLD.label("bundle file key") + context
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(package.unwrap(OWNER))
    file = open_stream(key, context, memoryview(sealed)[: stream_length(first.size)])
    assert hashlib.sha256(file).hexdigest() == first.digest


def test_files_of_another_package_do_not_open() -> None:
    """Not even those of the same model, packed again."""
    envelope, wrapped, sealed = split(PACKAGE)
    other = split(packed())[2]
    assert len(other) == len(sealed)
    with pytest.raises(OpenError):
        opened(joined(envelope, wrapped, other))


def resigned(change: dict[str, object], place: int = 0) -> bytes:
    """A package whose owner signed something else about one file."""
    _, wrapped, sealed = split(PACKAGE)
    value = json.loads(read_package(PACKAGE)._payload)
    value["predicate"]["resources"][place].update(change)
    digests = [bytes.fromhex(each["digest"]) for each in value["predicate"]["resources"]]
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()
    payload = canonical(value)
    return joined(encode_envelope(payload, sign_statement(payload, KEY), SIGNER), wrapped, sealed)


def test_a_file_that_is_not_the_signed_one_is_refused() -> None:
    """Whoever has the content key can encrypt, but not change what was signed."""
    envelope, wrapped, sealed = split(resigned({"digest": "0" * 64}))
    digest = read_package(joined(envelope, wrapped, sealed)).digest
    key, context = _file_key(WORLD, verified().unwrap(OWNER), digest, wrapped, "labels.txt")
    own = seal_stream(key, context, [FILES["labels.txt"]])
    package = read_package(joined(envelope, wrapped, own + sealed[len(own) :])).verify(SIGNER)
    with pytest.raises(BundleError, match="signed digest"):
        package.open_files(verified().unwrap(OWNER), WORLD)


@pytest.mark.parametrize("size", [1, 2**32 - 1, 2**32 - 14, 2**32, 2**63])
def test_an_announced_huge_file_allocates_nothing(size: int) -> None:
    """What a statement says about sizes is compared with what is there."""
    package = resigned({"size": size})
    _refused_for_little(package)


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, MAX_STATEMENT_BYTES * 2])
def test_an_announced_huge_part_allocates_nothing(length: int) -> None:
    """Lengths over their limits or over the end are refused."""
    envelope, _, _ = split(PACKAGE)
    announced = struct.pack(">I", length)
    _refused_for_little(MAGIC + announced)
    _refused_for_little(MAGIC + announced + bytes(100))
    _refused_for_little(MAGIC + struct.pack(">I", len(envelope)) + envelope + announced)


def test_parts_have_limits_even_when_they_are_there() -> None:
    """Nobody makes a reader parse megabytes of statement or unwrap a long key."""
    envelope, _, sealed = split(PACKAGE)
    large = bytes(MAX_STATEMENT_BYTES * 2)
    for package in (
        joined(large, b"", b""),
        joined(envelope, bytes(MAX_WRAPPED_KEY_BYTES + 1), sealed),
    ):
        with pytest.raises(BundleError, match="limit"):
            read_package(package)


def _refused_for_little(package: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            read_package(package)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
