"""Core, pure: records of what the tenants of one worker used, and orders for them.

Spec: tenants.md, section 5. The tenant authority orders a record through the seal, so that no host
sees who used what. The worker signs it as it signs receipts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.documents.tenant_token import MAX_TOKEN_CHARACTERS, QUOTAS, open_signed, sign_text
from sealflow.errors import MalformedError
from sealflow.seal.content import Content, ContentKind, content_parts, lengthen
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.ids import parse_name
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain

MAX_TENANTS: Final = 1024
_COUNTS: Final = (*QUOTAS, "refused")
_LEAST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOrder:
    """The authority's order to a worker of one deployment to tell what its tenants used.

    It holds from `not_before_ms` until `expires_ms`, in Unix ms.
    """

    deployment: str
    not_before_ms: int
    expires_ms: int

    def sign(self, key: Ed25519PrivateKey, domain: TrustDomain) -> str:
        """Return the order as requests carry it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return sign_text(
            canonical_json({"format": FORMAT, **fields}), key, domain.label("tenant usage")
        )

    @classmethod
    def verify(cls, order: str, authority: str, domain: TrustDomain) -> Self:
        """Return an order that `authority`, an Ed25519 public key in hex, has signed.

        Raises: TenantRefusedError.
        """
        return open_signed(order, authority, domain.label("tenant usage"), cls._parse)

    @classmethod
    def _parse(cls, text: bytes) -> Self:
        fields = OpenFields.from_bytes(text, "order for a record", cls.__slots__, versioned=True)
        return cls(
            deployment=fields.read("deployment", parse_name),
            not_before_ms=fields.time_ms("not_before_ms"),
            expires_ms=fields.time_ms("expires_ms"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantUsage:
    """The use of one tenant, and how many of its requests were over a quota or share."""

    tenant: str
    requests: int
    rows: int
    cpu_ms: int
    bytes: int
    refused: int

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an item of a record.

        Raises: MalformedError.
        """
        fields = OpenFields(value, "usage of a tenant", ("tenant", *_COUNTS))
        tenant = fields.read("tenant", parse_name)
        return cls(tenant=tenant, **{name: fields.integer(name) for name in _COUNTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """The use of all tenants of a worker since it started.

    `sequence`: 1 for a worker's first record, one more for each later one. `start_ms`: when the
    worker started, by its clock, in Unix ms. `refused`: requests without a valid token.
    """

    sequence: int
    start_ms: int
    refused: int
    tenants: tuple[TenantUsage, ...]

    def parts(self) -> list[bytes | memoryview]:
        """Return the content of a reply; its length tells no more than a power of two."""
        tenants = [
            {name: getattr(each, name) for name in ("tenant", *_COUNTS)} for each in self.tenants
        ]
        head = {"sequence": self.sequence, "start_ms": self.start_ms, "refused": self.refused}
        text = canonical_json({"format": FORMAT, **head, "tenants": tenants})
        parts = content_parts(ContentKind.USAGE, text)
        return lengthen(parts, max(_LEAST_BYTES, 1 << (len(parts[0]) - 1).bit_length()))

    @classmethod
    def from_content(cls, content: Content) -> Self:
        """Parse the content of a reply.

        Raises: MalformedError.
        """
        if content.kind is not ContentKind.USAGE:
            raise MalformedError(f"record of use: its kind is {content.kind.name}, not USAGE")
        names = ("sequence", "start_ms", "refused", "tenants")
        fields = OpenFields.from_bytes(content.text, "record of use", names, versioned=True)
        tenants = fields.list_of("tenants", TenantUsage.from_json, MAX_TENANTS)
        if len({each.tenant for each in tenants}) != len(tenants):
            raise fields.malformed("tenants", "has one twice")
        return cls(
            sequence=fields.integer("sequence", least=1),
            start_ms=fields.time_ms("start_ms"),
            refused=fields.integer("refused"),
            tenants=tenants,
        )


def order_parts(order: str) -> list[bytes | memoryview]:
    """Return the content of a request for a record of use."""
    return content_parts(ContentKind.USAGE, canonical_json({"order": order}))


def parse_order_text(content: Content) -> str:
    """Return the order in the content of a request, not verified.

    Raises: MalformedError.
    """
    if len(content.text) > 2 * MAX_TOKEN_CHARACTERS:
        raise MalformedError("request for a record of use: too long")
    fields = OpenFields.from_bytes(content.text, "request for a record of use", ("order",))
    return fields.text("order")
