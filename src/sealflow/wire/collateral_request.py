"""Core, pure: an enclave's request for collateral to its host. Spec: attestation.md, 6.3."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import parse_object

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
    fields = Fields(value, _WHAT, ("tee", "fmspc", "ca"))
    return IntelCollateralRequest(
        tee=_one_of(fields, "tee", _INTEL),
        fmspc=_matching(fields, "fmspc", _FMSPC, "is not 12 hex digits"),
        ca=_one_of(fields, "ca", _CAS),
    )


def _amd(value: dict[str, object]) -> AmdCollateralRequest:
    fields = Fields(value, _WHAT, ("tee", "product", "leaf", "chip_id", "tcb"))
    tcb = fields.nested("tcb", (), _PARTS)
    return AmdCollateralRequest(
        product=_one_of(fields, "product", _PRODUCTS),
        leaf=_one_of(fields, "leaf", _LEAVES),
        chip_id=_matching(fields, "chip_id", _CHIP, "is neither 128 hex digits nor empty"),
        tcb={part: tcb.integer(part, most=_MAX_SVN) for part in _PARTS if part in tcb},
    )


def _one_of(fields: Fields, name: str, words: tuple[str, ...]) -> str:
    word = fields.text(name)
    if word not in words:
        raise fields.malformed(name, f"is not one of {', '.join(filter(None, words))}")
    return word


def _matching(fields: Fields, name: str, pattern: re.Pattern[str], problem: str) -> str:
    text = fields.text(name)
    if pattern.fullmatch(text) is None:
        raise fields.malformed(name, problem)
    return text
