"""Core, pure: what a key broker gives to a worker that it approved. Spec: keybroker.md, 4."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError
from sealflow.seal.chunked import KEY_BYTES
from sealflow.seal.enclave import open_sealed, seal_to_enclave
from sealflow.seal.keys import SEED_BYTES, OpeningKey, parse_suite
from sealflow.wire.fields import base64_bytes
from sealflow.wire.ids import ModelRef, parse_digest, parse_name
from sealflow.wire.strict_json import canonical_json, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.policy import Approval
    from sealflow.wire.domain import TrustDomain

_MAX_ITEMS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedKey:
    """A private key that opens requests until `destroy_ms`, Unix ms."""

    opening: OpeningKey
    destroy_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedModel:
    """A model that may be loaded: the package's digest, who must have signed it, what opens it."""

    ref: ModelRef
    digest: str
    signer: str
    content_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """All that a worker may use, until `lease_ms` (Unix ms).

    `log_id`, `directory_version`: what is published now; a worker takes no older grant afterwards.
    """

    keys: tuple[GrantedKey, ...]
    models: tuple[GrantedModel, ...]
    lease_ms: int
    log_id: str
    directory_version: int

    def seal(self, approval: Approval, signing: Ed25519PrivateKey) -> tuple[bytes, bytes]:
        """Seal the grant to an approved worker; returns it with the key broker's signature."""
        return seal_to_enclave(self._encode(), approval, signing, "grant")

    def _encode(self) -> bytes:
        return canonical_json(
            {
                "keys": [
                    {
                        "suite": int(key.opening.suite),
                        "seed": b64encode(key.opening.seed).decode(),
                        "destroy_ms": key.destroy_ms,
                    }
                    for key in self.keys
                ],
                "models": [
                    {
                        "name": model.ref.name,
                        "version": model.ref.version,
                        "digest": model.digest,
                        "signer": model.signer,
                        "content_key": b64encode(model.content_key).decode(),
                    }
                    for model in self.models
                ],
                "lease_ms": self.lease_ms,
                "history": self.log_id,
                "directory_version": self.directory_version,
            }
        )

    @classmethod
    def _parse(cls, text: bytes, domain: TrustDomain) -> Self:
        value = parse_object(text, "grant")
        names = ("keys", "models", "lease_ms", "history", "directory_version")
        require_keys(value, names, "grant")
        return cls(
            keys=tuple(_key(each, domain) for each in _list(value["keys"])),
            models=tuple(map(_model, _list(value["models"]))),
            lease_ms=_number(value["lease_ms"]),
            log_id=parse_digest(value["history"]),
            directory_version=_number(value["directory_version"]),
        )


def open_grant(
    sealed: bytes, signature: bytes, *, opening: OpeningKey, bound: bytes, nonce: str, signer: bytes
) -> Grant:
    """Open the grant that was made for this worker's evidence.

    `signer`: the key broker's Ed25519 public key, from approved claims. `bound`, `nonce`: what the
    worker's evidence was made with.

    Raises: OpenError when it is not the key broker's, or not for this evidence; MalformedError.
    """
    text = open_sealed(
        sealed,
        signature,
        opening=opening,
        bound=bound,
        nonce=nonce,
        signer=signer,
        purpose="grant",
    )
    return Grant._parse(text, opening.suite.domain)  # noqa: SLF001


def _key(value: object, domain: TrustDomain) -> GrantedKey:
    item = _object(value)
    require_keys(item, ("suite", "seed", "destroy_ms"), "grant")
    suite = parse_suite(item["suite"])
    if suite.domain is not domain:
        raise MalformedError("grant: a key of another trust domain")
    seed = base64_bytes(item["seed"], SEED_BYTES, "seed")
    return GrantedKey(
        opening=OpeningKey(suite=suite, seed=seed), destroy_ms=_number(item["destroy_ms"])
    )


def _model(value: object) -> GrantedModel:
    item = _object(value)
    require_keys(item, ("name", "version", "digest", "signer", "content_key"), "grant")
    return GrantedModel(
        ref=ModelRef(name=parse_name(item["name"]), version=parse_name(item["version"])),
        digest=parse_digest(item["digest"]),
        signer=parse_digest(item["signer"]),
        content_key=base64_bytes(item["content_key"], KEY_BYTES, "content key"),
    )


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise MalformedError("grant: not a list, or too long")
    return value


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedError("grant: not an object")
    return value


def _number(value: object) -> int:
    if not is_integer(value):
        raise MalformedError("grant: not an integer")
    return value
