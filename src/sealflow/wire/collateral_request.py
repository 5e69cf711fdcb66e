"""Core, pure: which collateral an enclave asks its host for. Spec: attestation.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError
from sealflow.wire.strict_json import is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Collateral of one kind of machine. `tee`: `sgx` or `tdx`; `ca`: who certified it."""

    tee: str
    fmspc: str
    ca: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdCollateralRequest:
    """Certificates of one processor at one TCB. `product`: empty when the report names none."""

    product: str
    leaf: str
    chip_id: str
    tcb: Mapping[str, int] = field(default_factory=dict)


def parse_collateral_request(
    text: bytes | memoryview,
) -> IntelCollateralRequest | AmdCollateralRequest:
    """Read a question; all of it becomes part of addresses, so nothing else passes.

    Raises: MalformedError.
    """
    value = parse_object(text, "wanted collateral")
    if value.get("tee") == "snp":
        return _amd(value)
    require_keys(value, ("tee", "fmspc", "ca"), "wanted collateral")
    tee, fmspc, ca = value["tee"], value["fmspc"], value["ca"]
    if tee not in _INTEL or ca not in _CAS:
        raise MalformedError("wanted collateral: of no maker that is known")
    if not isinstance(fmspc, str) or _FMSPC.fullmatch(fmspc) is None:
        raise MalformedError("wanted collateral: fmspc is not 12 hex digits")
    return IntelCollateralRequest(tee=str(tee), fmspc=fmspc, ca=str(ca))


def _amd(value: dict[str, object]) -> AmdCollateralRequest:
    require_keys(value, ("tee", "product", "leaf", "chip_id", "tcb"), "wanted collateral")
    product, leaf, chip_id = value["product"], value["leaf"], value["chip_id"]
    tcb = value["tcb"]
    if product not in _PRODUCTS or leaf not in _LEAVES:
        raise MalformedError("wanted collateral: of no product that is known")
    if not isinstance(chip_id, str) or _CHIP.fullmatch(chip_id) is None:
        raise MalformedError("wanted collateral: chip_id is not 128 hex digits")
    if not isinstance(tcb, dict) or not all(
        name in _PARTS and is_integer(svn) and 0 <= svn <= _MAX_SVN for name, svn in tcb.items()
    ):
        raise MalformedError("wanted collateral: tcb is not a table of versions")
    return AmdCollateralRequest(product=str(product), leaf=str(leaf), chip_id=chip_id, tcb=tcb)
