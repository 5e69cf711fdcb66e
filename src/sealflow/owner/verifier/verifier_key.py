"""Owner: the signing key of a verifier; reads and writes its file, PKCS #8 in PEM."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sealflow.attest.verifiers import COORDINATE_BYTES, ED25519, P256, TrustedVerifier
from sealflow.errors import ConfigError
from sealflow.files import create_file, file_errors

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A private key of Ed25519 or P-256. No repr shows it."""

    private: Ed25519PrivateKey | EllipticCurvePrivateKey = field(repr=False)

    @property
    def curve(self) -> str:
        """`Ed25519` or `P-256`."""
        return ED25519 if isinstance(self.private, Ed25519PrivateKey) else P256

    def sign(self, content: bytes) -> bytes:
        """Return the signature in 64 bytes: Ed25519, or r and s of ECDSA with SHA-256."""
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(content)
        r, s = decode_dss_signature(self.private.sign(content, ECDSA(SHA256())))
        return r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES)

    def trusted(self, name: str, *, instead_of_evidence: bool = False) -> TrustedVerifier:
        """Return the public key as policies name it."""
        if isinstance(self.private, Ed25519PrivateKey):
            public = self.private.public_key().public_bytes_raw()
        else:
            numbers = self.private.public_key().public_numbers()
            public = b"".join(each.to_bytes(COORDINATE_BYTES) for each in (numbers.x, numbers.y))
        return TrustedVerifier(
            name=name,
            curve=self.curve,
            public=public,
            instead_of_evidence=instead_of_evidence,
        )


def create_verifier_key(path: Path, curve: str = ED25519) -> VerifierKey:
    """Draw a key and write its file with mode 0600, never over another file.

    Raises: ConfigError when the file exists or cannot be written.
    """
    private = (
        Ed25519PrivateKey.generate() if curve == ED25519 else generate_private_key(SECP256R1())
    )
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    exists = f"{path} exists; a key is never overwritten"
    with file_errors(f"{path}: cannot write the verifier's key", exists=exists):
        create_file(path, text)
    return VerifierKey(private=private)


def load_verifier_key(path: Path) -> VerifierKey:
    """Read a key file.

    Raises: ConfigError when it is absent, damaged, or open to other users.
    """
    with file_errors(f"{path}: cannot read the verifier's key"), path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(_MAX_FILE_BYTES)
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} is open to other users; run: chmod 600 {path}")
    try:
        private = load_pem_private_key(text, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        # No cause: it could show a piece of the file.
        raise ConfigError(f"{path} is not a private key in PEM without a password") from None
    if isinstance(private, Ed25519PrivateKey):
        return VerifierKey(private=private)
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return VerifierKey(private=private)
    raise ConfigError(f"{path}: the key is of neither Ed25519 nor P-256")
