"""Packages: what comes out is what the owner put in."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.package.statement import encode_envelope, sign_statement
from sealflow.seal.keys import OpeningKey, Suite
from tests.support.models.package_parts import (
    FILES,
    KEY,
    MANIFEST,
    OWNER,
    PACKAGE,
    SIGNER,
    join_package,
    open_package,
    pack,
    split_package,
)


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 65_536, 200_001])
def test_a_package_opens_to_its_files(suite: Suite, size: int) -> None:
    """In every suite, with files around the borders of chunks."""
    owner = OpeningKey.generate(suite)
    files = {**FILES, "model.bin": bytes(range(256)) * 800}
    files["model.bin"] = files["model.bin"][:size]
    package = UnverifiedPackage.from_bytes(bytearray(pack(files, owner))).verify(SIGNER)
    assert package.manifest == MANIFEST
    assert package.signer == SIGNER
    content_key = package.unwrap(owner)
    assert package.open_files(content_key, suite.domain) == files


def test_packing_tells_how_far_it_is() -> None:
    """The pieces add up to the files and the manifest."""
    done: list[int] = []
    files = {**FILES, "model.bin": bytes(150_000)}
    seal_package(MANIFEST, files, signing=KEY, sealing=OWNER.public_key, progress=done.append)
    assert sum(done) == sum(map(len, files.values())) + len(MANIFEST.to_bytes())
    assert len(done) > len(files)


def test_two_packings_share_nothing() -> None:
    """Each has a content key and a name of its own, and looks like noise."""
    first, second = UnverifiedPackage.from_bytes(PACKAGE), UnverifiedPackage.from_bytes(pack())
    assert first.digest != second.digest
    assert split_package(PACKAGE)[2] != split_package(pack())[2]
    assert b"weights of it" not in PACKAGE


@pytest.mark.parametrize("names", [["model.xml"], [*FILES, "manifest.json"], [*FILES, "../x"], []])
def test_a_package_has_exactly_the_manifests_files(names: list[str]) -> None:
    """Nothing is left out or smuggled in."""
    with pytest.raises(BundleError):
        pack(dict.fromkeys(names, b""))


def test_every_flipped_byte_is_refused() -> None:
    """No byte of a package can change unnoticed: lengths, statement, wrapped key and files."""
    for at in range(len(PACKAGE)):
        changed = bytearray(PACKAGE)
        changed[at] ^= 1 << at % 8
        with pytest.raises((BundleError, OpenError, MalformedError)):
            open_package(changed)
            pytest.fail(f"byte {at} does not count")


def test_every_truncation_is_refused() -> None:
    """So is a byte more."""
    for end in range(len(PACKAGE)):
        with pytest.raises(BundleError):
            UnverifiedPackage.from_bytes(memoryview(PACKAGE)[:end])
    with pytest.raises(BundleError):
        UnverifiedPackage.from_bytes(PACKAGE + b"\0")


def test_another_signer_or_digest_is_refused() -> None:
    """The caller says whose package it wants, and may say which."""
    unverified = UnverifiedPackage.from_bytes(PACKAGE)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert unverified.verify(SIGNER, digest=unverified.digest).digest == unverified.digest
    for signer, digest in ((other, None), (SIGNER, "0" * 64), (SIGNER, "")):
        with pytest.raises(BundleError):
            unverified.verify(signer, digest=digest)


def test_a_signature_by_somebody_else_in_the_signers_name_is_refused() -> None:
    """The key id in the envelope proves nothing."""
    envelope, wrapped, sealed = split_package(PACKAGE)
    payload = UnverifiedPackage.from_bytes(PACKAGE)._payload
    forged = encode_envelope(payload, sign_statement(payload, Ed25519PrivateKey.generate()), SIGNER)
    assert len(forged) == len(envelope)
    unverified = UnverifiedPackage.from_bytes(join_package(forged, wrapped, sealed))
    with pytest.raises(BundleError, match="signature"):
        unverified.verify(SIGNER)
