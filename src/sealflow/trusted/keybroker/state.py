"""Key broker, pure: the sealed state, and the state key sealed for one machine.

State: `SFK1` ‖ deployment digest ‖ number ‖ salt ‖ ciphertext. The number is that of the newest log
entry, which binds a state to its place in the log.

State key: `SFW1` ‖ machine id ‖ salt ‖ ciphertext under a key derived from the platform key.
Spec: docs/spec/keybroker.md, section 5.
"""

from __future__ import annotations

import hashlib
import os
import struct
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.documents.directory import MAX_KEYS
from sealflow.documents.log_tree import LogTree
from sealflow.documents.revocation import MAX_REVOKED, Revoked
from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.package.publication import Publication, requirements_of_owner
from sealflow.package.statement import MAX_STATEMENT_BYTES, Statement, statement_digest
from sealflow.seal.chunked import KEY_BYTES, open_chunked, seal_chunked
from sealflow.trusted.keybroker.epoch_keys import EpochKey
from sealflow.trusted.keybroker.key_store import MAX_MODELS, MAX_NAMES
from sealflow.trusted.keybroker.log_writer import LogHead
from sealflow.trusted.keybroker.order_records import OrderRecords
from sealflow.wire.fields import Fields, json_object
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.trusted.keybroker.key_store import KeyStore
    from sealflow.wire.domain import TrustDomain


