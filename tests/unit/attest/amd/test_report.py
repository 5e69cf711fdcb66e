"""Fields lie where AMD's SEV-SNP ABI specification, revision 1.58, table 23, puts them."""

from __future__ import annotations

import struct

import pytest

from sealflow.attest.amd.report import UnverifiedReport

FIELDS = {
    "report_data": (0x50, 64),
    "measurement": (0x90, 48),
    "host_data": (0xC0, 32),
    "id_key": (0xE0, 48),
    "author_key": (0x110, 48),
    "reported_tcb": (0x180, 8),
    "committed_tcb": (0x1E0, 8),
    "launch_tcb": (0x1F0, 8),
    "chip_id": (0x1A0, 64),
}


def numbered(version: int) -> bytes:
    """A report whose bytes are their own places, but for those that must have a value."""
    report = bytearray(place % 251 for place in range(1184))
    struct.pack_into("<IIQ", report, 0, version, 7, 0x30000)
    struct.pack_into("<II", report, 0x30, 3, 1)
    struct.pack_into("<QI", report, 0x40, 0x25, 0)
    report[0x2A0 + 144 :] = bytes(1184 - 0x2A0 - 144)
    return bytes(report)


@pytest.mark.parametrize("version", [2, 3, 5])
def test_places(version: int) -> None:
    """Every field has its own bytes and no others; the processor is named from version 3 on."""
    report = numbered(version)
    parsed = UnverifiedReport.from_bytes(report)
    for name, (start, length) in FIELDS.items():
        assert getattr(parsed, name) == bytes(
            place % 251 for place in range(start, start + length)
        ), name
    assert (parsed.guest_svn, parsed.guest_policy, parsed.vmpl) == (7, 0x30000, 3)
    assert parsed.platform_info == 0x25
    assert parsed.cpu == (None if version == 2 else (0x188 % 251, 0x189 % 251))
    assert parsed.signed == report[:0x2A0]
