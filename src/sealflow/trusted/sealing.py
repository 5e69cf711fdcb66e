"""Trusted: a key that only this code on this machine can have, to keep state on the host's disk.

On SGX the processor derives it from the measurement. In a simulation it comes from the simulated
platform, which the host has: it protects nothing, like all of a simulation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.trusted.journal import FatalError
from sealflow.wire.frame_payloads import Fatal

GRAMINE_KEY: Final = Path("/dev/attestation/keys/_sgx_mrenclave")
"""Source: Gramine documentation, attestation and secret provisioning, low-level interface."""
_SGX_KEY_BYTES: Final = 16
_KEY_BYTES: Final = 32


def sgx_platform_key(deployment_digest: str, path: Path = GRAMINE_KEY) -> bytes:
    """Derive 32 bytes from the processor's sealing key for this MRENCLAVE.

    Raises: FatalError when Gramine offers none.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise FatalError(Fatal.TEE) from error
    if len(secret) != _SGX_KEY_BYTES:
        raise FatalError(Fatal.TEE)
    return platform_key(secret, b"", deployment_digest)


def platform_key(secret: bytes, measurement: bytes, deployment_digest: str) -> bytes:
    """Derive the key of one measurement and one deployment's settings from a machine's secret."""
    info = b"sealflow platform key\0" + measurement + bytes.fromhex(deployment_digest)
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret)
