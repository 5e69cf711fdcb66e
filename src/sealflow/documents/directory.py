"""Core, pure: the key broker's signed directory of keys, models and revocations.

The key in the attached evidence signs a directory. Each version names the hash of the version
before it, and expires after `directory_s`. Spec: directory.md, sections 1 and 2.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import Evidence
from sealflow.documents.log_tree import LogTree
from sealflow.documents.revocation import Revoked, list_revocations, parse_listed_revocations
from sealflow.errors import EvidenceError, MalformedError
from sealflow.openinfer.tensor import TensorSpec
from sealflow.seal.keys import SealingKey, read_suite
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import FORMAT, OpenFields, evidence_error
from sealflow.wire.ids import KeyId, parse_digest, parse_key_id, parse_name
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.documents.revocation import RevokedKind
    from sealflow.seal.keys import Suite
    from sealflow.wire.domain import TrustDomain

MAX_KEYS: Final = 64
MAX_MODELS: Final = 1024
_MAX_SPECS: Final = 64
_MAX_DEADLINE_S: Final = 86_400
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
_OPTIONAL_MODEL_KEYS: Final = ("share_batch", "package_sha256", "package_bytes", "classification")
MAX_DIRECTORY_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryModel:
    """One version of a model that a service serves.

    Attributes:
        name: Its name.
        version: Its version.
        digest: SHA-256 of its package's statement, 64 hex digits.
        owner: The Ed25519 public key of the owner that published it, 64 hex digits.
        workers: SHA-256 of the owner's requirements on workers, 64 hex digits; None for no
            requirements in addition to those of the deployment.
        default: Whether a request without a version uses this one.
        inputs: The specifications of its inputs.
        outputs: The specifications of its outputs.
        image: The name of the input that also accepts JPEG and PNG files, or None.
        share_batch: Whether clients who agree share batches: the model's owner declares its rows
            independent, and the deployment's settings allow it.
        package_sha256: SHA-256 of the package's file, 64 hex digits; None if its owner did not sign
            it.
        package_bytes: The size of that file; None likewise.
        classification: The name of the output whose best classes callers may ask for, or None if
            the model's owner named none.

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
    share_batch: bool = False
    package_sha256: str | None = None
    package_bytes: int | None = None
    classification: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the model's JSON object in the directory payload.

        Returns:
            The attributes by their names; `share_batch` only if it is true, `classification` and
            those of the package's file only if they are known.
        """
        optional = {
            "package_sha256": self.package_sha256,
            "package_bytes": self.package_bytes,
            "classification": self.classification,
        }
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
            **({"share_batch": True} if self.share_batch else {}),
            **{name: value for name, value in optional.items() if value is not None},
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Args:
            value: The object.

        Returns:
            The model.

        Raises:
            MalformedError: A key is missing or of the wrong form, `image` is not an input, or
                `classification` not an output.
            NewerFormatError: The model needs a newer reader.
        """
        fields = OpenFields(value, "model", _MODEL_KEYS, _OPTIONAL_MODEL_KEYS)
        # First, so that a model that is left out is not judged further (versions.md, 4.1).
        inputs, outputs = _specs(fields, "inputs"), _specs(fields, "outputs")
        model = cls(
            name=fields.read("name", parse_name),
            version=fields.read("version", parse_name),
            digest=fields.digest("digest"),
            owner=fields.digest("owner"),
            workers=fields.read_optional("workers", parse_digest),
            default=fields.flag("default"),
            inputs=inputs,
            outputs=outputs,
            image=None if fields.get("image") is None else fields.text("image"),
            share_batch=fields.flag("share_batch"),
            package_sha256=fields.digest("package_sha256") if "package_sha256" in fields else None,
            package_bytes=(
                fields.integer("package_bytes", least=1) if "package_bytes" in fields else None
            ),
            classification=fields.text("classification") if "classification" in fields else None,
        )
        if model.image is not None and model.image not in {spec.name for spec in model.inputs}:
            raise fields.malformed("image", "is not an input")
        names = {spec.name for spec in model.outputs}
        if model.classification is not None and model.classification not in names:
            raise fields.malformed("classification", "is not an output")
        return model