MAGIC: Final = b"SFK1"
SALT_BYTES: Final = 32
_HEAD: Final = struct.Struct(">4s32sQ32s")
_KEYS: Final = (
    "now_ms",
    "history",
    "log_number",
    "log_digest",
    "directory_version",
    "directory_digest",
    "epochs",
    "models",
    "revoked",
)
STATE_KEY_MAGIC: Final = b"SFW1"
MACHINE_BYTES: Final = 16
_WRAPPING_SALT_BYTES: Final = 32
_WRAPPED_HEAD_BYTES: Final = len(STATE_KEY_MAGIC) + MACHINE_BYTES + _WRAPPING_SALT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of a key broker that outlives its process.

    `directory_version`, `directory_digest`: of the newest directory, the digest in hex. `names`:
    the owner of each name that was ever published. `orders`: records of orders and grants.
    """

    now_ms: int
    log: LogHead
    directory_version: int
    directory_digest: str
    epochs: tuple[EpochKey, ...]
    publications: tuple[Publication, ...]
    revoked: tuple[Revoked, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    orders: OrderRecords = field(default_factory=OrderRecords)

    @classmethod
    def capture(cls, key_store: KeyStore, log: LogHead, version: int, digest: str) -> Self:
        """Return the present state. `version`, `digest`: of the newest directory."""
        return cls(
            now_ms=key_store.now_ms,
            log=log,
            directory_version=version,
            directory_digest=digest,
            epochs=tuple(key_store.epochs),
            publications=key_store.publications,
            revoked=key_store.revoked,
            names=dict(key_store.names),
            orders=key_store.orders.copy(),
        )

    def seal(self, key: bytes, deployment_digest: str, domain: TrustDomain) -> bytes:
        """Return the sealed state. `key`: the state key, 32 bytes."""
        text = canonical_json(
            {
                "now_ms": self.now_ms,
                "history": self.log.log_id,
                "log_number": self.log.number,
                "log_digest": self.log.digest,
                "log_tree": self.log.tree.to_json(),
                "directory_version": self.directory_version,
                "directory_digest": self.directory_digest,
                "epochs": [epoch.to_json() for epoch in self.epochs],
                "models": [_publication_to_json(each) for each in self.publications],
                "revoked": [each.to_json() for each in self.revoked],
                "names": dict(self.names),
                "orders": self.orders.to_json(),
            }
        )
        salt = os.urandom(SALT_BYTES)
        head = _HEAD.pack(MAGIC, bytes.fromhex(deployment_digest), self.log.number, salt)
        return head + seal_chunked(*_derive_key(key, head, salt, domain), [text])

    @classmethod
    def open(cls, blob: bytes, key: bytes, deployment_digest: str, domain: TrustDomain) -> Self:
        """Open a state that was sealed with the same key and deployment settings.

        Raises: OpenError, which never says why.
        """
        if len(blob) < _HEAD.size:
            raise OpenError
        head = blob[: _HEAD.size]
        magic, digest, _, salt = _HEAD.unpack(head)
        if magic != MAGIC or digest.hex() != deployment_digest:
            raise OpenError
        text = open_chunked(*_derive_key(key, head, salt, domain), memoryview(blob)[_HEAD.size :])
        try:
            return cls._parse(text)
        except (MalformedError, BundleError):
            raise OpenError from None

    @classmethod
    def _parse(cls, text: bytes) -> Self:
        fields = Fields.from_bytes(text, "state", _KEYS, ("names", "orders", "log_tree"))
        number, digest = fields.integer("log_number"), fields.digest("log_digest")
        head = LogHead(
            log_id=fields.digest("history"),
            number=number,
            digest=digest,
            # A state of an earlier release has no tree, so it begins with the newest entry.
            tree=(
                LogTree.from_json(fields.get("log_tree"), number, Fields)
                if "log_tree" in fields
                else LogTree(first=number).append(digest)
            ),
        )
        return cls(
            now_ms=fields.time_ms("now_ms"),
            log=head,
            directory_version=fields.integer("directory_version"),
            directory_digest=fields.digest("directory_digest"),
            epochs=fields.list_of("epochs", EpochKey.from_json, MAX_KEYS),
            publications=fields.list_of("models", _publication_from_json, MAX_MODELS),
            revoked=fields.list_of("revoked", Revoked.from_json, MAX_REVOKED),
            names=fields.read("names", _names) if "names" in fields else {},
            orders=(
                fields.read("orders", OrderRecords.from_json)
                if "orders" in fields
                else OrderRecords()
            ),
        )


def _names(value: object) -> dict[str, str]:
    names = {parse_name(name): parse_digest(owner) for name, owner in json_object(value).items()}
    if len(names) > MAX_NAMES:
        raise MalformedError(f"over {MAX_NAMES} names")
    return names


def _derive_key(key: bytes, head: bytes, salt: bytes, domain: TrustDomain) -> tuple[bytes, bytes]:
    context = hashlib.sha256(domain.label("state context") + head).digest()
    info = domain.label("state key") + context
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)
    return derived, context


def _publication_to_json(publication: Publication) -> dict[str, object]:
    workers = publication.workers
    return {
        "statement": b64encode(publication.statement.to_bytes()).decode(),
        "signer": publication.signer,
        "content_key": b64encode(publication.content_key).decode(),
        "workers": None if workers is None else workers.to_json(),
        "issued_ms": publication.issued_ms,
        "package_sha256": publication.package_sha256,
        "package_bytes": publication.package_bytes,
    }


def _publication_from_json(value: object) -> Publication:
    names = ("statement", "signer", "content_key", "workers", "issued_ms")
    fields = Fields(value, "model", names, ("package_sha256", "package_bytes"))
    payload = fields.base64("statement", MAX_STATEMENT_BYTES)
    return Publication(
        statement=Statement.unverified_from_bytes(payload),
        digest=statement_digest(payload),
        signer=fields.digest("signer"),
        content_key=fields.key("content_key", KEY_BYTES),
        workers=fields.read_optional("workers", requirements_of_owner),
        issued_ms=fields.time_ms("issued_ms"),
        package_sha256=fields.read_optional("package_sha256", parse_digest),
        package_bytes=(
            None
            if fields.get("package_bytes") is None
            else fields.integer("package_bytes", least=1)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKey:
    """The key that opens the states of one log. `number`: the lowest that a state may have."""

    key: bytes = field(repr=False)
    log_id: str
    number: int

    def wrap(self, platform_key: bytes, domain: TrustDomain) -> bytes:
        """Return the state key sealed under this machine's platform key."""
        salt = os.urandom(_WRAPPING_SALT_BYTES)
        head = STATE_KEY_MAGIC + machine_id(platform_key, domain) + salt
        return head + seal_chunked(*_wrapping_key(platform_key, head, domain), [self.to_bytes()])

    @classmethod
    def unwrap(cls, wrapped: bytes, platform_key: bytes, domain: TrustDomain) -> Self:
        """Open a state key that was sealed under the same platform key.

        Raises: OpenError, which never says why.
        """
        head = wrapped[:_WRAPPED_HEAD_BYTES]
        if len(head) < _WRAPPED_HEAD_BYTES or not head.startswith(STATE_KEY_MAGIC):
            raise OpenError
        text = open_chunked(
            *_wrapping_key(platform_key, head, domain), memoryview(wrapped)[_WRAPPED_HEAD_BYTES:]
        )
        try:
            return cls.from_bytes(text)
        except MalformedError:
            raise OpenError from None

    def to_bytes(self) -> bytes:
        """Return the key, log id and number as canonical JSON, in clear."""
        return canonical_json(
            {
                "key": b64encode(self.key).decode(),
                "history": self.log_id,
                "number": self.number,
            }
        )

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse what `to_bytes` returned.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(text, "state key", ("key", "history", "number"))
        key = fields.key("key", KEY_BYTES)
        return cls(key=key, log_id=fields.digest("history"), number=fields.integer("number"))


def new_state_key() -> bytes:
    """Return 32 random bytes, the state key of a new log."""
    return os.urandom(KEY_BYTES)


def machine_id(platform_key: bytes, domain: TrustDomain) -> bytes:
    """Return 16 bytes that identify a machine to its host without revealing its platform key."""
    info = domain.label("machine id")
    return HKDF(algorithm=SHA256(), length=MACHINE_BYTES, salt=None, info=info).derive(platform_key)


def _wrapping_key(platform_key: bytes, head: bytes, domain: TrustDomain) -> tuple[bytes, bytes]:
    context = hashlib.sha256(domain.label("wrapped state key") + head).digest()
    salt = head[-_WRAPPING_SALT_BYTES:]
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=context).derive(
        platform_key
    )
    return derived, context
