"""Core, pure: the verifiers and witnesses that a policy trusts, each with its public key.

A verifier appraises evidence for others and signs a passport about it (passport.md). A witness
signs that it saw one history of the key broker's log alone (witness.md).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
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
MAX_WITNESSES: Final = 16
MAX_WITNESS_AGE_S: Final = 7 * 86_400
WITNESS_NAME: Final = r"[!-*,-~]{1,200}"
"""Printable ASCII without the space and the plus sign, which signed notes give meanings to."""
_WITNESS: Final = re.compile(
    rf"(?P<name>{WITNESS_NAME})\+(?P<id>[0-9a-f]{{8}})\+(?P<key>[A-Za-z0-9+/]{{44}})"
)
_COSIGNATURE_TYPE: Final = b"\x04"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedWitness:
    """A witness of the key broker's log, with its key of Ed25519.

    Attributes:
        name: Its name, as its cosignatures have it: printable ASCII without space and plus sign.
        public: The public key, 32 bytes.

    Raises:
        MalformedError: Name or key has another form.

    Example:
        >>> witness = TrustedWitness(name="example.org/w", public=bytes(range(32)))
        >>> TrustedWitness.from_text(witness.to_text()) == witness
        True
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Check the form."""
        if not re.fullmatch(WITNESS_NAME, self.name) or len(self.public) != COORDINATE_BYTES:
            raise MalformedError(
                "witness: the name is not 1 to 200 printable ASCII characters without space and "
                "'+', or the key not 32 bytes"
            )

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of a hash of name and key, by which cosignatures name the key."""
        named = self.name.encode() + b"\n" + _COSIGNATURE_TYPE + self.public
        return hashlib.sha256(named).digest()[:4]

    def to_text(self) -> str:
        """Return the verifier key ("vkey") of signed notes.

        Returns:
            Name, key id and key, joined by plus signs.
        """
        key = b64encode(_COSIGNATURE_TYPE + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def from_text(cls, text: object) -> Self:
        """Parse a text that `to_text` returned.

        Args:
            text: The verifier key.

        Returns:
            The witness.

        Raises:
            MalformedError: It is not a verifier key for cosignatures.
        """
        refusal = MalformedError(
            "witness: write its verifier key, as `sealflow log witness` prints it"
        )
        found = _WITNESS.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise refusal
        content = b64decode(found["key"])
        if content[:1] != _COSIGNATURE_TYPE:
            raise refusal
        witness = cls(name=found["name"], public=content[1:])
        if witness.key_id.hex() != found["id"]:
            raise MalformedError(f"witness: {witness.name}: the key id is not that of name and key")
        return witness


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRequirements:
    """The table `log` of a policy: whose cosignatures a directory's log must have.

    Attributes:
        witnesses: The witnesses whose cosignatures count: 1 to 16, no name or key twice.
        required: How many of them must have signed, at least 1.
        max_age_s: How old the signatures may be, in seconds; None for the life of the directory.

    Raises:
        MalformedError: A value is out of range.

    Example:
        >>> witness = TrustedWitness(name="example.org/w", public=bytes(range(32)))
        >>> WitnessRequirements(witnesses=(witness,), required=1).max_age_s is None
        True
    """

    witnesses: tuple[TrustedWitness, ...]
    required: int
    max_age_s: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers, and that no name or key is there twice."""
        count = len(self.witnesses)
        names = {each.name for each in self.witnesses}
        keys = {each.public for each in self.witnesses}
        if count > MAX_WITNESSES or len(names) != count or len(keys) != count:
            raise MalformedError(
                f"policy: log: witnesses is not a list of 1 to {MAX_WITNESSES} different names and "
                "keys"
            )
        if not 1 <= self.required <= count:
            raise MalformedError(
                "policy: log: witnesses_required is not from 1 to the number of witnesses"
            )

    def to_json(self) -> dict[str, object]:
        """Return the table of a policy file.

        Returns:
            `witnesses`, `witnesses_required`, and `max_age_s` if there is one.
        """
        age = {} if self.max_age_s is None else {"max_age_s": self.max_age_s}
        texts = [each.to_text() for each in self.witnesses]
        return {"witnesses": texts, "witnesses_required": self.required, **age}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse a table that `to_json` returned.

        Args:
            value: The table. Without `witnesses_required` all witnesses must have signed.

        Returns:
            The requirements.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form.
        """
        optional = ("witnesses_required", "max_age_s")
        fields = Fields(value, "policy: log", ("witnesses",), optional)
        witnesses = fields.list_of("witnesses", TrustedWitness.from_text, MAX_WITNESSES)
        return cls(
            witnesses=witnesses,
            required=fields.integer("witnesses_required", default=len(witnesses)),
            max_age_s=(
                fields.integer("max_age_s", least=1, most=MAX_WITNESS_AGE_S)
                if "max_age_s" in fields
                else None
            ),
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