def _specs(fields: OpenFields, name: str) -> tuple[TensorSpec, ...]:
    specs = fields.list_of(name, TensorSpec.from_open_json, _MAX_SPECS)
    if len({spec.name for spec in specs}) != len(specs):
        raise fields.malformed(name, "has a name twice")
    return specs


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryKey:
    """The public part of an epoch key; all times are in Unix ms.

    Clients seal requests to it from `not_before_ms` until `retire_ms`. Workers open requests with
    its private part until `destroy_ms`.
    """

    kid: KeyId
    suite: Suite
    public: bytes
    not_before_ms: int
    retire_ms: int
    destroy_ms: int

    def to_json(self) -> dict[str, object]:
        """Return the key's JSON object in the directory payload."""
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
        """Parse an object that `to_json` returned.

        Raises: MalformedError, also if `kid` is not the hash of the key; NewerFormatError for a
        suite that this release does not know.
        """
        names = ("kid", "suite", "public", "not_before_ms", "retire_ms", "destroy_ms")
        fields = OpenFields(value, "key", names)
        suite = read_suite(fields)
        public = fields.base64("public", _MAX_PUBLIC_BYTES)
        sealing = SealingKey(suite=suite, public=public)
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
    """The keys, models and revocations of a deployment from `issued_ms` to `expires_ms` (Unix ms).

    `previous`: SHA-256 of the previous version's payload, in hex; None for the first version of a
    log. `log_id`: the digest of the first entry of the log that this directory belongs to.
    `log_number`, `log_digest`: the newest log entry at the time of issue; see `documents.log`.
    `manifest_digest`: the digest of the deployment's settings. `deadline_s`: how far ahead of
    sealing workers take a request's deadline; None if the key broker does not say. `ends`: from
    when on a later version need not list a revoked worker, in Unix ms by instance id. `log_tree`:
    the Merkle tree of the log up to `log_number`; None from key brokers before 0.2.
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
    ends: Mapping[str, int] = field(default_factory=dict)
    deadline_s: int | None = None
    log_tree: LogTree | None = None

    def revoked_ids(self, kind: RevokedKind) -> frozenset[str]:
        """Return the ids of all revoked things of one kind."""
        return frozenset(each.id for each in self.revoked if each.kind is kind)

    def to_bytes(self) -> bytes:
        """Return the payload, which is the signed part, as canonical JSON."""
        return canonical_json(
            {
                "format": FORMAT,
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
                "revoked": list_revocations(self.revoked, self.ends),
                **({} if self.deadline_s is None else {"deadline_s": self.deadline_s}),
                **({} if self.log_tree is None else {"log_tree": self.log_tree.to_json()}),
            }
        )

    @classmethod
    def unverified_from_bytes(cls, payload: bytes) -> Self:
        """Parse a payload without checking its signature.

        Models and keys that only a newer release can use are left out (versions.md, 3).

        Raises: MalformedError, also if a model or the default of a name occurs twice;
        NewerFormatError.
        """
        optional = ("deadline_s", "log_tree")
        fields = OpenFields.from_bytes(payload, "directory", _KEYS, optional, versioned=True)
        models = fields.known_of("models", DirectoryModel.from_json, MAX_MODELS)
        versions = [(model.name, model.version) for model in models]
        defaults = [model.name for model in models if model.default]
        if len(set(versions)) != len(versions) or len(set(defaults)) != len(defaults):
            raise fields.malformed("models", "has a version or a default of a name twice")
        keys = fields.known_of("keys", DirectoryKey.from_json, MAX_KEYS)
        if len({key.kid for key in keys}) != len(keys):
            raise fields.malformed("keys", "has a key twice")
        version, previous = fields.integer("version", least=1), fields.get("previous")
        if (previous is None) is not (version == 1):
            raise fields.malformed("previous", "is not null for version 1 and only for it")
        issued_ms, expires_ms = fields.time_ms("issued_ms"), fields.time_ms("expires_ms")
        if expires_ms <= issued_ms:
            raise fields.malformed("expires_ms", "is not later than issued_ms")
        revoked, ends = parse_listed_revocations(fields)
        log_number = fields.integer("log_number")
        return cls(
            deployment=fields.read("deployment", parse_name),
            log_id=fields.digest("history"),
            log_number=log_number,
            log_digest=fields.digest("log_digest"),
            version=version,
            previous=fields.read_optional("previous", parse_digest),
            issued_ms=issued_ms,
            expires_ms=expires_ms,
            manifest_digest=fields.digest("manifest_digest"),
            models=models,
            keys=keys,
            revoked=revoked,
            ends=ends,
            deadline_s=(
                fields.integer("deadline_s", least=1, most=_MAX_DEADLINE_S)
                if "deadline_s" in fields
                else None
            ),
            log_tree=(
                LogTree.from_json(fields.get("log_tree"), log_number)
                if "log_tree" in fields
                else None
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDirectory:
    """A directory payload, its signature and the evidence for the signing key; untrusted."""

    payload: bytes
    signature: bytes
    evidence: Evidence

    @classmethod
    def sign(
        cls, directory: Directory, key: Ed25519PrivateKey, domain: TrustDomain, evidence: Evidence
    ) -> Self:
        """Sign a directory with `key`, whose public part is in the claims bound by `evidence`."""
        payload = directory.to_bytes()
        signature = key.sign(domain.label("directory") + payload)
        return cls(payload=payload, signature=signature, evidence=evidence)

    def to_bytes(self) -> bytes:
        """Return the document that the gateway serves."""
        signed = {
            "payload": b64encode(self.payload).decode(),
            "signature": b64encode(self.signature).decode(),
        }
        return canonical_json(
            {"format": FORMAT, "directory": signed, "evidence": self.evidence.to_json()}
        )

    @classmethod
    def from_bytes(cls, document: bytes) -> Self:
        """Parse a published document of at most twice `MAX_DIRECTORY_BYTES`.

        Raises: MalformedError, NewerFormatError.
        """
        if len(document) > 2 * MAX_DIRECTORY_BYTES:
            raise MalformedError(f"published document: over {2 * MAX_DIRECTORY_BYTES} bytes")
        names = ("directory", "evidence")
        fields = OpenFields.from_bytes(document, "published document", names, versioned=True)
        signed = fields.nested("directory", ("payload", "signature"))
        return cls(
            payload=signed.base64("payload", MAX_DIRECTORY_BYTES),
            signature=signed.base64("signature", SIGNATURE_BYTES),
            evidence=fields.read("evidence", Evidence.from_json),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, in hex; the next version's `previous`."""
        return hashlib.sha256(self.payload).hexdigest()

    def verify_signature(self, signing_key: bytes, domain: TrustDomain) -> Directory:
        """Return the directory if its signature is by `signing_key` for this trust domain.

        `signing_key`: the Ed25519 public key in the approved claims of the directory's evidence.

        Raises: EvidenceError, also for a payload that does not parse or has a key of another trust
        domain.
        """
        detail = "the directory is not signed by the key in its evidence"
        refusal = EvidenceError("directory_signature", detail)
        signed = domain.label("directory") + self.payload
        verify_signature(signing_key, self.signature, signed, refusal)
        try:
            directory = Directory.unverified_from_bytes(self.payload)
        except MalformedError as error:
            raise evidence_error("directory", error) from error
        if any(key.suite.domain is not domain for key in directory.keys):
            raise EvidenceError("directory", "the directory has a key of another trust domain")
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
