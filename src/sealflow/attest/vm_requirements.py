"""Core, pure: the requirements of a policy on virtual machines: TDX guests and SEV-SNP guests.

Reference: docs/reference/policy-files.md. Spec: policy.md, sections 5 and 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.reports import PRODUCT_PARTS, TCB_PARTS, TDX_REGISTERS
from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping


_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA384: Final = re.compile(r"[0-9a-f]{96}")
_REQUIRED_REGISTERS: Final = ("rtmr0", "rtmr1", "rtmr2")
_MAX_AMD_SVN: Final = 0xFF
_MAX_VMPL: Final = 3
_SNP_NAMES: Final = (
    "min_tcb",
    "host_data",
    "vmpl",
    "author_keys",
    "insecure_no_revocations",
    "insecure_any_tcb",
)


def matching_texts(
    fields: Fields, name: str, pattern: re.Pattern[str], expected: str
) -> frozenset[str]:
    """Return a list of texts of one pattern as a set; empty if absent.

    Raises: MalformedError.
    """
    found = fields.texts(name)
    for each in found:
        if pattern.fullmatch(each) is None:
            raise fields.malformed(name, f"holds {each[:20]!r}, not {expected}")
    return frozenset(found)


def _sha384(fields: Fields, name: str) -> frozenset[str]:
    return matching_texts(fields, name, _SHA384, "96 lower-case hex digits")


def _sha256(fields: Fields, name: str) -> frozenset[str]:
    return matching_texts(fields, name, _SHA256, "64 lower-case hex digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxRequirements:
    """The requirements on a TDX guest (TD).

    Attributes:
        registers: Accepted values by register: `rtmr0` to `rtmr3`, `mr_config_id`, `mr_owner`,
            `mr_owner_config`. 96 hex digits each; a register without accepted values must be zero.
        insecure_unchecked_registers: Registers that may have any value.

    Raises:
        MalformedError: A register of firmware, kernel or command line (`rtmr0` to `rtmr2`) has no
            accepted value and is not listed as unchecked.

    Example:
        >>> values = {name: frozenset({"ab" * 48}) for name in ("rtmr0", "rtmr1", "rtmr2")}
        >>> TdxRequirements(registers=values).to_json()["rtmr3"]
        []
    """

    registers: Mapping[str, frozenset[str]]
    insecure_unchecked_registers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the registers that measure firmware, kernel and command line."""
        for name in _REQUIRED_REGISTERS:
            if not self.registers.get(name) and name not in self.insecure_unchecked_registers:
                raise MalformedError(
                    f"tdx: {name} is empty; it measures firmware, kernel or command line: list "
                    "the accepted values, or add it to insecure_unchecked_registers"
                )

    def to_json(self) -> dict[str, object]:
        """Return the table `tdx` of deployments and policy files.

        Returns:
            Its keys with strings, numbers, booleans, lists and tables.
        """
        return {
            **{name: sorted(self.registers.get(name, ())) for name in TDX_REGISTERS},
            "insecure_unchecked_registers": sorted(self.insecure_unchecked_registers),
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Parse a table `tdx`.

        Args:
            value: The table.
            what: Its name for error messages, such as `policy: keybroker`.

        Returns:
            The requirements.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form. The message names it.
        """
        fields = Fields(value, what, (), (*TDX_REGISTERS, "insecure_unchecked_registers"))
        unchecked = frozenset(fields.texts("insecure_unchecked_registers"))
        if not unchecked <= set(TDX_REGISTERS):
            known = ", ".join(TDX_REGISTERS)
            raise fields.malformed(
                "insecure_unchecked_registers", f"has a name that is not one of {known}"
            )
        return cls(
            registers={name: _sha384(fields, name) for name in TDX_REGISTERS},
            insecure_unchecked_registers=unchecked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpRequirements:
    """The requirements on an SEV-SNP guest and its processor.

    Attributes:
        min_tcb: By product line (`Milan`, `Genoa`, `Turin`) the lowest accepted version of each
            part, 0 to 255: `bootloader`, `tee`, `snp`, `microcode`, for Turin also `fmc`. It
            applies to the reported, the committed and the launch TCB. Others are refused.
        host_data: The accepted values, 64 hex digits each. If it is empty, host data must be zero.
        vmpl: The required virtual machine privilege level of the report's requester, 0 to 3.
        author_keys: The accepted SHA-384 digests of author keys, 96 hex digits each. If it is
            empty, the report must name none.
        insecure_no_revocations: Accept endorsements without AMD's revocation list.
        insecure_any_tcb: Accept product lines that `min_tcb` does not name, and microcode with
            known vulnerabilities.

    Raises:
        MalformedError: `min_tcb` is empty and `insecure_any_tcb` is not set, or a product line is
            unknown or has other parts.

    Example:
        >>> parts = {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
        >>> SnpRequirements(min_tcb={"Milan": parts}).to_json()["min_tcb"]["Milan"]["snp"]
        24
    """

    min_tcb: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    host_data: frozenset[str] = frozenset()
    vmpl: int = 0
    author_keys: frozenset[str] = frozenset()
    insecure_no_revocations: bool = False
    insecure_any_tcb: bool = False

    def __post_init__(self) -> None:
        """Check that firmware is judged, for each product line whole."""
        if not self.min_tcb and not self.insecure_any_tcb:
            raise MalformedError(
                "snp: min_tcb is empty, so firmware with known vulnerabilities would be accepted: "
                "list the lowest versions of each product line, such as min_tcb.Milan, or set "
                "insecure_any_tcb"
            )
        for name, parts in self.min_tcb.items():
            if set(parts) != set(PRODUCT_PARTS.get(name, ())):
                raise MalformedError(f"snp: min_tcb.{name} does not name all parts of a known line")

    def to_json(self) -> dict[str, object]:
        """Return the table `snp` of deployments and policy files.

        Returns:
            Its keys with strings, numbers, booleans, lists and tables.
        """
        return {
            "min_tcb": {name: dict(parts) for name, parts in self.min_tcb.items()},
            "host_data": sorted(self.host_data),
            "vmpl": self.vmpl,
            "insecure_no_revocations": self.insecure_no_revocations,
            **({"author_keys": sorted(self.author_keys)} if self.author_keys else {}),
            **({"insecure_any_tcb": True} if self.insecure_any_tcb else {}),
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Parse a table `snp`.

        Args:
            value: The table.
            what: Its name for error messages, such as `policy: keybroker`.

        Returns:
            The requirements.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form. The message names it.
        """
        fields = Fields(value, what, (), _SNP_NAMES)
        products = fields.nested("min_tcb", (), (*PRODUCT_PARTS, *TCB_PARTS))
        if any(part in products for part in TCB_PARTS):
            raise fields.malformed(
                "min_tcb", "has parts of no product line: write min_tcb.Milan = { … }"
            )
        return cls(
            min_tcb={
                name: {part: tcb.integer(part, most=_MAX_AMD_SVN) for part in parts}
                for name, parts in PRODUCT_PARTS.items()
                if name in products
                for tcb in (products.nested(name, parts),)
            },
            host_data=_sha256(fields, "host_data"),
            vmpl=fields.integer("vmpl", most=_MAX_VMPL, default=0),
            author_keys=_sha384(fields, "author_keys"),
            insecure_no_revocations=fields.flag("insecure_no_revocations"),
            insecure_any_tcb=fields.flag("insecure_any_tcb"),
        )
