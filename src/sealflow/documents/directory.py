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
from sealflow.wire.fields import Fields
from sealflow.wire.ids import KeyId, parse_digest, parse_key_id, parse_name
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain

MAX_KEYS: Final = 64
MAX_MODELS: Final = 1024
_MAX_SPECS: Final = 64
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
        fields = Fields(value, "model", _MODEL_KEYS)
        return cls(
            name=fields.read("name", parse_name),
            version=fields.read("version", parse_name),
            digest=fields.digest("digest"),
            owner=fields.digest("owner"),
            workers=fields.read_optional("workers", parse_digest),
            default=fields.flag("default"),
            inputs=fields.list_of("inputs", TensorSpec.from_json, _MAX_SPECS),
            outputs=fields.list_of("outputs", TensorSpec.from_json, _MAX_SPECS),
            image=None if fields.get("image") is None else fields.text("image"),
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
        names = ("kid", "suite", "public", "not_before_ms", "retire_ms", "destroy_ms")
        fields = Fields(value, "key", names)
        public = fields.base64("public", _MAX_PUBLIC_BYTES)
        sealing = SealingKey(suite=fields.read("suite", parse_suite), public=public)
        if fields.read("kid", parse_key_id) != sealing.key_id:
            raise fields.malformed("kid", "is not the hash of the key")
        return cls(
            kid=sealing.key_id,
            suite=sealing.suite,
            public=public,
            not_before_ms=fields.time_ms("not_before_ms"),
            retire_ms=fields.time_ms("retire_ms"),
            destroy_ms=fields.time_ms("destroy_ms"),
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
        fields = Fields.from_bytes(payload, "directory", _KEYS)
        return cls(
            deployment=fields.read("deployment", parse_name),
            log_id=fields.digest("history"),
            log_number=fields.integer("log_number"),
            log_digest=fields.digest("log_digest"),
            version=fields.integer("version"),
            previous=fields.read_optional("previous", parse_digest),
            issued_ms=fields.time_ms("issued_ms"),
            expires_ms=fields.time_ms("expires_ms"),
            manifest_digest=fields.digest("manifest_digest"),
            models=fields.list_of("models", DirectoryModel.from_json, MAX_MODELS),
            keys=fields.list_of("keys", DirectoryKey.from_json, MAX_KEYS),
            revoked=fields.list_of("revoked", Revoked.from_json, MAX_REVOKED),
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
            raise MalformedError("published document: too large")
        fields = Fields.from_bytes(document, "published document", ("directory", "evidence"))
        signed = fields.nested("directory", ("payload", "signature"))
        return cls(
            payload=signed.base64("payload", MAX_DIRECTORY_BYTES),
            signature=signed.base64("signature", SIGNATURE_BYTES),
            evidence=fields.read("evidence", Evidence.from_json),
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
