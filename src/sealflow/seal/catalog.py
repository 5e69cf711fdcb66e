"""Core, pure: the items of a signed directory: models, keys, what is revoked.

Spec: docs/spec/directory.md, section 2.
"""

from __future__ import annotations

import enum
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError
from sealflow.openinfer.tensor import TensorSpec
from sealflow.seal.keys import SealingKey
from sealflow.seal.suites import Suite, parse_suite
from sealflow.wire.fields import as_time, decode_base64, json_object, several
from sealflow.wire.ids import KeyId, parse_digest, parse_key_id, parse_name, parse_request_id
from sealflow.wire.strict_json import require_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


MAX_KEYS: Final = 64
MAX_MODELS: Final = 1024
MAX_REVOKED: Final = 1024
_MAX_PUBLIC_BYTES: Final = 4096
_MODEL_KEYS: Final = (
    "name",
    "version",
    "digest",
    "owner",
    "workers",
    "default",
    "inputs",
    "outputs",
    "image",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryModel:
    """One version of a model that workers serve, as callers need to know it.

    `default`: whether it answers to the name alone. `image`: the input that takes JPEG or PNG.
    `owner`: the Ed25519 public key, in hex, of who published it. `workers`: the digest of what its
    owner demands of workers beyond the deployment's own demands; None for nothing more.
    """

    name: str
    version: str
    digest: str
    owner: str
    workers: str | None
    default: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: str | None

    def as_json(self) -> dict[str, object]:
        """Give the object that the payload holds."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "owner": self.owner,
            "workers": self.workers,
            "default": self.default,
            "inputs": [spec.as_json() for spec in self.inputs],
            "outputs": [spec.as_json() for spec in self.outputs],
            "image": self.image,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `as_json` gives.

        Raises: MalformedError.
        """
        item = json_object(value, "directory model")
        require_keys(item, _MODEL_KEYS, "directory model")
        default, image, workers = item["default"], item["image"], item["workers"]
        if not isinstance(default, bool) or not isinstance(image, str | None):
            raise MalformedError("directory model: default or image is of the wrong type")
        return cls(
            name=parse_name(item["name"]),
            version=parse_name(item["version"]),
            digest=parse_digest(item["digest"]),
            owner=parse_digest(item["owner"]),
            workers=None if workers is None else parse_digest(workers),
            default=default,
            inputs=several(item["inputs"], TensorSpec.from_json, MAX_KEYS, "inputs"),
            outputs=several(item["outputs"], TensorSpec.from_json, MAX_KEYS, "outputs"),
            image=image,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryKey:
    """A public key to seal requests to from `not_before_ms` until `retire_ms`.

    Workers open with it until `destroy_ms`. Times in Unix ms.
    """

    kid: KeyId
    suite: Suite
    public: bytes
    not_before_ms: int
    retire_ms: int
    destroy_ms: int

    def as_json(self) -> dict[str, object]:
        """Give the object that the payload holds."""
        return {
            "kid": self.kid,
            "suite": int(self.suite),
            "public": b64encode(self.public).decode(),
            "not_before_ms": self.not_before_ms,
            "retire_ms": self.retire_ms,
            "destroy_ms": self.destroy_ms,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `as_json` gives.

        Raises: MalformedError, also when the key's name is not its hash.
        """
        item = json_object(value, "directory key")
        keys = ("kid", "suite", "public", "not_before_ms", "retire_ms", "destroy_ms")
        require_keys(item, keys, "directory key")
        public = decode_base64(item["public"], _MAX_PUBLIC_BYTES, "public key")
        sealing = SealingKey(suite=parse_suite(item["suite"]), public=public)
        if parse_key_id(item["kid"]) != sealing.key_id:
            raise MalformedError("directory key: its id is not the hash of the key")
        return cls(
            kid=sealing.key_id,
            suite=sealing.suite,
            public=public,
            not_before_ms=as_time(item["not_before_ms"]),
            retire_ms=as_time(item["retire_ms"]),
            destroy_ms=as_time(item["destroy_ms"]),
        )


class RevokedKind(enum.StrEnum):
    """What can be revoked."""

    WORKER = "worker"
    """One worker enclave, by its instance id: it gets nothing any more."""
    MODEL = "model"
    """One model package, by its digest: it is served no more, and never again."""
    KEY = "key"
    """One epoch key, by its id: it is destroyed at once."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Revoked:
    """One thing that is revoked for good.

    Raises: MalformedError when `id` is no id of that kind.
    """

    kind: RevokedKind
    id: str

    def __post_init__(self) -> None:
        """Refuse what cannot name anything."""
        _IDS[self.kind](self.id)

    def as_json(self) -> dict[str, object]:
        """Give the object that payloads hold."""
        return {"kind": self.kind.value, "id": self.id}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `as_json` gives.

        Raises: MalformedError.
        """
        item = json_object(value, "revoked")
        require_keys(item, ("kind", "id"), "revoked")
        try:
            kind = RevokedKind(str(item["kind"]))
        except ValueError as error:
            raise MalformedError("revoked: kind is not worker, model or key") from error
        return cls(kind=kind, id=str(item["id"]))


_IDS: Final[Mapping[RevokedKind, Callable[[object], str]]] = {
    RevokedKind.WORKER: parse_request_id,
    RevokedKind.MODEL: parse_digest,
    RevokedKind.KEY: parse_key_id,
}
