"""Core, pure, stdlib only: what a policy demands of confidential virtual machines alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.fields import measurements
from sealflow.attest.reports import TCB_PARTS, TDX_REGISTERS
from sealflow.errors import MalformedError
from sealflow.wire.fields import flag, number, require_table, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEEDED_REGISTERS: Final = ("rtmr0", "rtmr1", "rtmr2")
_MAX_SVN: Final = 0xFF
_MAX_VMPL: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxRequirements:
    """Demands on a trust domain.

    `registers`: accepted values by the names of `TDX_REGISTERS`; one without values must be zero.
    `insecure_unchecked_registers`: those that may hold anything.

    Raises: MalformedError when firmware, kernel or command line would go unchecked by mistake.
    """

    registers: Mapping[str, frozenset[str]]
    insecure_unchecked_registers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what would accept any guest."""
        for name in _NEEDED_REGISTERS:
            if not self.registers.get(name) and name not in self.insecure_unchecked_registers:
                raise MalformedError(
                    f"tdx: {name} is empty; it measures firmware, kernel or command line: name "
                    "the values you accept, or put it into insecure_unchecked_registers"
                )

    def as_json(self) -> dict[str, object]:
        """Give the table that deployments and policy files hold."""
        return {
            **{name: sorted(self.registers.get(name, ())) for name in TDX_REGISTERS},
            "insecure_unchecked_registers": sorted(self.insecure_unchecked_registers),
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Read what `as_json` gives.

        Raises: MalformedError.
        """
        table = require_table(value, what, (*TDX_REGISTERS, "insecure_unchecked_registers"))
        unchecked = frozenset(texts(table, "insecure_unchecked_registers", what))
        if not unchecked <= set(TDX_REGISTERS):
            known = ", ".join(TDX_REGISTERS)
            raise MalformedError(f"{what}: insecure_unchecked_registers may hold {known}")
        return cls(
            registers={name: measurements(table, name, what) for name in TDX_REGISTERS},
            insecure_unchecked_registers=unchecked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpRequirements:
    """Demands on an SEV-SNP guest and its processor.

    `min_tcb`: lowest versions by the names of `TCB_PARTS`, of what the processor reports and of
    what it committed to never roll back. `host_data`: accepted values; empty demands zeros.
    `vmpl`: the privilege level of the guest that asked. `insecure_no_revocations`: whether to do
    without AMD's revocation list.
    """

    min_tcb: Mapping[str, int] = field(default_factory=dict)
    host_data: frozenset[str] = frozenset()
    vmpl: int = 0
    insecure_no_revocations: bool = False

    def as_json(self) -> dict[str, object]:
        """Give the table that deployments and policy files hold."""
        return {
            "min_tcb": {name: self.min_tcb.get(name, 0) for name in TCB_PARTS},
            "host_data": sorted(self.host_data),
            "vmpl": self.vmpl,
            "insecure_no_revocations": self.insecure_no_revocations,
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Read what `as_json` gives.

        Raises: MalformedError.
        """
        names = ("min_tcb", "host_data", "vmpl", "insecure_no_revocations")
        table = require_table(value, what, names)
        tcb = require_table(table.get("min_tcb", {}), f"{what}.min_tcb", TCB_PARTS)
        return cls(
            min_tcb={name: number(tcb, name, f"{what}.min_tcb", 0, _MAX_SVN) for name in TCB_PARTS},
            host_data=measurements(table, "host_data", what),
            vmpl=number(table, "vmpl", what, 0, _MAX_VMPL),
            insecure_no_revocations=flag(table, "insecure_no_revocations", what),
        )
