"""Core, pure: what AMD says in a VCEK or VLEK certificate about the processor.

Source: AMD VCEK Certificate and KDS Interface Specification (publication 57230), table 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sealflow.attest.snp.report import Leaf
from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMD: Final = "1.3.6.1.4.1.3704.1"
_PRODUCT: Final = f"{_AMD}.2"
_CHIP: Final = f"{_AMD}.4"
_CLOUD: Final = f"{_AMD}.5"
_SVNS: Final = {
    f"{_AMD}.3.1": "bootloader",
    f"{_AMD}.3.2": "tee",
    f"{_AMD}.3.3": "snp",
    f"{_AMD}.3.8": "microcode",
    f"{_AMD}.3.9": "fmc",
}
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_IA5_STRING: Final = 0x16
_CHIP_BYTES: Final = (64, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafFacts:
    """The extensions. `chip`: the processor's id in a VCEK, None in a VLEK. `tcb`: by part."""

    leaf: Leaf
    product: str
    chip: bytes | None
    tcb: Mapping[str, int]


def read_leaf(certificate: x509.Certificate) -> LeafFacts:
    """Read AMD's extensions.

    Raises: MalformedError.
    """
    found = {
        each.oid.dotted_string: each.value.value
        for each in certificate.extensions
        if isinstance(each.value, x509.UnrecognizedExtension)
    }
    if _PRODUCT not in found or (_CHIP in found) == (_CLOUD in found):
        raise MalformedError("neither a VCEK nor a VLEK")
    name = _content(found[_PRODUCT], _IA5_STRING)
    return LeafFacts(
        leaf=Leaf.VCEK if _CHIP in found else Leaf.VLEK,
        product=name.decode("ascii", "replace"),
        chip=_chip(found[_CHIP]) if _CHIP in found else None,
        tcb={
            part: int.from_bytes(_content(found[oid], _INTEGER))
            for oid, part in _SVNS.items()
            if oid in found
        },
    )


def _chip(value: bytes) -> bytes:
    # Some generations of certificates wrap the id in an OCTET STRING, others do not.
    chip = value if len(value) in _CHIP_BYTES else _content(value, _OCTETS)
    if len(chip) not in _CHIP_BYTES:
        raise MalformedError("the chip id is neither of 64 nor of 8 bytes")
    return chip


def _content(value: bytes, tag: int) -> bytes:
    """Unwrap a DER value of less than 128 bytes."""
    if len(value) < 3 or value[0] != tag or value[1] != len(value) - 2:  # noqa: PLR2004 - X.690
        raise MalformedError("an extension is not as AMD writes it")
    return value[2:]
