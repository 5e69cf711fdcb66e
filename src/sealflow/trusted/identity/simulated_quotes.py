"""Trusted: makes quotes of a simulated platform; the host can make them too.

They protect nothing. Production images contain neither this file nor `attest/simulated`.
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
    """Quotes of a simulated platform, with the hash of this process's source as measurement.

    `platform`: bytes of a `SimulatedPlatform`, from the BOOT frame.

    Raises: FatalError with TEE when they do not parse.
    """

    def __init__(self, role: Role, platform: bytes) -> None:
        try:
            self._platform = SimulatedPlatform.from_bytes(platform)
        except MalformedError as error:
            raise FatalError(Fatal.TEE) from error
        self.measurement = simulated_measurement(role)

    @property
    def secret(self) -> bytes:
        """The simulated machine's secret; the host knows it too."""
        return self._platform.secret

    @property
    def collateral(self) -> bytes:
        """The collateral that goes with the platform's quotes."""
        return self._platform.collateral

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote with the given 64 bytes of report data."""
        return self._platform.quote(self.measurement, report_data)
