"""Core, pure: the key broker's signed directory: keys, models, what is revoked. Spec: directory.md.

Signed by the key broker that its evidence vouches for; versioned, hash-chained, short-lived.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import Evidence
from sealflow.documents.revocation import MAX_REVOKED, Revoked
from sealflow.errors import EvidenceError, MalformedError
from sealflow.openinfer.tensor import TensorSpec
from sealflow.seal.keys import SealingKey, Suite, parse_suite
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import base64_bytes, json_object, list_of, time_ms
from sealflow.wire.ids import KeyId, parse_digest, parse_key_id, parse_name
from sealflow.wire.strict_json import canonical_json, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain

MAX_KEYS: Final = 64
MAX_MODELS: Final = 1024
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
MAX_DIRECTORY_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryModel:
    """One version of a model that a service answers for.

    Attributes:
        name: Its name.
        version: Its version.
        digest: SHA-256 of its package, 64 hex digits.
        owner: The Ed25519 public key of the owner that published it, 64 hex digits.
        workers: SHA-256 of the owner's demands on workers, 64 hex digits; None for no demands
            beyond the deployment's own.
        default: Whether this version answers to the name alone.
        inputs: The tensors that it takes.
        outputs: The tensors that it gives.
        image: The name of the input that takes JPEG or PNG files; None if it takes none.

    Example:
        >>> [model.image for model in client.verify().models if model.name == "tiny"]
        [None]
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

    def to_json(self) -> dict[str, object]:
        """Return the object that the directory holds.

        Returns:
            The attributes by their names.
        """
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "owner": self.owner,
            "workers": self.workers,
            "default": self.default,
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "image": self.image,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` returns.

        Args:
            value: The object.

        Returns:
            The model.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form.
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
            inputs=list_of(item["inputs"], TensorSpec.from_json, MAX_KEYS, "inputs"),
            outputs=list_of(item["outputs"], TensorSpec.from_json, MAX_KEYS, "outputs"),
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

    def to_json(self) -> dict[str, object]:
        """Return the object that the payload holds."""
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
        """Read what `to_json` gives.

        Raises: MalformedError, also when the key's name is not its hash.
        """
        item = json_object(value, "directory key")
        keys = ("kid", "suite", "public", "not_before_ms", "retire_ms", "destroy_ms")
        require_keys(item, keys, "directory key")
        public = base64_bytes(item["public"], _MAX_PUBLIC_BYTES, "public key")
        sealing = SealingKey(suite=parse_suite(item["suite"]), public=public)
        if parse_key_id(item["kid"]) != sealing.key_id:
            raise MalformedError("directory key: its id is not the hash of the key")
        return cls(
            kid=sealing.key_id,
            suite=sealing.suite,
            public=public,
            not_before_ms=time_ms(item["not_before_ms"]),
            retire_ms=time_ms(item["retire_ms"]),
            destroy_ms=time_ms(item["destroy_ms"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What a deployment serves and to which keys, between two moments.

    `previous`: SHA-256 of the payload before this one, in hex; None for the first of a log.
    `log_id`: names the log that all versions belong to: the digest of its first entry.
    `log_number`, `log_digest`: the log's newest entry when this was issued; see `seal.log`.
    """

    deployment: str
    log_id: str
    log_number: int
    log_digest: str
    version: int
    previous: str | None
    issued_ms: int
    expires_ms: int
    manifest_digest: str
    models: tuple[DirectoryModel, ...]
    keys: tuple[DirectoryKey, ...]
    revoked: tuple[Revoked, ...] = ()

    def to_bytes(self) -> bytes:
        """Write the payload that is signed."""
        return canonical_json(
            {
                "deployment": self.deployment,
                "history": self.log_id,
                "log_number": self.log_number,
                "log_digest": self.log_digest,
                "version": self.version,
                "previous": self.previous,
                "issued_ms": self.issued_ms,
                "expires_ms": self.expires_ms,
                "manifest_digest": self.manifest_digest,
                "models": [model.to_json() for model in self.models],
                "keys": [key.to_json() for key in self.keys],
                "revoked": [each.to_json() for each in self.revoked],
            }
        )

    @classmethod
    def unverified_from_bytes(cls, payload: bytes) -> Self:
        """Read a payload; check its signature first.

        Raises: MalformedError.
        """
        value = parse_object(payload, "directory")
        require_keys(value, _KEYS, "directory")
        previous = value["previous"]
        return cls(
            deployment=parse_name(value["deployment"]),
            log_id=parse_digest(value["history"]),
            log_number=_count(value, "log_number"),
            log_digest=parse_digest(value["log_digest"]),
            version=_count(value, "version"),
            previous=None if previous is None else parse_digest(previous),
            issued_ms=time_ms(value["issued_ms"]),
            expires_ms=time_ms(value["expires_ms"]),
            manifest_digest=parse_digest(value["manifest_digest"]),
            models=list_of(value["models"], DirectoryModel.from_json, MAX_MODELS, "models"),
            keys=list_of(value["keys"], DirectoryKey.from_json, MAX_KEYS, "keys"),
            revoked=list_of(value["revoked"], Revoked.from_json, MAX_REVOKED, "revoked"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDirectory:
    """A payload with its signature and the evidence for the key that signed; untrusted."""

    payload: bytes
    signature: bytes
    evidence: Evidence

    @classmethod
    def sign(
        cls, directory: Directory, key: Ed25519PrivateKey, domain: TrustDomain, evidence: Evidence
    ) -> Self:
        """Sign a directory with the key that `evidence` binds."""
        payload = directory.to_bytes()
        signature = key.sign(domain.label("directory") + payload)
        return cls(payload=payload, signature=signature, evidence=evidence)

    def to_bytes(self) -> bytes:
        """Write the document that is published."""
        signed = {
            "payload": b64encode(self.payload).decode(),
            "signature": b64encode(self.signature).decode(),
        }
        return canonical_json({"directory": signed, "evidence": self.evidence.to_json()})

    @classmethod
    def from_bytes(cls, document: bytes) -> Self:
        """Read a published document.

        Raises: MalformedError.
        """
        if len(document) > 2 * MAX_DIRECTORY_BYTES:
            raise MalformedError("published directory: too large")
        value = parse_object(document, "published directory")
        require_keys(value, ("directory", "evidence"), "published directory")
        signed = _entry(value["directory"], "published directory")
        require_keys(signed, ("payload", "signature"), "published directory")
        return cls(
            payload=base64_bytes(signed["payload"], MAX_DIRECTORY_BYTES, "directory payload"),
            signature=base64_bytes(signed["signature"], SIGNATURE_BYTES, "directory signature"),
            evidence=Evidence.from_json(value["evidence"]),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the payload in hex: what the next directory calls `previous`."""
        return hashlib.sha256(self.payload).hexdigest()

    def verify_signature(self, signing_key: bytes, domain: TrustDomain) -> Directory:
        """Return the directory that the holder of `signing_key` signed, in this trust domain.

        `signing_key`: Ed25519 public key, from approved claims.

        Raises: EvidenceError.
        """
        detail = "it was not signed by the key broker that the evidence names"
        refusal = EvidenceError("directory_signature", detail)
        signed = domain.label("directory") + self.payload
        verify_signature(signing_key, self.signature, signed, refusal)
        try:
            directory = Directory.unverified_from_bytes(self.payload)
        except MalformedError as error:
            raise EvidenceError("directory", str(error)) from error
        if any(key.suite.domain is not domain for key in directory.keys):
            raise EvidenceError("directory", "it has keys of another trust domain")
        return directory


_KEYS: Final = (
    "deployment",
    "history",
    "log_number",
    "log_digest",
    "version",
    "previous",
    "issued_ms",
    "expires_ms",
    "manifest_digest",
    "models",
    "keys",
    "revoked",
)


def _entry(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: not a JSON object")
    return value


def _count(value: dict[str, object], name: str) -> int:
    number = value[name]
    if not is_integer(number) or number < 0:
        raise MalformedError(f"directory: {name} is not a number from 0")
    return number
