"""Core, pure: what a key broker gives to a worker that it approved. Spec: keybroker.md, section 4.

Sealed to the key in the worker's evidence and signed by the key broker, over the worker's nonce and
claims: nobody else can open it, and nobody else can have written it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealflow.attest.evidence import decode_base64
from sealflow.errors import MalformedError, OpenError
from sealflow.seal.keys import SEED_BYTES, OpeningKey, SealingKey
from sealflow.seal.stream import KEY_BYTES
from sealflow.seal.suites import parse_suite
from sealflow.wire.ids import ModelRef, parse_digest, parse_name
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.policy import Approval
    from sealflow.wire.world import World

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
    """All that a worker may use, until `lease_ms` (Unix ms)."""

    keys: tuple[GrantedKey, ...]
    models: tuple[GrantedModel, ...]
    lease_ms: int
    directory_version: int

    def seal(self, approval: Approval, signing: Ed25519PrivateKey) -> tuple[bytes, bytes]:
        """Seal the grant to an approved worker; gives it with the key broker's signature."""
        bound = approval.claims.bound
        world = approval.claims.world
        key = SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)
        if key.suite.world is not world:
            raise MalformedError("bound claims: the sealing key is of another world")
        sealed = key.seal(self._encode(), world.label("grant"))
        signature = signing.sign(_signed(world, bound.nonce, bound.encode(), sealed))
        return sealed, signature

    def _encode(self) -> bytes:
        return canonical(
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
                "directory_version": self.directory_version,
            }
        )

    @classmethod
    def _parse(cls, text: bytes, world: World) -> Self:
        value = parse_object(text, "grant")
        names = ("keys", "models", "lease_ms", "directory_version")
        require_keys(value, names, "grant")
        return cls(
            keys=tuple(_key(each, world) for each in _list(value["keys"])),
            models=tuple(map(_model, _list(value["models"]))),
            lease_ms=_number(value["lease_ms"]),
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
    world = opening.suite.world
    try:
        key = Ed25519PublicKey.from_public_bytes(signer)
        key.verify(signature, _signed(world, nonce, bound, sealed))
    except (InvalidSignature, ValueError):
        raise OpenError from None
    return Grant._parse(opening.open(sealed, world.label("grant")), world)  # noqa: SLF001


def _signed(world: World, nonce: str, bound: bytes, sealed: bytes) -> bytes:
    parts = (bytes.fromhex(nonce), hashlib.sha256(bound).digest(), sealed)
    return world.label("grant") + b"".join(len(part).to_bytes(4) + part for part in parts)


def _key(value: object, world: World) -> GrantedKey:
    item = _object(value)
    require_keys(item, ("suite", "seed", "destroy_ms"), "grant")
    suite = parse_suite(item["suite"])
    if suite.world is not world:
        raise MalformedError("grant: a key of another world")
    seed = decode_base64(item["seed"], SEED_BYTES, "seed")
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
        content_key=decode_base64(item["content_key"], KEY_BYTES, "content key"),
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
