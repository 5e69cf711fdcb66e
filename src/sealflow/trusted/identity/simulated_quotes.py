"""Trusted: quotes of a simulated platform, which the host has too: they protect nothing.

Production images hold neither this file nor `attest/simulated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.attest.simulated.platform import SimulatedPlatform
from sealflow.errors import MalformedError
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal

if TYPE_CHECKING:
    from sealflow.attest.evidence import Role


class SimulatedQuoter:
    """Signs with the platform's key what the code of this process measures itself to be."""

    def __init__(self, role: Role, platform: bytes) -> None:
        """Read the platform that the host gave.

        Raises: FatalError when it is none.
        """
        try:
            self._platform = SimulatedPlatform.from_bytes(platform)
        except MalformedError as error:
            raise FatalError(Fatal.TEE) from error
        self.measurement = simulated_measurement(role)

    @property
    def secret(self) -> bytes:
        """What stands in for the machine's secret; the host has it too."""
        return self._platform.secret

    @property
    def collateral(self) -> bytes:
        """The platform's own."""
        return self._platform.collateral

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote that carries 64 bytes."""
        return self._platform.quote(self.measurement, report_data)
