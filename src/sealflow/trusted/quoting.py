"""Trusted: how an enclave gets evidence about itself.

In a simulation the enclave signs its own quotes with the platform that the host gave it. Hardware
quotes come from Gramine's `/dev/attestation`, in a file beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow import __version__
from sealflow.attest.evidence import BoundClaims, Evidence, Role, Tee, report_data
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.attest.simulated.platform import Platform
from sealflow.errors import MalformedError
from sealflow.seal.keys import OpeningKey
from sealflow.seal.suites import Suite
from sealflow.trusted.journal import Fatal, FatalError
from sealflow.trusted.sealing import platform_key
from sealflow.wire.ids import RequestId, new_request_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.deployment import Deployment

NO_NONCE: Final = "00" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One enclave instance: its keys and how it proves that they are its own."""

    instance: RequestId
    role: Role
    deployment: Deployment
    opening: OpeningKey
    signing: Ed25519PrivateKey = field(repr=False)
    platform_key: bytes = field(repr=False)
    """32 bytes that only the same code under the same settings gets on this machine."""
    _platform: Platform = field(repr=False)
    _measurement: bytes

    @property
    def simulated(self) -> bool:
        """Whether no hardware guards the keys."""
        return self.deployment.tee is Tee.SIMULATED

    def evidence(self, nonce: str = NO_NONCE) -> Evidence:
        """Prove keys, settings and code, to a verifier that gave a nonce or to everybody."""
        bound = BoundClaims(
            role=self.role,
            tee=self.deployment.tee,
            deployment=self.deployment.name,
            instance=self.instance,
            nonce=nonce,
            manifest_digest=self.deployment.digest,
            sealing_suite=self.opening.suite,
            sealing_key=self.opening.sealing.public,
            signing_key=self.signing.public_key().public_bytes_raw(),
            software=__version__,
        ).encode()
        data = report_data(bound, self.role, self.deployment.tee.world)
        return Evidence(
            tee=self.deployment.tee,
            quote=self._platform.quote(self._measurement, data),
            bound=bound,
            collateral=self._platform.collateral,
        )


def establish(
    role: Role, deployment: Deployment, platform: bytes | None, signing: Ed25519PrivateKey
) -> Identity:
    """Draw an instance's keys and find out how it can quote.

    Raises: FatalError when the deployment's TEE is not here.
    """
    if deployment.tee is not Tee.SIMULATED or platform is None:
        raise FatalError(Fatal.TEE)
    try:
        simulated = Platform.parse(platform)
    except MalformedError as error:
        raise FatalError(Fatal.TEE) from error
    measurement = simulated_measurement(role)
    return Identity(
        instance=new_request_id(),
        role=role,
        deployment=deployment,
        opening=OpeningKey.generate(Suite.of(deployment.tee.world)),
        signing=signing,
        platform_key=platform_key(simulated.secret, measurement, deployment.digest),
        _platform=simulated,
        _measurement=measurement,
    )
