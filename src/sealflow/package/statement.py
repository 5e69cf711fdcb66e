"""Core: the signed statement of a model package, in the format of OpenSSF model-signing.

An in-toto statement with the SHA-256 of every file, in a DSSE envelope, signed with Ed25519. It
carries a copy of the manifest, so that a key broker can read name and tensors without the files.
Spec: docs/spec/bundle.md, section 4.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import BundleError, MalformedError
from sealflow.package.manifest import MANIFEST_NAME, ModelManifest
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import Fields
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import (
    canonical_json,
    parse_object_with_floats,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_STATEMENT_BYTES: Final = 256 * 1024
MAX_MODEL_BYTES: Final = 4 * 2**30

_TYPE: Final = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
_PREDICATE: Final = (
    "serialization",
    "resources",
    "sealflow_manifest",
    "sealflow_content_key",
)
_MAX_FILES: Final = 4
_SERIALIZATION: Final = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """One file of a package: its name, SHA-256 in hex and size in bytes."""

    name: str
    digest: str
    size: int

    @classmethod
    def describe(cls, name: str, content: bytes) -> Self:
        """Return the description of a file from its content."""
        return cls(name=name, digest=hashlib.sha256(content).hexdigest(), size=len(content))


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The statement that an owner signs: manifest, files and the commitment to the content key.

    `content_key_id`: see `container.content_key_id`. The content key is new for every packing, so
    two packings of the same files have different statements.

    Raises: BundleError if the files are over `MAX_MODEL_BYTES` together.
    """

    manifest: ModelManifest
    files: tuple[PackageFile, ...]
    content_key_id: str

    def __post_init__(self) -> None:
        """Check the total size of the files."""
        total = sum(file.size for file in self.files)
        if total > MAX_MODEL_BYTES:
            msg = f"package: {total} bytes of files are over the limit {MAX_MODEL_BYTES}"
            raise BundleError(msg)

    @classmethod
    def describe(
        cls, manifest: ModelManifest, files: Mapping[str, bytes], content_key_id: str
    ) -> Statement:
        """Return the statement about a manifest and its files.

        Raises: BundleError if a file is missing or not in the manifest, or all files together are
        too large.
        """
        if set(files) != set(manifest.files):
            msg = f"the files must be exactly {', '.join(manifest.files)}"
            raise BundleError(msg)
        contents = {**files, MANIFEST_NAME: manifest.to_bytes()}
        described = tuple(
            PackageFile.describe(name, contents[name])
            for name in sorted(contents, key=_path_components)
        )
        return cls(manifest=manifest, files=described, content_key_id=content_key_id)

    def to_bytes(self) -> bytes:
        """Return the statement as canonical JSON: the bytes that the signature and digest cover."""
        digests = b"".join(bytes.fromhex(file.digest) for file in self.files)
        subject = {
            "name": self.manifest.name,
            "digest": {"sha256": hashlib.sha256(digests).hexdigest()},
        }
        resources = [
            {"name": each.name, "algorithm": "sha256", "digest": each.digest, "size": each.size}
            for each in self.files
        ]
        predicate = {
            "serialization": _SERIALIZATION,
            "resources": resources,
            "sealflow_manifest": self.manifest.to_json(),
            "sealflow_content_key": self.content_key_id,
        }
        return canonical_json(
            {
                "_type": _TYPE,
                "subject": [subject],
                "predicateType": _PREDICATE_TYPE,
                "predicate": predicate,
            }
        )

    @classmethod
    def unverified_from_bytes(cls, payload: bytes) -> Statement:
        """Parse a statement without checking its signature.

        Raises: BundleError, also if the bytes are not exactly those of `to_bytes`.
        """
        if len(payload) > MAX_STATEMENT_BYTES:
            msg = f"package: statement over {MAX_STATEMENT_BYTES} bytes"
            raise BundleError(msg)
        try:
            statement = _statement(parse_object_with_floats(payload, "statement"))
        except MalformedError as error:
            raise BundleError(str(error)) from error
        manifest = PackageFile.describe(MANIFEST_NAME, statement.manifest.to_bytes())
        names = [file.name for file in statement.files]
        expected = sorted((*statement.manifest.files, MANIFEST_NAME), key=_path_components)
        if names != expected or manifest not in statement.files:
            msg = "package: the statement does not list the manifest and exactly its files"
            raise BundleError(msg)
        if statement.to_bytes() != payload:
            msg = "package: the statement is not in canonical form"
            raise BundleError(msg)
        return statement


def sign_statement(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the Ed25519 signature over a statement's DSSE v1 pre-authentication encoding."""
    return key.sign(_pre_authentication_encoding(payload))


def verify_statement(payload: bytes, signature: bytes, signer: str) -> Statement:
    """Return the statement if `signer` (Ed25519 public key in hex) signed it.

    Raises: BundleError.
    """
    refusal = BundleError("package: the signature is not by the expected signer")
    try:
        key = bytes.fromhex(parse_digest(signer))
    except MalformedError:
        raise refusal from None
    verify_signature(key, signature, _pre_authentication_encoding(payload), refusal)
    return Statement.unverified_from_bytes(payload)


def statement_digest(payload: bytes) -> str:
    """Return the digest of a package: the SHA-256 of its statement, in hex."""
    return hashlib.sha256(payload).hexdigest()


def encode_envelope(payload: bytes, signature: bytes, signer: str) -> bytes:
    """Return the DSSE envelope. `signer`: the signer's public key in hex, used as the key id."""
    return canonical_json(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": b64encode(payload).decode(),
            "signatures": [{"keyid": signer, "sig": b64encode(signature).decode()}],
        }
    )


def unverified_decode_envelope(data: bytes) -> tuple[bytes, bytes, str]:
    """Return payload, signature and claimed signer of a DSSE envelope, without verification.

    Raises: BundleError, also if the bytes are not exactly those of `encode_envelope`.
    """
    try:
        fields = Fields.from_bytes(data, "DSSE envelope", ("payload", "payloadType", "signatures"))
        payload = fields.base64("payload", MAX_STATEMENT_BYTES)
        signatures = fields.list_of("signatures", _signature, 1)
        if not signatures:
            raise fields.malformed("signatures", "is empty")
        signature, signer = signatures[0]
    except MalformedError as error:
        raise BundleError(str(error)) from error
    if encode_envelope(payload, signature, signer) != data:
        msg = "package: the DSSE envelope is not in canonical form"
        raise BundleError(msg)
    return payload, signature, signer


def _statement(value: dict[str, object]) -> Statement:
    fields = Fields(value, "statement", ("_type", "subject", "predicateType", "predicate"))
    predicate = fields.nested("predicate", _PREDICATE)
    return Statement(
        manifest=predicate.read("sealflow_manifest", ModelManifest.from_json),
        files=predicate.list_of("resources", _file, _MAX_FILES),
        content_key_id=predicate.digest("sealflow_content_key"),
    )


def _file(value: object) -> PackageFile:
    fields = Fields(value, "file", ("name", "algorithm", "digest", "size"))
    return PackageFile(
        name=fields.text("name"), digest=fields.digest("digest"), size=fields.integer("size")
    )


def _signature(value: object) -> tuple[bytes, str]:
    fields = Fields(value, "signature", ("keyid", "sig"))
    return fields.base64("sig", SIGNATURE_BYTES), fields.digest("keyid")


def _pre_authentication_encoding(payload: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _path_components(name: str) -> list[str]:
    # model-signing sorts paths by components, not by characters: `a/b` is before `a-b`.
    return name.split("/")
