"""Core, pure: an enclave's request for collateral to its host. Spec: attestation.md, 6.3."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError
from sealflow.wire.strict_json import is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHAT: Final = "collateral request"
_FMSPC: Final = re.compile(r"[0-9a-f]{12}")
_CHIP: Final = re.compile(r"(?:[0-9a-f]{128})?")
_INTEL: Final = ("sgx", "tdx")
_CAS: Final = ("platform", "processor")
_PRODUCTS: Final = ("", "Milan", "Genoa", "Turin")
_LEAVES: Final = ("vcek", "vlek")
_PARTS: Final = ("fmc", "bootloader", "tee", "snp", "microcode")
_MAX_SVN: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelCollateralRequest:
    """A request for Intel's collateral of one kind of machine.

    `tee`: `sgx` or `tdx`. `fmspc`: 12 hex digits. `ca`: the kind of CA that issued the machine's
    PCK certificate, `platform` or `processor`.
    """

    tee: str
    fmspc: str
    ca: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdCollateralRequest:
    """A request for AMD's certificates of one processor at one TCB.

    `product`: the product line, or empty if the report does not state it. `leaf`: `vcek` or `vlek`.
    `chip_id`: 128 hex digits, or empty if the processor hides it. `tcb`: the version of each part,
    0 to 255.
    """

    product: str
    leaf: str
    chip_id: str
    tcb: Mapping[str, int] = field(default_factory=dict)


def parse_collateral_request(
    text: bytes | memoryview,
) -> IntelCollateralRequest | AmdCollateralRequest:
    """Parse a collateral request.

    The values become parts of URLs, so each must match its closed list or pattern.

    Raises: MalformedError.
    """
    value = parse_object(text, _WHAT)
    if value.get("tee") == "snp":
        return _amd(value)
    require_keys(value, ("tee", "fmspc", "ca"), _WHAT)
    tee, fmspc, ca = value["tee"], value["fmspc"], value["ca"]
    if tee not in _INTEL or ca not in _CAS:
        raise MalformedError(f"{_WHAT}: unknown tee or ca")
    if not isinstance(fmspc, str) or _FMSPC.fullmatch(fmspc) is None:
        raise MalformedError(f"{_WHAT}: fmspc is not 12 hex digits")
    return IntelCollateralRequest(tee=str(tee), fmspc=fmspc, ca=str(ca))


def _amd(value: dict[str, object]) -> AmdCollateralRequest:
    require_keys(value, ("tee", "product", "leaf", "chip_id", "tcb"), _WHAT)
    product, leaf, chip_id = value["product"], value["leaf"], value["chip_id"]
    tcb = value["tcb"]
    if product not in _PRODUCTS or leaf not in _LEAVES:
        raise MalformedError(f"{_WHAT}: unknown product or leaf")
    if not isinstance(chip_id, str) or _CHIP.fullmatch(chip_id) is None:
        raise MalformedError(f"{_WHAT}: chip_id is neither 128 hex digits nor empty")
    if not isinstance(tcb, dict) or not all(
        name in _PARTS and is_integer(svn) and 0 <= svn <= _MAX_SVN for name, svn in tcb.items()
    ):
        raise MalformedError(f"{_WHAT}: tcb is not an object of versions of 0 to {_MAX_SVN}")
    return AmdCollateralRequest(product=str(product), leaf=str(leaf), chip_id=chip_id, tcb=tcb)
