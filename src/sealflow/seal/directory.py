"""Core, pure: the signed directory of keys and models. Spec: docs/spec/directory.md.

Signed by the key broker that its evidence vouches for; versioned, hash-chained, short-lived.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealflow.attest.evidence import Evidence, decode_base64
from sealflow.errors import EvidenceError, MalformedError
from sealflow.openinfer.tensor import TensorSpec
from sealflow.seal.keys import SealingKey
from sealflow.seal.suites import Suite, parse_suite
from sealflow.wire.ids import KeyId, parse_digest, parse_key_id, parse_name
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.world import World

MAX_DIRECTORY_BYTES: Final = 2**20
MAX_KEYS: Final = 64
MAX_MODELS: Final = 1024
_MAX_PUBLIC_BYTES: Final = 4096
_SIGNATURE_BYTES: Final = 64
_MAX_TIME_MS: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryModel:
    """One version of a model that workers serve, as callers need to know it.

    `default`: whether it answers to the name alone. `image`: the input that takes JPEG or PNG.
    """

    name: str
    version: str
    digest: str
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
        item = _object(value, "directory model")
        keys = ("name", "version", "digest", "default", "inputs", "outputs", "image")
        require_keys(item, keys, "directory model")
        default, image = item["default"], item["image"]
        if not isinstance(default, bool) or not isinstance(image, str | None):
            raise MalformedError("directory model: default or image is of the wrong type")
        return cls(
            name=parse_name(item["name"]),
            version=parse_name(item["version"]),
            digest=parse_digest(item["digest"]),
            default=default,
            inputs=_several(item["inputs"], TensorSpec.from_json, MAX_KEYS, "inputs"),
            outputs=_several(item["outputs"], TensorSpec.from_json, MAX_KEYS, "outputs"),
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
        item = _object(value, "directory key")
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
            not_before_ms=_time(item["not_before_ms"]),
            retire_ms=_time(item["retire_ms"]),
            destroy_ms=_time(item["destroy_ms"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What a deployment serves and to which keys, between two moments.

    `previous`: SHA-256 of the payload before this one, in hex; None for the first of a key broker.
    """

    deployment: str
    version: int
    previous: str | None
    issued_ms: int
    expires_ms: int
    manifest_digest: str
    models: tuple[DirectoryModel, ...]
    keys: tuple[DirectoryKey, ...]
    revoked: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Write the payload that is signed."""
        return canonical(
            {
                "deployment": self.deployment,
                "version": self.version,
                "previous": self.previous,
                "issued_ms": self.issued_ms,
                "expires_ms": self.expires_ms,
                "manifest_digest": self.manifest_digest,
                "models": [model.as_json() for model in self.models],
                "keys": [key.as_json() for key in self.keys],
                "revoked": list(self.revoked),
            }
        )

    @classmethod
    def unverified_parse(cls, payload: bytes) -> Self:
        """Read a payload; check its signature first.

        Raises: MalformedError.
        """
        value = parse_object(payload, "directory")
        require_keys(value, _KEYS, "directory")
        previous, version = value["previous"], value["version"]
        if not is_integer(version) or version < 0:
            raise MalformedError("directory: version is not a number from 0")
        return cls(
            deployment=parse_name(value["deployment"]),
            version=version,
            previous=None if previous is None else parse_digest(previous),
            issued_ms=_time(value["issued_ms"]),
            expires_ms=_time(value["expires_ms"]),
            manifest_digest=parse_digest(value["manifest_digest"]),
            models=_several(value["models"], DirectoryModel.from_json, MAX_MODELS, "models"),
            keys=_several(value["keys"], DirectoryKey.from_json, MAX_KEYS, "keys"),
            revoked=_several(value["revoked"], parse_digest, MAX_MODELS, "revoked"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDirectory:
    """A payload with its signature and the evidence for the key that signed; untrusted."""

    payload: bytes
    signature: bytes
    evidence: Evidence

    @classmethod
    def sign(
        cls, directory: Directory, key: Ed25519PrivateKey, world: World, evidence: Evidence
    ) -> Self:
        """Sign a directory with the key that `evidence` binds."""
        payload = directory.encode()
        signature = key.sign(world.label("directory") + payload)
        return cls(payload=payload, signature=signature, evidence=evidence)

    def encode(self) -> bytes:
        """Write the document that is published."""
        signed = {
            "payload": b64encode(self.payload).decode(),
            "signature": b64encode(self.signature).decode(),
        }
        return canonical({"directory": signed, "evidence": self.evidence.as_json()})

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """Read a published document.

        Raises: MalformedError.
        """
        if len(document) > 2 * MAX_DIRECTORY_BYTES:
            raise MalformedError("published directory: too large")
        value = parse_object(document, "published directory")
        require_keys(value, ("directory", "evidence"), "published directory")
        signed = _object(value["directory"], "published directory")
        require_keys(signed, ("payload", "signature"), "published directory")
        return cls(
            payload=decode_base64(signed["payload"], MAX_DIRECTORY_BYTES, "directory payload"),
            signature=decode_base64(signed["signature"], _SIGNATURE_BYTES, "directory signature"),
            evidence=Evidence.from_json(value["evidence"]),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the payload in hex: what the next directory calls `previous`."""
        return hashlib.sha256(self.payload).hexdigest()

    def verify(self, signing_key: bytes, world: World) -> Directory:
        """Give the directory that the holder of `signing_key` signed, in this world.

        `signing_key`: Ed25519 public key, from approved claims.

        Raises: EvidenceError.
        """
        try:
            key = Ed25519PublicKey.from_public_bytes(signing_key)
            key.verify(self.signature, world.label("directory") + self.payload)
        except (InvalidSignature, ValueError) as error:
            detail = "it was not signed by the key broker that the evidence names"
            raise EvidenceError("directory_signature", detail) from error
        try:
            directory = Directory.unverified_parse(self.payload)
        except MalformedError as error:
            raise EvidenceError("directory", str(error)) from error
        if any(key.suite.world is not world for key in directory.keys):
            raise EvidenceError("directory", "it has keys of another world")
        return directory


_KEYS: Final = (
    "deployment",
    "version",
    "previous",
    "issued_ms",
    "expires_ms",
    "manifest_digest",
    "models",
    "keys",
    "revoked",
)


_T = TypeVar("_T")


def _several(value: object, parse: Callable[[object], _T], most: int, what: str) -> tuple[_T, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise MalformedError(f"directory: {what} are not a list of at most {most}")
    return tuple(map(parse, value))


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: not a JSON object")
    return value


def _time(value: object) -> int:
    if not is_integer(value) or not 0 <= value <= _MAX_TIME_MS:
        raise MalformedError("directory: not a time in milliseconds")
    return value
