"""Owner: the key file of a model owner; reads and writes that one file.

Two seeds: one signs packages, the other opens the content keys of the owner's own packages.
"""

from __future__ import annotations

import os
import secrets
import stat
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.errors import ConfigError, MalformedError
from sealflow.files import create_file, file_errors
from sealflow.seal.keys import SEED_BYTES, OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import canonical_json

_MAX_FILE_BYTES: Final = 4096
_KEYS: Final = ("sealing_seed", "signing_seed", "world")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerKey:
    """The key of a model owner or operator, in one trust domain. No repr shows its secrets.

    It signs packages and orders, and opens the content keys of its own packages (X-Wing).

    Attributes:
        domain: Hardware or simulation; a key of one is of no use in the other.
        signing_seed: Secret: 32 bytes, the seed of the Ed25519 key.
        sealing_seed: Secret: 32 bytes, the seed of the X-Wing key.

    Example:
        >>> key = OwnerKey.generate(TrustDomain.SIMULATED)
        >>> len(key.signer)
        64
    """

    domain: TrustDomain
    signing_seed: bytes = field(repr=False)
    sealing_seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, domain: TrustDomain) -> Self:
        """Draw a new key from the system's random source.

        Args:
            domain: Hardware or simulation.

        Returns:
            The key, which is in memory alone; `create_owner_key` also writes its file.
        """
        return cls(
            domain=domain,
            signing_seed=secrets.token_bytes(SEED_BYTES),
            sealing_seed=secrets.token_bytes(SEED_BYTES),
        )

    @property
    def signing(self) -> Ed25519PrivateKey:
        """The private key that signs packages and orders."""
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    @property
    def signer(self) -> str:
        """The owner's public name: the Ed25519 public key, 64 hex digits."""
        return self.signing.public_key().public_bytes_raw().hex()


def opening_key(owner: OwnerKey) -> OpeningKey:
    """Return the key that opens the content keys of the owner's packages; post-quantum."""
    return OpeningKey(suite=Suite.for_domain(owner.domain), seed=owner.sealing_seed)


def create_owner_key(path: str | os.PathLike[str], domain: TrustDomain) -> OwnerKey:
    """Draw a key and write its file with mode 0600, never over another file.

    Args:
        path: Where to write the file; its folder must exist.
        domain: Hardware or simulation.

    Returns:
        The new key.

    Raises:
        ConfigError: The file exists or cannot be written.

    Example:
        >>> key = create_owner_key("new-owner.key", TrustDomain.SIMULATED)
        >>> load_owner_key("new-owner.key").signer == key.signer
        True
    """
    key = OwnerKey.generate(domain)
    text = canonical_json(
        {
            "world": domain.name.lower(),
            "signing_seed": b64encode(key.signing_seed).decode(),
            "sealing_seed": b64encode(key.sealing_seed).decode(),
        }
    )
    exists = f"{path} exists; a key is never overwritten"
    with file_errors(f"{path}: cannot write the owner's key", exists=exists):
        create_file(Path(path), text)
    return key


def load_owner_key(path: str | os.PathLike[str]) -> OwnerKey:
    """Read a key file.

    Args:
        path: The file that `create_owner_key` or `sealflow up` wrote.

    Returns:
        The key.

    Raises:
        ConfigError: The file is absent, damaged, or open to other users. The message says what to
            do.

    Example:
        >>> load_owner_key(".sealflow/owner.key").domain
        <TrustDomain.SIMULATED: b'sealflow-sim/1'>
    """
    missing = f"no owner key at {path}; name it with --owner-key, or let `sealflow up` make one"
    with (
        file_errors(f"{path}: cannot read the owner's key", missing=missing),
        Path(path).open("rb") as file,
    ):
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(_MAX_FILE_BYTES + 1)
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} is open to other users; run: chmod 600 {path}")
    try:
        return _parsed(text)
    except MalformedError:
        # No cause: it could show a piece of the file.
        raise ConfigError(f"{path} is not an owner key, or is damaged") from None


def _parsed(text: bytes) -> OwnerKey:
    fields = Fields.from_bytes(text, "owner key", _KEYS)
    domains = {domain.name.lower(): domain for domain in TrustDomain}
    domain = domains.get(fields.text("world"))
    signing, sealing = (
        fields.base64(name, SEED_BYTES) for name in ("signing_seed", "sealing_seed")
    )
    if domain is None or not len(signing) == len(sealing) == SEED_BYTES:
        raise MalformedError("owner key: unknown trust domain or wrong seeds")
    return OwnerKey(domain=domain, signing_seed=signing, sealing_seed=sealing)
