"""Owner, pure: hand a packed model to a key broker that was verified before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealflow.errors import ConfigError
from sealflow.seal.bundle import read_package
from sealflow.seal.publishing import seal_publication

if TYPE_CHECKING:
    from sealflow.owner.ownerkey import OwnerKey
    from sealflow.seal.keys import SealingKey
    from sealflow.seal.manifest import ModelManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPublication:
    """What the key broker gets; the package itself goes to the cluster's storage under `digest`."""

    digest: str
    manifest: ModelManifest
    sealed: bytes = field(repr=False)


def prepare_publication(
    package: bytes | memoryview, owner: OwnerKey, keybroker: SealingKey
) -> SealedPublication:
    """Check that a package is the owner's own and seal its content key to the key broker.

    `keybroker`: from evidence that the owner's policy approved, never from anywhere else.

    Raises: BundleError, OpenError for a package of somebody else, ConfigError for mixed worlds.
    """
    world = keybroker.suite.world
    if world is not owner.world:
        raise ConfigError(
            f"the owner's key is of the {owner.world.name.lower()} world, "
            f"the key broker of the {world.name.lower()} one; pack with a key of its world"
        )
    checked = read_package(package).verify(owner.signer)
    content_key = checked.unwrap(owner.opening)
    return SealedPublication(
        digest=checked.digest,
        manifest=checked.manifest,
        sealed=seal_publication(checked, content_key, keybroker),
    )
