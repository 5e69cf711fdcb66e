"""Enclaves of Gramine, built twice and signed with two keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.enclaves.gramine_installation import (
        EnclaveFolder,
    )

LOAD = {"threads": 1, "models": 10, "weights-mib": 170}
"""What the simulated enclaves are sized for, and then given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What one build of the images' enclaves gives: manifests and measurements, by role."""

    manifests: dict[str, bytes]
    measured: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEnclaves:
    """A place with enclaves, built twice from nothing and signed with two keys; the second stays.

    `shipped`: the signed manifests of the templates as they are. `simulated`: manifests with the
    simulated TEE left in, for `LOAD`. `launch`: what starts these, for an engine.
    """

    place: EnclaveFolder
    keys: tuple[Path, Path]
    builds: tuple[Build, Build]
    shipped: Path
    simulated: Path
    launch: Path
