"""A simulated deployment for tests: platform, owner, settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.requirements import DAY_S, Requirements
from sealflow.attest.simulated.authority import create_platform
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.owner import OwnerKey
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.attest.simulated.platform import SimulatedPlatform


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDeployment:
    """What `sealflow up` makes on disk, in memory."""

    platform: SimulatedPlatform
    owner: OwnerKey
    deployment: Deployment


def requirements(role: Role) -> Requirements:
    """What the enclave of this source tree fulfils."""
    return Requirements(
        measurements=frozenset({simulated_measurement(role).hex()}),
        max_collateral_age_s=400 * DAY_S,
    )


def simulated_deployment(now_ms: int, **changes: Any) -> SimulatedDeployment:
    """Make a deployment; `changes` are times and suites, as in `Deployment`."""
    platform = create_platform(now_ms)
    owner = OwnerKey.generate(TrustDomain.SIMULATED)
    deployment = Deployment(
        name="test",
        tee=Tee.SIMULATED,
        owners=frozenset({owner.signer}),
        operators=frozenset({owner.signer}),
        keybroker=requirements(Role.KEY_BROKER),
        worker=requirements(Role.WORKER),
        insecure_simulated_root=platform.root_der,
        **changes,
    )
    return SimulatedDeployment(platform=platform, owner=owner, deployment=deployment)
