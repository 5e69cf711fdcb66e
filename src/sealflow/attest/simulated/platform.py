"""Core: a simulated processor that makes quotes in Intel's format.

Any process with the platform's key can make any quote, so the simulation protects nothing.
Source: Intel SGX ECDSA QuoteLibReference DCAP API, appendix A (quote version 3).
"""

from __future__ import annotations

import hashlib
import struct
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields
from sealflow.wire.frames import MAX_COLLATERAL_BYTES
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


TCB_SVN: Final = 5
PCE_SVN: Final = 13
QE_SVN: Final = 8
AUTH_DATA: Final = bytes(32)
_XFRM: Final = 0x03
_BODY: Final = struct.Struct("<16sI28sQQ32s32x32s96xHH60x64s")
PRODUCTION_ATTRIBUTES: Final = 0x05
SIGNER: Final = hashlib.sha256(b"SIMULATION ONLY signer").digest()

_QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_HEADER: Final = struct.Struct("<HHIHH16s20s")
_ECDSA_P256: Final = 2
_PCK_CHAIN: Final = 5
_KEYS: Final = ("root", "collateral", "pck_chain", "attestation_key", "qe_report", "qe_signature")
_KEY_BYTES: Final = 32


def raw_signature(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return an ECDSA signature on P-256 with SHA-256: r and s, 32 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def point(key: EllipticCurvePrivateKey) -> bytes:
    """Return the public key's coordinates x and y, 32 bytes each, big-endian."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def report_body(
    measurement: bytes, signer: bytes, product_id: int, svn: int, attributes: int, data: bytes
) -> bytes:
    """Return the 384 bytes of an enclave's report body; `data` is its report data."""
    cpu_svn = bytes([TCB_SVN] * 16)
    return _BODY.pack(
        cpu_svn, 0, bytes(28), attributes, _XFRM, measurement, signer, product_id, svn, data
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlatform:
    """A simulated machine: the attestation key, certificates and collateral.

    `pck_chain`: in PEM. `key`: the quoting enclave's attestation key. `qe_report`, `qe_signature`:
    the quoting enclave's report body and its signature by the PCK key.
    """

    root_der: bytes = field(repr=False)
    collateral: bytes = field(repr=False)
    pck_chain: bytes = field(repr=False)
    key: EllipticCurvePrivateKey = field(repr=False)
    qe_report: bytes = field(repr=False)
    qe_signature: bytes = field(repr=False)

    def quote(
        self,
        measurement: bytes,
        report_data: bytes,
        *,
        signer: bytes = SIGNER,
        svn: int = 1,
        attributes: int = PRODUCTION_ATTRIBUTES,
    ) -> bytes:
        """Return a signed quote of an enclave: `measurement` of 32 bytes, `report_data` of 64."""
        header = _HEADER.pack(3, _ECDSA_P256, 0, QE_SVN, PCE_SVN, _QE_VENDOR, bytes(20))
        signed = header + report_body(measurement, signer, 1, svn, attributes, report_data)
        signature = b"".join(
            (
                raw_signature(self.key, signed),
                point(self.key),
                self.qe_report,
                self.qe_signature,
                struct.pack("<H", len(AUTH_DATA)),
                AUTH_DATA,
                struct.pack("<HI", _PCK_CHAIN, len(self.pck_chain)),
                self.pck_chain,
            )
        )
        return signed + struct.pack("<I", len(signature)) + signature

    @property
    def secret(self) -> bytes:
        """The attestation key's 32 bytes, which replace the secret fused into a processor."""
        return self.key.private_numbers().private_value.to_bytes(_KEY_BYTES)

    def to_bytes(self) -> bytes:
        """Return the platform with its key as JSON, for the enclave processes of this machine."""
        return canonical_json(
            {
                "root": b64encode(self.root_der).decode(),
                "collateral": b64encode(self.collateral).decode(),
                "pck_chain": b64encode(self.pck_chain).decode(),
                "attestation_key": b64encode(self.secret).decode(),
                "qe_report": b64encode(self.qe_report).decode(),
                "qe_signature": b64encode(self.qe_signature).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse bytes that `to_bytes` returned.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(text, "simulated platform", _KEYS)
        parts = {name: fields.base64(name, MAX_COLLATERAL_BYTES) for name in _KEYS}
        try:
            number = int.from_bytes(parts["attestation_key"])
            key = ec.derive_private_key(number, ec.SECP256R1())
        except ValueError:
            raise MalformedError("simulated platform: attestation_key is not a P-256 key") from None
        return cls(
            root_der=parts["root"],
            collateral=parts["collateral"],
            pck_chain=parts["pck_chain"],
            key=key,
            qe_report=parts["qe_report"],
            qe_signature=parts["qe_signature"],
        )
