"""Core, pure: tenant tokens, which a deployment's tenant authority signs. Spec: tenants.md.

A client puts its token inside of the seal, so that no host sees it; workers check it and count.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sealflow.errors import MalformedError, TenantRefusedError
from sealflow.seal.signing import verify_signature
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.ids import parse_name, parse_request_id
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain

_T = TypeVar("_T")

MAX_TOKEN_CHARACTERS: Final = 2048
MAX_LIFE_MS: Final = 367 * 86_400_000
"""Of a token, so that key brokers can forget revoked ones."""
MAX_WEIGHT: Final = 100
QUOTAS: Final = ("requests", "rows", "cpu_ms", "bytes")
_MAX_PERIOD_S: Final = 366 * 86_400
_KEYS: Final = ("deployment", "tenant", "id", "not_before_ms", "expires_ms", "period_s", "weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantToken:
    """A tenant's quotas and share, and how long they hold.

    Times are Unix ms. `quotas`: for each name of `QUOTAS`, what the tenant may use of each worker
    in each period of `period_s` seconds. `weight`: its share beside other tenants, 1 to 100.
    """

    deployment: str
    tenant: str
    id: str
    not_before_ms: int
    expires_ms: int
    period_s: int
    weight: int
    quotas: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that is signed."""
        fields = {name: getattr(self, name) for name in _KEYS}
        return {"format": FORMAT, **fields, **self.quotas}

    def sign(self, key: Ed25519PrivateKey, domain: TrustDomain) -> str:
        """Return the token as clients carry it."""
        return sign_text(canonical_json(self.to_json()), key, domain.label("tenant token"))

    @classmethod
    def verify(cls, token: str, authority: str, domain: TrustDomain) -> Self:
        """Return a token that `authority`, an Ed25519 public key in hex, has signed.

        Raises: TenantRefusedError.
        """
        return open_signed(
            token, authority, domain.label("tenant token"), cls.unverified_from_bytes
        )

    @classmethod
    def unverified_from_bytes(cls, text: bytes) -> Self:
        """Parse what a token says; who signed it is not checked.

        Raises: MalformedError.
        """
        fields = OpenFields.from_bytes(text, "tenant token", (*_KEYS, *QUOTAS), versioned=True)
        return cls(
            deployment=fields.read("deployment", parse_name),
            tenant=fields.read("tenant", parse_name),
            id=fields.read("id", parse_request_id),
            not_before_ms=fields.time_ms("not_before_ms"),
            expires_ms=fields.time_ms("expires_ms"),
            period_s=fields.integer("period_s", least=1, most=_MAX_PERIOD_S),
            weight=fields.integer("weight", least=1, most=MAX_WEIGHT),
            quotas={name: fields.integer(name, least=1) for name in QUOTAS},
        )


def sign_text(text: bytes, key: Ed25519PrivateKey, label: bytes) -> str:
    """Return a text with the authority's signature over label and text, each in base64url."""
    parts = (text, key.sign(label + text))
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def open_signed(signed: str, authority: str, label: bytes, parse: Callable[[bytes], _T]) -> _T:
    """Return the result of `parse` on a text that `authority` has signed for a purpose.

    Raises: TenantRefusedError, also where `parse` raises MalformedError.
    """
    refusal = TenantRefusedError("what was sent is not of this deployment's tenant authority")
    text, _, signature = signed.partition(".")
    if len(signed) > MAX_TOKEN_CHARACTERS:
        raise refusal
    try:
        opened, raw = _decode(text), _decode(signature)
        verify_signature(bytes.fromhex(authority), raw, label + opened, refusal)
        return parse(opened)
    except MalformedError as error:
        raise refusal from error


def _decode(text: str) -> bytes:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError) as error:
        raise MalformedError("tenant token: not base64url") from error
    if urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise MalformedError("tenant token: not the one spelling of its bytes")
    return raw
