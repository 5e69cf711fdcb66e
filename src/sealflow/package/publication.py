"""Core: publication of a model: the owner's order and content key, sealed to a verified key broker.

Spec: bundle.md, section 6.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.requirements import Requirements
from sealflow.errors import BundleError, OpenError
from sealflow.package.container import content_key_id
from sealflow.package.statement import (
    MAX_STATEMENT_BYTES,
    Statement,
    statement_digest,
    verify_statement,
)
from sealflow.seal.chunked import KEY_BYTES
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import FORMAT, Fields
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import canonical_json, is_integer, parse_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.package.container import Package
    from sealflow.seal.keys import OpeningKey, SealingKey
    from sealflow.wire.domain import TrustDomain

MAX_PUBLICATION_ORDER_BYTES: Final = 4096
_FORMAT: Final = 2
_KEYS: Final = ("content_key", "signature", "signer", "statement", "workers")
_ORDER_KEYS: Final = (
    "deployment",
    "history",
    "counter",
    "digest",
    "package_bytes",
    "package_sha256",
    "workers",
    "default",
    "signer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationOrder:
    """An owner's order to publish a package in one history of one deployment.

    `counter`: as in a `RevocationOrder`. `digest`: of the package. `package_sha256`,
    `package_bytes`: of its file. `workers`: the digest of the owner's requirements on workers, or
    None. `default`: whether the version becomes the default of its name. `signer`: the owner.
    """

    deployment: str
    log_id: str
    counter: int
    digest: str
    package_sha256: str
    package_bytes: int
    workers: str | None
    default: bool
    signer: str

    def to_bytes(self) -> bytes:
        """Return the order as canonical JSON, the signed bytes."""
        return canonical_json(
            {
                "format": FORMAT,
                "deployment": self.deployment,
                "history": self.log_id,
                "counter": self.counter,
                "digest": self.digest,
                "package_bytes": self.package_bytes,
                "package_sha256": self.package_sha256,
                "workers": self.workers,
                "default": self.default,
                "signer": self.signer,
            }
        )

    @classmethod
    def unverified_from_bytes(cls, text: bytes) -> Self:
        """Parse an order without checking its signature.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(text, "publication order", _ORDER_KEYS, versioned=True)
        return cls(
            deployment=fields.read("deployment", parse_name),
            log_id=fields.digest("history"),
            counter=fields.time_ms("counter"),
            digest=fields.digest("digest"),
            package_sha256=fields.digest("package_sha256"),
            package_bytes=fields.integer("package_bytes", least=1),
            workers=fields.read_optional("workers", parse_digest),
            default=fields.flag("default"),
            signer=fields.digest("signer"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """An opened publication. The key broker still has to check that the signer may publish.

    `digest`: the digest of the package. `signer`: the owner's Ed25519 public key. Both are in hex.
    `workers`: the owner's requirements on workers in addition to those of the deployment, or None.
    `issued_ms`: the order's counter; in format 1 the sender's time. `package_sha256`,
    `package_bytes`: of the package's file; None in format 1. `order`: the signed order; None in
    format 1, and after a restart.
    """

    statement: Statement
    digest: str
    signer: str
    content_key: bytes = field(repr=False)
    workers: Requirements | None
    issued_ms: int
    package_sha256: str | None = None
    package_bytes: int | None = None
    order: PublicationOrder | None = None


def seal_publication(
    package: Package,
    content_key: bytes,
    key: SealingKey,
    *,
    signing: Ed25519PrivateKey,
    order: PublicationOrder,
    workers: Requirements | None,
) -> bytes:
    """Seal an owner's signed order, the package's statement and content key to a key broker.

    `key`: the key broker's sealing key, from its approved claims. `signing`: the private part of
    the order's `signer`. `workers`: as in `Publication`; the order has their digest.
    """
    domain, text = key.suite.domain, order.to_bytes()
    value = canonical_json(
        {
            "format": _FORMAT,
            "content_key": b64encode(content_key).decode(),
            "order": b64encode(text).decode(),
            "order_signature": b64encode(signing.sign(_signed(domain, text))).decode(),
            "signature": b64encode(package.signature).decode(),
            "signer": package.signer,
            "statement": b64encode(package.payload).decode(),
            "workers": None if workers is None else workers.to_json(),
        }
    )
    return key.seal(value, domain.label("publish"))


def open_publication(sealed: bytes, key: OpeningKey) -> Publication:
    """Open what `seal_publication` sealed, verify the signatures and check the content key.

    Raises: OpenError if it does not open or the content key is not the one in the statement;
    MalformedError if its content is malformed; BundleError if the statement is invalid, or it or
    the order is not signed by the named signer, or the order is about something else.
    """
    domain = key.suite.domain
    value = parse_object(key.open(sealed, domain.label("publish")), "publication")
    former = is_integer(value.get("format")) and value["format"] == FORMAT
    own = ("issued_ms",) if former else ("order", "order_signature")
    number = FORMAT if former else _FORMAT
    fields = Fields(value, "publication", (*_KEYS, *own), versioned=True, number=number)
    payload, signer = fields.base64("statement", MAX_STATEMENT_BYTES), fields.digest("signer")
    content_key = fields.key("content_key", KEY_BYTES)
    workers = fields.read_optional("workers", requirements_of_owner)
    order = None if former else _open_order(fields, signer, domain)
    statement = verify_statement(payload, fields.base64("signature", SIGNATURE_BYTES), signer)
    if content_key_id(content_key, domain) != statement.content_key_id:
        raise OpenError
    digest = statement_digest(payload)
    demands = None if workers is None else requirements_digest(workers)
    if order is not None and (order.digest, order.workers) != (digest, demands):
        raise BundleError("publication: its order is about another package or other requirements")
    return Publication(
        statement=statement,
        digest=digest,
        signer=signer,
        content_key=content_key,
        workers=workers,
        issued_ms=fields.time_ms("issued_ms") if order is None else order.counter,
        package_sha256=None if order is None else order.package_sha256,
        package_bytes=None if order is None else order.package_bytes,
        order=order,
    )


def _open_order(fields: Fields, signer: str, domain: TrustDomain) -> PublicationOrder:
    text = fields.base64("order", MAX_PUBLICATION_ORDER_BYTES)
    order = PublicationOrder.unverified_from_bytes(text)
    refusal = BundleError("publication: its order is not signed by the package's signer")
    if order.signer != signer:
        raise refusal
    signature = fields.base64("order_signature", SIGNATURE_BYTES)
    verify_signature(bytes.fromhex(signer), signature, _signed(domain, text), refusal)
    return order


def _signed(domain: TrustDomain, order: bytes) -> bytes:
    return domain.label("publication order") + order


def requirements_of_owner(value: object) -> Requirements:
    """Parse an owner's requirements on workers.

    Raises: MalformedError.
    """
    return Requirements.from_json(value, "demands")


def requirements_digest(workers: Requirements) -> str:
    """Return the SHA-256, in hex, of an owner's requirements on workers; see `DirectoryModel`."""
    return hashlib.sha256(canonical_json(workers.to_json())).hexdigest()
