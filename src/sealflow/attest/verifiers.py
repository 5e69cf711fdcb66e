"""Core, pure: the verifiers that a policy trusts, each with the public key of its passports.

A verifier appraises evidence for others and signs a passport about it. Spec: passport.md.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields
from sealflow.wire.ids import parse_name
from sealflow.wire.strict_json import canonical_json

ED25519: Final = "Ed25519"
P256: Final = "P-256"
COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedVerifier:
    """A verifier whose passports a policy accepts. It is trusted as a hardware vendor's root is.

    Attributes:
        name: What reports call it.
        curve: `Ed25519`, or `P-256` for ECDSA with SHA-256. It fixes the algorithm of signatures.
        public: The public key: 32 bytes, or the 64 bytes of x and y for `P-256`.
        instead_of_evidence: Whether a passport takes the place of evidence. If false, both are
            demanded.

    Raises:
        MalformedError: The key is not one of its curve.

    Example:
        >>> verifier = TrustedVerifier(name="hospital", curve="Ed25519", public=bytes(range(32)))
        >>> verifier.instead_of_evidence, verifier.to_json()["key"]["crv"]
        (False, 'Ed25519')
    """

    name: str
    curve: str
    public: bytes
    instead_of_evidence: bool = False

    def __post_init__(self) -> None:
        """Check the key."""
        sizes = {ED25519: COORDINATE_BYTES, P256: 2 * COORDINATE_BYTES}
        if sizes.get(self.curve) != len(self.public):
            raise MalformedError(f"verifier: {self.name}: key is not one of Ed25519 or P-256")
        if self.curve == P256:
            self.p256_numbers()

    def p256_numbers(self) -> EllipticCurvePublicNumbers:
        """Return the point of a P-256 key.

        Returns:
            The numbers, on the curve.

        Raises:
            MalformedError: The point is not on the curve.
        """
        x, y = (
            int.from_bytes(part)
            for part in (self.public[:COORDINATE_BYTES], self.public[COORDINATE_BYTES:])
        )
        numbers = EllipticCurvePublicNumbers(x, y, SECP256R1())
        try:
            numbers.public_key()
        except ValueError as error:
            raise MalformedError(f"verifier: {self.name}: key is not on its curve") from error
        return numbers

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 7517) without optional members."""
        if self.curve == ED25519:
            return {"crv": ED25519, "kty": "OKP", "x": base64url(self.public)}
        x, y = self.public[:COORDINATE_BYTES], self.public[COORDINATE_BYTES:]
        return {"crv": P256, "kty": "EC", "x": base64url(x), "y": base64url(y)}

    @property
    def key_id(self) -> str:
        """The thumbprint of the key (RFC 7638), base64url; passports name it as `kid`."""
        return base64url(hashlib.sha256(canonical_json({**self.jwk})).digest())

    def to_json(self) -> dict[str, object]:
        """Return the table of a policy file.

        Returns:
            `name`, `key` and `instead_of_evidence`.
        """
        return {
            "name": self.name,
            "key": self.jwk,
            "instead_of_evidence": self.instead_of_evidence,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse a table that `to_json` returned.

        Args:
            value: The table; `instead_of_evidence` may be absent.

        Returns:
            The verifier.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form.
        """
        fields = Fields(value, "verifiers", ("name", "key"), ("instead_of_evidence",))
        curve, public = _parse_jwk(fields.get("key"))
        return cls(
            name=fields.read("name", parse_name),
            curve=curve,
            public=public,
            instead_of_evidence=fields.flag("instead_of_evidence"),
        )


def _parse_jwk(value: object) -> tuple[str, bytes]:
    """Return curve and public key of a JSON Web Key."""
    point = isinstance(value, dict) and value.get("kty") == "EC"
    names = ("kty", "crv", "x", "y") if point else ("kty", "crv", "x")
    fields = Fields(value, "verifiers: key", names)
    curve = fields.text("crv")
    if (fields.text("kty"), curve) not in (("OKP", ED25519), ("EC", P256)):
        raise fields.malformed("kty", "and crv are neither OKP and Ed25519 nor EC and P-256")
    parts = [base64url_bytes(fields.text(name), f"verifiers: key: {name}") for name in names[2:]]
    if any(len(part) != COORDINATE_BYTES for part in parts):
        raise fields.malformed("x", f"or y is not of {COORDINATE_BYTES} bytes")
    return curve, b"".join(parts)


def base64url(content: bytes) -> str:
    """Return the base64url form (RFC 4648, 5) without padding."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def base64url_bytes(text: str, what: str) -> bytes:
    """Return the bytes of their only base64url form without padding.

    `what`: the name of the value for error messages.

    Raises: MalformedError.
    """
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise MalformedError(f"{what} is not base64url") from error
    if base64url(content) != text:
        raise MalformedError(
            f"{what} is not base64url without padding, or has unused bits that are not zero"
        )
    return content
