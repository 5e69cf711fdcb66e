"""Core, pure, stdlib only: AMD's processor lines: their root keys, and how they write a TCB.

Source: AMD's key distribution service, /vcek/v1/<product>/cert_chain, as also held by
google/go-sev-guest (verify/trust); TCB_VERSION in AMD SEV-SNP ABI specification 1.58, tables 3, 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEFORE_TURIN: Final = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
_SINCE_TURIN: Final = {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One line. `root_key`: SHA-256 of the ARK's SubjectPublicKeyInfo. `tcb`: byte by part."""

    name: str
    root_key: str
    tcb: Mapping[str, int]

    def read_tcb(self, tcb: bytes) -> dict[str, int]:
        """Give the versions by part."""
        return {part: tcb[at] for part, at in self.tcb.items()}


PRODUCTS: Final = (
    Product(
        name="Milan",
        root_key="9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
        tcb=_BEFORE_TURIN,
    ),
    Product(
        name="Genoa",
        root_key="429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
        tcb=_BEFORE_TURIN,
    ),
    Product(
        name="Turin",
        root_key="4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
        tcb=_SINCE_TURIN,
    ),
)
"""Genoa's root also signs for Bergamo and Siena."""

_MODELS: Final = (
    (0x19, range(0x10), "Milan"),
    (0x19, range(0x10, 0x20), "Genoa"),
    (0x19, range(0xA0, 0xB0), "Genoa"),
    (0x1A, range(0x12), "Turin"),
)
"""Source: AMD KDS interface specification, table 3; CPUID family and model of reports since
version 3."""


def line_of(cpu: tuple[int, int] | None) -> str:
    """Name the line of a processor by CPUID family and model; empty when that is not known."""
    if cpu is None:
        return ""
    family, model = cpu
    return next((name for each, models, name in _MODELS if family == each and model in models), "")
