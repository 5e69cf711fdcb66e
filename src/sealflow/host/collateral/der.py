"""Host, pure: read the validity period of a revocation list, without a cryptography library.

Signatures are not checked; the enclave that uses the list verifies it. Source: RFC 5280,
section 5.1; X.690.
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
    """Return a revocation list in DER. `text` is DER, PEM or hex, since servers differ.

    Only the encoding is checked, not the signature.

    Raises: MalformedError when `text` has none of these encodings.
    """
    try:
        if text[:1] == b"\x30":
            return text
        if pem := _PEM.fullmatch(text):
            return base64.b64decode(pem[1])
        if _HEX.fullmatch(text):
            return bytes.fromhex(text.decode())
    except (ValueError, binascii.Error) as error:
        raise MalformedError("the answer is not a revocation list") from error
    raise MalformedError("the answer is not a revocation list")


def unverified_span(crl: bytes) -> tuple[int, int]:
    """Return `thisUpdate` and `nextUpdate` of a revocation list in DER, in Unix seconds.

    Raises: MalformedError when the list has no such dates.
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
        raise MalformedError("the revocation list has no thisUpdate and nextUpdate") from error


def _time(data: bytes) -> tuple[int, bytes]:
    tag = data[0]
    if tag not in _TIMES:
        raise ValueError
    text, rest = _value(data, tag)
    time = datetime.strptime(text.decode("ascii"), _TIMES[tag]).replace(tzinfo=UTC)
    return int(time.timestamp()), rest


def _value(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of a DER value and the bytes after it.

    Raises: ValueError when the tag is another one or the value is cut off; IndexError when `data`
        ends within the head.
    """
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
