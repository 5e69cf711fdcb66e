"""Owner: signs enclaves, and makes and checks the keys that sign them."""

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
from sealflow.files import file_errors
from sealflow.owner.enclave.manifest import require_safe
from sealflow.owner.enclave.sigstruct import EXPONENT, EnclaveMeasurement, signer_of

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.attest.evidence import Role


SIGNER: Final = "gramine-sgx-sign"
_KEY_BITS: Final = 3072
_NO_DATE: Final = "0000-00-00"
"""A constant date, so that two builds give the same bytes: the date is signed, not measured."""


def sign(role: Role, folder: Path, key: Path) -> EnclaveMeasurement:
    """Sign `<role>.manifest` of a folder; write `<role>.manifest.sgx` and `<role>.sig` beside it.

    Raises: ConfigError when the key or the manifest is not valid, or `gramine-sgx-sign` fails.
    """
    signer = enclave_signer(key)
    manifest = folder / f"{role}.manifest"
    with file_errors(f"{manifest}", "run `sealflow enclave build`"):
        text = manifest.read_bytes()
    try:
        rendered = tomllib.loads(text.decode())
    except ValueError as error:
        raise ConfigError(f"{manifest} is not a manifest: {error}") from error
    require_safe(rendered, role)
    program = shutil.which(SIGNER)
    if program is None:
        raise ConfigError(f"{SIGNER} is not installed: install Gramine 1.9, or sign elsewhere")
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
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise ConfigError(f"{SIGNER} failed: {lines[-1]}")
    measured = measure(role, folder)
    if measured.signer != signer:
        raise ConfigError(f"{SIGNER} signed with another key than {key}")
    return measured


def measure(role: Role, folder: Path) -> EnclaveMeasurement:
    """Return the measurement of a signed enclave in a folder, from `<role>.sig`.

    Raises: ConfigError when the signature is missing or not valid.
    """
    path = folder / f"{role}.sig"
    with file_errors(f"{path}", "run `sealflow enclave sign`"):
        signature = path.read_bytes()
    try:
        return EnclaveMeasurement.from_bytes(signature, role)
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error


def enclave_signer(key: Path) -> str:
    """Return the MRSIGNER, in hex, of an enclave signing key in a PEM file.

    Raises: ConfigError when the key is not RSA-3072 with exponent 3, or is encrypted.
    """
    required = "an enclave key is RSA of 3072 bits with exponent 3, in PEM: see docs/guide/sgx.md"
    with file_errors(f"{key}"):
        pem = key.read_bytes()
    try:
        loaded = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{key}: {error}; {required}") from error
    if not isinstance(loaded, RSAPrivateKey) or loaded.key_size != _KEY_BITS:
        raise ConfigError(f"{key}: {required}")
    numbers = loaded.public_key().public_numbers()
    if numbers.e != EXPONENT:
        raise ConfigError(f"{key} has exponent {numbers.e}: {required}")
    return signer_of(numbers.n.to_bytes(_KEY_BITS // 8, "little"))


def new_enclave_key() -> tuple[bytes, str]:
    """Create a key. Return it as PEM in PKCS #1, which `gramine-sgx-sign` reads, and its MRSIGNER.

    MRSIGNER is in hex.
    """
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=_KEY_BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    modulus = key.public_key().public_numbers().n.to_bytes(_KEY_BITS // 8, "little")
    return pem, signer_of(modulus)
