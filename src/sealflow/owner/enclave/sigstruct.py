"""Owner, pure: what a signed enclave will measure as, read from its SIGSTRUCT.

Source: Intel SDM volume 3D, section 34.14, table 34-19: offsets, and which bytes are signed.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from sealflow.errors import MalformedError

if TYPE_CHECKING:
    from sealflow.attest.evidence import Role

SIGSTRUCT_BYTES: Final = 1808
EXPONENT: Final = 3
_HEADERS: Final = (
    (slice(0, 16), bytes.fromhex("06000000e10000000000010000000000")),
    (slice(24, 40), bytes.fromhex("01010000600000006000000001000000")),
)
_MODULUS: Final = slice(128, 512)
_EXPONENT: Final = slice(512, 516)
_SIGNATURE: Final = slice(516, 900)
_SIGNED: Final = (slice(0, 128), slice(900, 1028))
_BODY: Final = struct.Struct("<II20xQQQQ32s32xHH")
_BODY_AT: Final = 900
_DEBUG: Final = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveMeasurement:
    """What a policy can ask of one enclave. `measurement`, `signer`: MRENCLAVE, MRSIGNER in hex."""

    role: Role
    measurement: str
    signer: str
    product_id: int
    svn: int
    debug: bool

    @classmethod
    def from_bytes(cls, data: bytes, role: Role) -> EnclaveMeasurement:
        """Read a SIGSTRUCT and check its signature.

        Raises: MalformedError.
        """
        what = f"the signature of {role}"
        if len(data) != SIGSTRUCT_BYTES:
            raise MalformedError(f"{what} is not {SIGSTRUCT_BYTES} bytes long")
        if any(data[place] != header for place, header in _HEADERS):
            raise MalformedError(f"{what} is not a SIGSTRUCT")
        modulus = int.from_bytes(data[_MODULUS], "little")
        if int.from_bytes(data[_EXPONENT], "little") != EXPONENT:
            raise MalformedError(f"{what} has another exponent than {EXPONENT}")
        signature = int.from_bytes(data[_SIGNATURE], "little").to_bytes(384)
        try:
            key = RSAPublicNumbers(EXPONENT, modulus).public_key()
            signed = b"".join(data[part] for part in _SIGNED)
            key.verify(signature, signed, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError) as error:
            raise MalformedError(f"{what} does not verify") from error
        _, _, attributes, _, mask, _, measurement, product_id, svn = _BODY.unpack_from(
            data, _BODY_AT
        )
        return cls(
            role=role,
            measurement=measurement.hex(),
            signer=signer_of(data[_MODULUS]),
            product_id=product_id,
            svn=svn,
            debug=bool(attributes & _DEBUG) or not mask & _DEBUG,
        )

    def to_json(self) -> dict[str, object]:
        """Return all of it for machines."""
        return {
            "measurement": self.measurement,
            "signer": self.signer,
            "product_id": self.product_id,
            "svn": self.svn,
            "debug": self.debug,
        }

    def as_policy(self) -> str:
        """Return the table of a policy file that accepts this enclave and its successors in svn."""
        return (
            f"[{self.role}]\n"
            f'measurements = ["{self.measurement}"]\n'
            f'signers = ["{self.signer}"]\n'
            f"product_id = {self.product_id}\n"
            f"min_svn = {self.svn}\n"
        )


def signer_of(modulus: bytes) -> str:
    """Return the MRSIGNER of a modulus of 384 bytes, little-endian, in hex."""
    return hashlib.sha256(modulus).hexdigest()
