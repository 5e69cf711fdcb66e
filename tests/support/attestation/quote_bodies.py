"""Bodies of SGX and TDX quotes, with a parameter for every field."""

from __future__ import annotations

import struct

QE_SIGNER = b"\x5e" * 32
ZERO48 = bytes(48)
SEPT_VE_DISABLE = 1 << 28


def sgx_body(  # noqa: PLR0913 - each is a field of the report
    report_data: bytes = bytes(64),
    *,
    measurement: bytes = b"\x11" * 32,
    signer: bytes = b"\x22" * 32,
    product_id: int = 1,
    svn: int = 1,
    attributes: int = 0x05,
    xfrm: int = 0xE7,
    misc_select: int = 0,
    config_id: bytes = bytes(64),
    config_svn: int = 0,
) -> bytes:
    """An SGX report body, 384 bytes."""
    layout = struct.Struct("<16sI28sQQ32s32x32s32x64sHHH42x16x64s")
    return layout.pack(
        b"\x05" * 16,
        misc_select,
        bytes(28),
        attributes,
        xfrm,
        measurement,
        signer,
        config_id,
        product_id,
        svn,
        config_svn,
        report_data,
    )


def tdx_body(  # noqa: PLR0913 - each is a field of the report
    report_data: bytes = bytes(64),
    *,
    attributes: int = SEPT_VE_DISABLE,
    xfam: int = 0x0602E7,
    measurement: bytes = b"\x33" * 48,
    registers: tuple[bytes, ...] = (b"\x40" * 48, b"\x41" * 48, b"\x42" * 48, ZERO48),
    config: tuple[bytes, bytes, bytes] = (ZERO48, ZERO48, ZERO48),
    seam_signer: bytes = ZERO48,
    seam_attributes: int = 0,
    service_td: bytes | None = None,
    launched_svn: int = 5,
) -> bytes:
    """A trust domain's report: 584 bytes of TDX 1.0, or 648 of 1.5 with a `service_td`."""
    tcb = bytes([launched_svn, 1]) + bytes(14)
    body = b"".join(
        (
            tcb,
            b"\x5e" * 48,
            seam_signer,
            struct.pack("<QQQ", seam_attributes, attributes, xfam),
            measurement,
            *config,
            *registers,
            report_data,
        )
    )
    return body if service_td is None else body + b"\x05\x01" + bytes(14) + service_td
