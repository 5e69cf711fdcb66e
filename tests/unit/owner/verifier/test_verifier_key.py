"""The file of a verifier's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sealflow.errors import ConfigError
from sealflow.owner.verifier.verifier_key import create_verifier_key, load_verifier_key
from tests.support.passports.tokens import ED25519

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("curve", ["Ed25519", "P-256"])
def test_round_trip(tmp_path: Path, curve: str) -> None:
    """A key is read as it was written, by its owner alone, and is never overwritten."""
    path = tmp_path / "verifier.key"
    made = create_verifier_key(path, curve)
    assert path.stat().st_mode & 0o777 == 0o600
    read = load_verifier_key(path)
    assert read.trusted("v") == made.trusted("v")
    assert read.curve == curve
    with pytest.raises(ConfigError, match="never overwritten"):
        create_verifier_key(path, curve)


def test_mistakes(tmp_path: Path) -> None:
    """Each says what to do, and shows nothing of the file."""
    path = tmp_path / "verifier.key"
    with pytest.raises(ConfigError, match="cannot read the verifier's key"):
        load_verifier_key(path)
    with pytest.raises(ConfigError, match="cannot write the verifier's key"):
        create_verifier_key(tmp_path / "absent" / "verifier.key")
    create_verifier_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_verifier_key(path)
    path.chmod(0o600)
    locked = ED25519.private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    for text in (
        b"secret",
        locked,
        b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----",
    ):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match="without a password") as caught:
            load_verifier_key(path)
        assert caught.value.__cause__ is None


def test_other_keys(tmp_path: Path) -> None:
    """Keys that cannot sign passports are refused."""
    path = tmp_path / "verifier.key"
    for key in (X25519PrivateKey.generate(), generate_private_key(SECP384R1())):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="neither Ed25519 nor P-256"):
            load_verifier_key(path)
