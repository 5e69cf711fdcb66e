"""Core: publication of a model: statement and content key, sealed to a verified key broker.

Spec: bundle.md, section 6.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealflow.attest.requirements import Requirements
from sealflow.errors import OpenError
from sealflow.package.container import content_key_id
from sealflow.package.statement import (
    MAX_STATEMENT_BYTES,
    Statement,
    statement_digest,
    verify_statement,
)
from sealflow.seal.chunked import KEY_BYTES
from sealflow.seal.signing import SIGNATURE_BYTES
from sealflow.wire.fields import FORMAT, Fields
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.package.container import Package
    from sealflow.seal.keys import OpeningKey, SealingKey

_KEYS: Final = ("content_key", "issued_ms", "signature", "signer", "statement", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """An opened publication. The key broker still has to check that the signer may publish.

    `digest`: the digest of the package. `signer`: the owner's Ed25519 public key. Both are in hex.
    `workers`: the owner's requirements on workers in addition to those of the deployment, or None.
    `issued_ms`: the owner's time in Unix ms; the latest publication of a package applies.
    """

    statement: Statement
    digest: str
    signer: str
    content_key: bytes = field(repr=False)
    workers: Requirements | None
    issued_ms: int


def seal_publication(
    package: Package,
    content_key: bytes,
    key: SealingKey,
    *,
    workers: Requirements | None,
    issued_ms: int,
) -> bytes:
    """Seal a package's statement and content key to a key broker.

    `key`: the key broker's sealing key, from its approved claims. `workers`, `issued_ms`: as in
    `Publication`.
    """
    text = canonical_json(
        {
            "format": FORMAT,
            "content_key": b64encode(content_key).decode(),
            "issued_ms": issued_ms,
            "signature": b64encode(package.signature).decode(),
            "signer": package.signer,
            "statement": b64encode(package.payload).decode(),
            "workers": None if workers is None else workers.to_json(),
        }
    )
    return key.seal(text, key.suite.domain.label("publish"))


def open_publication(sealed: bytes, key: OpeningKey) -> Publication:
    """Open what `seal_publication` sealed, verify the signature and check the content key.

    Raises: OpenError if it does not open or the content key is not the one in the statement;
    MalformedError if its content is malformed; BundleError if the statement is invalid or not
    signed by the named signer.
    """
    domain = key.suite.domain
    text = key.open(sealed, domain.label("publish"))
    fields = Fields.from_bytes(text, "publication", _KEYS, versioned=True)
    payload, signer = fields.base64("statement", MAX_STATEMENT_BYTES), fields.digest("signer")
    content_key = fields.key("content_key", KEY_BYTES)
    statement = verify_statement(payload, fields.base64("signature", SIGNATURE_BYTES), signer)
    if content_key_id(content_key, domain) != statement.content_key_id:
        raise OpenError
    return Publication(
        statement=statement,
        digest=statement_digest(payload),
        signer=signer,
        content_key=content_key,
        workers=fields.read_optional("workers", requirements_of_owner),
        issued_ms=fields.time_ms("issued_ms"),
    )


def requirements_of_owner(value: object) -> Requirements:
    """Parse an owner's requirements on workers.

    Raises: MalformedError.
    """
    return Requirements.from_json(value, "demands")


def requirements_digest(workers: Requirements) -> str:
    """Return the SHA-256, in hex, of an owner's requirements on workers; see `DirectoryModel`."""
    return hashlib.sha256(canonical_json(workers.to_json())).hexdigest()
