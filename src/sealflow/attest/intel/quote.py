"""Core, pure, stdlib only: the layout of unverified DCAP quotes. Spec: attestation.md, 3.2.

Source: Intel SGX ECDSA QuoteLibReference DCAP API, appendix A (version 3); Intel TDX DCAP Quoting
Library API, appendix A (versions 4 and 5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from sealflow.errors import MalformedError

_HEADER_BYTES: Final = 48
_BODY_HEAD: Final = struct.Struct("<HI")
_SGX_BODY: Final = 384
_TDX_BODIES: Final = {2: 584, 3: 648}
_TDX_TYPE: Final = 0x81
_LENGTH: Final = struct.Struct("<I")
_AUTH_LENGTH: Final = struct.Struct("<H")
_CERTIFICATION: Final = struct.Struct("<HI")
_SIGNATURE_AND_KEY: Final = 64 + 64
_QE_REPORT_AND_SIGNATURE: Final = 384 + 64
_SGX_VERSION: Final = 3
_PCK_CHAIN_CERTIFICATION: Final = 5
_QE_REPORT_CERTIFICATION: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedQuote:
    """The parts of an unverified DCAP quote.

    `tdx`: whether it is of a TD; otherwise it is of an SGX enclave. `signed`: header and body.
    `pck_chain`: the certificates of the platform, PEM.
    """

    version: int
    tdx: bool
    signed: bytes = field(repr=False)
    report_data: bytes = field(repr=False)
    pck_chain: str = field(repr=False)


def split_quote(quote: bytes) -> UnverifiedQuote:
    """Split a DCAP quote of version 3, 4 or 5; only zeros may follow it.

    Raises: MalformedError.
    """
    if len(quote) < _HEADER_BYTES + _BODY_HEAD.size:
        raise MalformedError("quote: too short")
    version, _, tee_type = struct.unpack_from("<HHI", quote)
    if tee_type not in (0, _TDX_TYPE):
        raise MalformedError("quote: its TEE type is neither SGX nor TDX")
    tdx = tee_type == _TDX_TYPE
    start = _HEADER_BYTES
    match version, tdx:
        case (3, False):
            body = _SGX_BODY
        case (4, True):
            body = _TDX_BODIES[2]
        case (5, True):
            kind, size = _BODY_HEAD.unpack_from(quote, start)
            if _TDX_BODIES.get(kind) != size:
                raise MalformedError("quote: its body is neither of TDX 1.0 nor of TDX 1.5")
            start, body = start + _BODY_HEAD.size, size
        case _:
            raise MalformedError("quote: it is neither SGX version 3 nor TDX version 4 or 5")
    end = start + body
    if len(quote) < end + _LENGTH.size:
        raise MalformedError("quote: ends within its body")
    (length,) = _LENGTH.unpack_from(quote, end)
    if len(quote) < end + _LENGTH.size + length:
        raise MalformedError("quote: ends within its signature")
    if any(quote[end + _LENGTH.size + length :]):
        raise MalformedError("quote: bytes other than zero follow it")
    at = start + (520 if tdx else body - 64)
    return UnverifiedQuote(
        version=version,
        tdx=tdx,
        signed=quote[:end],
        report_data=quote[at : at + 64],
        pck_chain=_pck_chain(quote[end + _LENGTH.size : end + _LENGTH.size + length], version),
    )


def _pck_chain(signature: bytes, version: int) -> str:
    """Return the certification data of the quote's signature data."""
    at = _SIGNATURE_AND_KEY
    if version != _SGX_VERSION:
        certification, at = _certification(signature, at, _QE_REPORT_CERTIFICATION)
        if at != len(signature):
            raise MalformedError("quote: its certification data does not end with its signature")
        signature, at = certification, 0
    at += _QE_REPORT_AND_SIGNATURE
    if len(signature) < at + _AUTH_LENGTH.size:
        raise MalformedError("quote: ends within its signature")
    at += _AUTH_LENGTH.size + _AUTH_LENGTH.unpack_from(signature, at)[0]
    chain, end = _certification(signature, at, _PCK_CHAIN_CERTIFICATION)
    if end != len(signature):
        raise MalformedError("quote: its certification data does not end with its signature")
    # Intel's quote provider ends the chain with a line end and a zero byte.
    try:
        return chain.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError("quote: its PCK chain is not PEM") from error


def _certification(data: bytes, at: int, wanted: int) -> tuple[bytes, int]:
    """Return certification data of a type at an offset, and the offset behind it.

    That offset is behind the end of `data` if the certification data is cut off.
    """
    if len(data) < at + _CERTIFICATION.size:
        raise MalformedError("quote: ends within its signature")
    kind, length = _CERTIFICATION.unpack_from(data, at)
    start = at + _CERTIFICATION.size
    if kind != wanted:
        raise MalformedError(f"quote: its certification data is not of type {wanted}")
    return data[start : start + length], start + length
