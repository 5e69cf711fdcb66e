"""Packages: only what the owner signed, opened with the granted key, becomes a model."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.errors import BundleError
from sealflow.wire.domain import TrustDomain
from tests.support.models.served_models import (
    SIGNER,
    PackedModel,
    make_loader,
    pack_model,
    read_example,
)


@cache
def _tiny() -> PackedModel:
    return pack_model(*read_example("tiny"))


def test_the_package_is_emptied_once_it_was_read() -> None:
    """The ciphertext does not stay beside the model."""
    package = bytearray(_tiny().package)
    make_loader().load_package(
        package, _tiny().digest, SIGNER, _tiny().content_key, TrustDomain.SIMULATED
    )
    assert not package


def _refused(reason: str, **changes: Any) -> None:
    granted: dict[str, Any] = {
        "package": bytearray(_tiny().package),
        "digest": _tiny().digest,
        "signer": SIGNER,
        "content_key": _tiny().content_key,
        "domain": TrustDomain.SIMULATED,
        **changes,
    }
    with pytest.raises(BundleError, match=reason) as caught:
        make_loader().load_package(**granted)
    assert caught.value.code == "bundle"


def test_another_package_is_refused() -> None:
    """The digest of the grant decides, not the name that a host gave the file."""
    _refused("another digest", digest="0" * 64)


def test_another_signer_is_refused() -> None:
    """A package that somebody else signed is not the owner's."""
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    _refused("another signer than expected", signer=other)


def test_a_wrong_key_is_refused() -> None:
    """Neither another content key nor another world opens it."""
    _refused("does not open with the granted content key", content_key=bytes(32))
    _refused("does not open with the granted content key", domain=TrustDomain.HARDWARE)


def test_every_part_of_a_package_is_guarded() -> None:
    """A bit changed anywhere, the end cut off, something added: nothing of it loads."""
    whole = _tiny().package
    for at in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1
        _refused(r".", package=changed)
    _refused("package", package=bytearray(whole[:-1]))
    _refused("package", package=bytearray(whole + b"\0"))
    _refused("package", package=bytearray())


def test_what_is_no_statement_is_refused() -> None:
    """Bytes that parse as no manifest are a broken package, not an error of the worker."""
    envelope = json.dumps({"payloadType": "x", "payload": "", "signatures": []}).encode()
    _refused("package", package=bytearray(b"SFB1" + len(envelope).to_bytes(4) + envelope))
