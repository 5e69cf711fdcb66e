"""Owner: sign enclaves, and keys to sign them with."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sealflow.errors import ConfigError, MalformedError
from sealflow.owner.enclave.manifest import require_safe
from sealflow.owner.enclave.sigstruct import EXPONENT, EnclaveMeasurement, signer_of

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.attest.evidence import Role


SIGNER: Final = "gramine-sgx-sign"
_KEY_BITS: Final = 3072
_NO_DATE: Final = "0000-00-00"
"""The date is signed but not measured; without one, two builds give the same bytes."""


def sign(role: Role, folder: Path, key: Path) -> EnclaveMeasurement:
    """Sign `<role>.manifest` of a folder into `<role>.manifest.sgx` and `<role>.sig` beside it.

    Raises: ConfigError when key, manifest or signer will not do.
    """
    signer = enclave_signer(key)
    manifest = folder / f"{role}.manifest"
    try:
        rendered = tomllib.loads(manifest.read_text())
    except OSError as error:
        raise ConfigError(f"{manifest}: {error.strerror}; run `sealflow enclave build`") from error
    except ValueError as error:
        raise ConfigError(f"{manifest}: not a manifest: {error}") from error
    require_safe(rendered, role)
    program = shutil.which(SIGNER)
    if program is None:
        raise ConfigError(f"{SIGNER} is not installed: sign where Gramine 1.9 is")
    command = (
        program,
        f"--manifest={manifest}",
        f"--output={manifest}.sgx",
        f"--sigfile={folder / role}.sig",
        f"--date={_NO_DATE}",
        f"--key={key}",
        "--quiet",
    )
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigError(f"{SIGNER} failed: {lines[-1]}")
    measured = measure(role, folder)
    if measured.signer != signer:
        raise ConfigError(f"{SIGNER} signed with another key than {key}")
    return measured


def measure(role: Role, folder: Path) -> EnclaveMeasurement:
    """Read what a signed enclave of a folder measures as.

    Raises: ConfigError when it is not signed, or not with a valid signature.
    """
    path = folder / f"{role}.sig"
    try:
        return EnclaveMeasurement.from_bytes(path.read_bytes(), role)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; run `sealflow enclave sign`") from error
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error


def enclave_signer(key: Path) -> str:
    """Return the MRSIGNER, in hex, of a key that may sign enclaves.

    Raises: ConfigError when it is not RSA of 3072 bits with exponent 3, unencrypted.
    """
    wanted = "an enclave key is RSA of 3072 bits with exponent 3, in PEM: see docs/guide/sgx.md"
    try:
        loaded = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{key}: {error.strerror}") from error
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{key}: {error}; {wanted}") from error
    if not isinstance(loaded, RSAPrivateKey) or loaded.key_size != _KEY_BITS:
        raise ConfigError(f"{key}: {wanted}")
    numbers = loaded.public_key().public_numbers()
    if numbers.e != EXPONENT:
        raise ConfigError(f"{key} has exponent {numbers.e}: {wanted}")
    return signer_of(numbers.n.to_bytes(_KEY_BITS // 8, "little"))


def new_enclave_key() -> tuple[bytes, str]:
    """Draw a key; returns its PEM, as gramine-sgx-sign reads it, and its MRSIGNER in hex."""
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=_KEY_BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    modulus = key.public_key().public_numbers().n.to_bytes(_KEY_BITS // 8, "little")
    return pem, signer_of(modulus)
