"""Core, pure: the parts of an SGX quote, as the simulated platform and its founder write them.

Source: Intel SGX ECDSA QuoteLibReference DCAP API, appendix A (quote version 3).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

TCB_SVN: Final = 5
PCE_SVN: Final = 13
QE_SVN: Final = 8
AUTH_DATA: Final = bytes(32)
_XFRM: Final = 0x03
_BODY: Final = struct.Struct("<16sI28sQQ32s32x32s96xHH60x64s")


def raw_signature(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Sign with ECDSA on P-256 and write r and s as 32 bytes each, as quotes and collateral do."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def point(key: EllipticCurvePrivateKey) -> bytes:
    """Write a public key as its two coordinates; 64 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def report_body(
    measurement: bytes, signer: bytes, product_id: int, svn: int, attributes: int, data: bytes
) -> bytes:
    """Write an enclave's report; 384 bytes."""
    cpu_svn = bytes([TCB_SVN] * 16)
    return _BODY.pack(
        cpu_svn, 0, bytes(28), attributes, _XFRM, measurement, signer, product_id, svn, data
    )
