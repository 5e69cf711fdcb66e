"""What Intel writes into a PCK certificate about its platform.

Source: Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5.
"""

from __future__ import annotations

from sealflow.attest.simulated import authority as der

FMSPC = "5e0000000000"
SGX_OID = "1.2.840.113741.1.13.1"
FLAGS = ("dynamic_platform", "cached_keys", "smt_enabled")


def pck_extension(
    *, fmspc: str = FMSPC, svn: int = 5, pce_svn: int = 13, flags: tuple[str, ...] = ()
) -> bytes:
    """What Intel writes into a PCK certificate about its platform."""
    tcb = [der._item(f"2.{number}", der._integer(svn)) for number in range(1, 17)]
    tcb += [
        der._item("2.17", der._integer(pce_svn)),
        der._item("2.18", der._octets(bytes([svn] * 16))),
    ]
    items = [
        der._item("1", der._octets(bytes(16))),
        der._item("2", der._sequence(*tcb)),
        der._item("3", der._octets(bytes(2))),
        der._item("4", der._octets(bytes.fromhex(fmspc))),
        der._item("5", der._der(0x0A, b"\0")),
    ]
    if flags:
        chosen = [
            der._item(f"7.{number}", der._der(1, b"\xff" if name in flags else b"\0"))
            for number, name in enumerate(FLAGS, 1)
        ]
        items += [
            der._item("6", der._octets(bytes(16))),
            der._item("7", der._sequence(*chosen)),
        ]
    return der._sequence(*items)
