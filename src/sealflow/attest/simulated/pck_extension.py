"""Core, pure: the extension that names a platform in its certificate, in DER.

Source: Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509

from sealflow.attest.simulated.quote_form import PCE_SVN, TCB_SVN

FMSPC: Final = bytes.fromhex("5e0000000000")
_PPID: Final = bytes(16)
_SGX: Final = "1.2.840.113741.1.13.1"
_COMPONENTS: Final = 16


def pck_extension() -> x509.UnrecognizedExtension:
    """Describe the one simulated platform."""
    tcb = [_item(f"2.{number}", _integer(TCB_SVN)) for number in range(1, _COMPONENTS + 1)] + [
        _item("2.17", _integer(PCE_SVN)),
        _item("2.18", _octets(bytes([TCB_SVN] * _COMPONENTS))),
    ]
    value = _sequence(
        _item("1", _octets(_PPID)),
        _item("2", _sequence(*tcb)),
        _item("3", _octets(bytes(2))),
        _item("4", _octets(FMSPC)),
        _item("5", _der(0x0A, b"\0")),
    )
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX), value)


def _item(suffix: str, value: bytes) -> bytes:
    return _sequence(_object_identifier(f"{_SGX}.{suffix}"), value)


def _sequence(*items: bytes) -> bytes:
    return _der(0x30, b"".join(items))


def _octets(value: bytes) -> bytes:
    return _der(0x04, value)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _object_identifier(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return _der(0x06, bytes(encoded))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - X.690, 8.1.3
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
