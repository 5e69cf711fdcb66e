"""Host, pure: when a revocation list is from and when it ends, read without a verifier's library.

Nothing is checked: whoever uses the list does that. Source: RFC 5280, section 5.1; X.690.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

from sealflow.errors import MalformedError

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_TIMES: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
_PEM: Final = re.compile(
    rb"-----BEGIN X509 CRL-----\s+([A-Za-z0-9+/=\s]+)-----END X509 CRL-----\s*"
)
_HEX: Final = re.compile(rb"\s*[0-9a-fA-F]+\s*")


def unverified_crl(text: bytes) -> bytes:
    """Return a revocation list in DER, whether it comes in DER, PEM or hex, as servers differ.

    Raises: MalformedError.
    """
    try:
        if text[:1] == b"\x30":
            return text
        if pem := _PEM.fullmatch(text):
            return base64.b64decode(pem[1])
        if _HEX.fullmatch(text):
            return bytes.fromhex(text.decode())
    except (ValueError, binascii.Error) as error:
        raise MalformedError("not a revocation list") from error
    raise MalformedError("not a revocation list")


def unverified_span(crl: bytes) -> tuple[int, int]:
    """Return `thisUpdate` and `nextUpdate`, in Unix seconds.

    Raises: MalformedError.
    """
    try:
        whole, _ = _value(crl, _SEQUENCE)
        rest, _ = _value(whole, _SEQUENCE)
        if rest[:1] == bytes([_INTEGER]):
            rest = _value(rest, _INTEGER)[1]
        for _ in ("signature", "issuer"):
            rest = _value(rest, _SEQUENCE)[1]
        issued_s, rest = _time(rest)
        return issued_s, _time(rest)[0]
    except (IndexError, ValueError) as error:
        raise MalformedError("not a revocation list with dates") from error


def _time(data: bytes) -> tuple[int, bytes]:
    tag = data[0]
    if tag not in _TIMES:
        raise ValueError
    text, rest = _value(data, tag)
    moment = datetime.strptime(text.decode("ascii"), _TIMES[tag]).replace(tzinfo=UTC)
    return int(moment.timestamp()), rest


def _value(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of a value, and what follows it."""
    if data[0] != tag:
        raise ValueError
    length, at = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        at += count
        length = int.from_bytes(data[2:at])
    if len(data) < at + length:
        raise ValueError
    return data[at : at + length], data[at + length :]
