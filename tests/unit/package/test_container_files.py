"""The encrypted files of a package stay in their place, and are what was signed."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.errors import BundleError, OpenError
from sealflow.package.container import UnverifiedPackage, _file_key
from sealflow.seal.chunked import chunked_length, open_chunked, seal_chunked
from tests.support.models.package_parts import (
    FILES,
    MANIFEST,
    OWNER,
    PACKAGE,
    SIGNER,
    WORLD,
    join_package,
    open_package,
    pack,
    sign_changed,
    split_package,
    verified_package,
)


def test_files_cannot_change_places() -> None:
    """Two files of one length are still bound to their names."""
    files = {**FILES, "labels.txt": b"a" * 500, "model.bin": b"b" * 500, "model.xml": b"c" * 500}
    envelope, wrapped, sealed = split_package(pack(files))
    length, between = chunked_length(500), len(MANIFEST.to_bytes())
    second = length + chunked_length(between)
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
        open_package(join_package(envelope, wrapped, swapped))


def test_files_are_encrypted_as_the_spec_says() -> None:
    """A second implementation, written from bundle.md 5.2, opens the first file."""
    package = verified_package()
    _, wrapped, sealed = split_package(PACKAGE)
    first = package.statement.files[0]
    parts = (bytes.fromhex(package.digest), hashlib.sha256(wrapped).digest(), first.name.encode())
    bound = b"".join(len(part).to_bytes(4) + part for part in parts)
    context = hashlib.sha256(WORLD.label("bundle file context") + bound).digest()
    info = WORLD.label("bundle file key") + context
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(package.unwrap(OWNER))
    file = open_chunked(key, context, memoryview(sealed)[: chunked_length(first.size)])
    assert hashlib.sha256(file).hexdigest() == first.digest


def test_files_of_another_package_do_not_open() -> None:
    """Not even those of the same model, packed again."""
    envelope, wrapped, sealed = split_package(PACKAGE)
    other = split_package(pack())[2]
    assert len(other) == len(sealed)
    with pytest.raises(OpenError):
        open_package(join_package(envelope, wrapped, other))


def test_a_file_that_is_not_the_signed_one_is_refused() -> None:
    """Whoever has the content key can encrypt, but not change what was signed."""
    envelope, wrapped, sealed = split_package(sign_changed({"digest": "0" * 64}))
    digest = UnverifiedPackage.from_bytes(join_package(envelope, wrapped, sealed)).digest
    key, context = _file_key(WORLD, verified_package().unwrap(OWNER), digest, wrapped, "labels.txt")
    own = seal_chunked(key, context, [FILES["labels.txt"]])
    package = UnverifiedPackage.from_bytes(
        join_package(envelope, wrapped, own + sealed[len(own) :])
    ).verify(SIGNER)
    with pytest.raises(BundleError, match="signed digest"):
        package.open_files(verified_package().unwrap(OWNER), WORLD)
