"""Core, pure: a worker's signed receipt for one reply. Spec: docs/spec/receipt.md.

The sealed request asks for the receipt and the sealed reply carries it, so only client and worker
learn of it. It holds salted hashes: without the salt it reveals nothing about request and reply.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import EvidenceError
from sealflow.seal.content import (
    Content,
    ContentKind,
    Parts,
    content_parts,
    inner_content,
    lengthen,
)
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.ids import (
    ModelRef,
    parse_key_id,
    parse_name,
    parse_request_id,
)
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain


MAX_RECEIPT_BYTES: Final = 4096
_KEY_BYTES: Final = 32
_MAX_CLOCK_MS: Final = 2**64 - 1
"""The greatest time that a host can tell a worker: frames.md, 5.1."""
_KEYS: Final = (
    "deployment",
    "manifest_digest",
    "instance",
    "kid",
    "rid",
    "model",
    "version",
    "model_digest",
    "request_digest",
    "reply_digest",
    "at_ms",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A worker's statement of the model, request and reply of one call.

    Spec: docs/spec/receipt.md.

    Attributes:
        deployment: The name of the deployment.
        manifest_digest: SHA-256 of the deployment's settings, 64 hex digits.
        instance: The worker's instance id, 32 hex digits.
        key_id: The id of the epoch key that the request was sealed to.
        request_id: The id of the sealed request, 32 hex digits.
        model: The model that answered.
        model_digest: SHA-256 of its package's statement, 64 hex digits.
        request_digest: Salted SHA-256 of the request, 64 hex digits.
        reply_digest: Salted SHA-256 of the reply, 64 hex digits.
        at_ms: The worker's time in Unix ms, as its host told it.

    Example:
        >>> row = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        >>> proof = client.infer("tiny", tensors=row, receipt=True).receipt
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> receipt = verify_receipt(proof, log).receipt
        >>> receipt.deployment, str(receipt.model)
        ('sealflow', 'tiny:1')
    """

    deployment: str
    manifest_digest: str
    instance: str
    key_id: str
    request_id: str
    model: ModelRef
    model_digest: str
    request_digest: str
    reply_digest: str
    at_ms: int

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed.

        Returns:
            JSON in canonical form.
        """
        return canonical_json(
            {
                "format": FORMAT,
                "deployment": self.deployment,
                "manifest_digest": self.manifest_digest,
                "instance": self.instance,
                "kid": self.key_id,
                "rid": self.request_id,
                "model": self.model.name,
                "version": self.model.version,
                "model_digest": self.model_digest,
                "request_digest": self.request_digest,
                "reply_digest": self.reply_digest,
                "at_ms": self.at_ms,
            }
        )

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse bytes that `to_bytes` returned.

        Args:
            text: The bytes.

        Returns:
            The receipt.

        Raises:
            MalformedError: It is not a receipt.
        """
        fields = OpenFields.from_bytes(text, "receipt", _KEYS, versioned=True)
        return cls(
            deployment=fields.read("deployment", parse_name),
            manifest_digest=fields.digest("manifest_digest"),
            instance=fields.read("instance", parse_request_id),
            key_id=fields.read("kid", parse_key_id),
            request_id=fields.read("rid", parse_request_id),
            model=ModelRef(name=fields.text("model"), version=fields.text("version")),
            model_digest=fields.digest("model_digest"),
            request_digest=fields.digest("request_digest"),
            reply_digest=fields.digest("reply_digest"),
            at_ms=fields.time_ms("at_ms"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReceipt:
    """The bytes of a receipt and a worker's signature; `verify_receipt` checks both.

    Attributes:
        text: The receipt as it was signed.
        signature: Ed25519, 64 bytes.

    Example:
        >>> row = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        >>> signed = client.infer("tiny", tensors=row, receipt=True).receipt.signed
        >>> Receipt.from_bytes(signed.text).model
        ModelRef(name='tiny', version='1')
    """

    text: bytes
    signature: bytes

    @classmethod
    def sign(cls, receipt: Receipt, key: Ed25519PrivateKey, domain: TrustDomain) -> Self:
        """Sign a receipt with the signing key that the worker's evidence binds.

        Args:
            receipt: The receipt to sign.
            key: The worker's private key.
            domain: Hardware or simulation.

        Returns:
            The receipt's bytes with the signature.
        """
        text = receipt.to_bytes()
        return cls(text=text, signature=key.sign(domain.label("receipt") + text))

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that replies carry and receipt files store.

        Returns:
            `receipt` and `signature`, each in base64.
        """
        return {
            "receipt": b64encode(self.text).decode(),
            "signature": b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Args:
            value: The object, with these two keys.

        Returns:
            The receipt's bytes with the signature, not verified.

        Raises:
            MalformedError: A key is missing or not base64.
        """
        fields = OpenFields(value, "signed receipt", ("receipt", "signature"))
        return cls(
            text=fields.base64("receipt", MAX_RECEIPT_BYTES),
            signature=fields.base64("signature", SIGNATURE_BYTES),
        )

    def verify_signature(self, signing_key: bytes, domain: TrustDomain) -> Receipt:
        """Return the receipt if the worker's key signed it.

        Args:
            signing_key: The worker's Ed25519 public key, 32 bytes.
            domain: Hardware or simulation.

        Returns:
            The receipt.

        Raises:
            EvidenceError: Somebody else signed (`receipt_signature`).
            MalformedError: It is not a receipt.
        """
        refusal = EvidenceError("receipt_signature", "the worker did not sign the receipt")
        verify_signature(signing_key, self.signature, domain.label("receipt") + self.text, refusal)
        return Receipt.from_bytes(self.text)


def receipt_parts(
    parts: Parts, signed: SignedReceipt, signing_key: bytes, length: int = 0
) -> list[bytes | memoryview]:
    """Return the parts of a content of kind RECEIPT: the receipt, then the parts of the reply.

    `signing_key`: the worker's Ed25519 public key. `length`: the least number of bytes of the
    first part.
    """
    value = {**signed.to_json(), "signing_key": b64encode(signing_key).decode()}
    return [*lengthen(content_parts(ContentKind.RECEIPT, canonical_json(value)), length), *parts]


@cache
def receipt_bytes(deployment: str, model: ModelRef) -> int:
    """Return the greatest length that a receipt adds to a reply of a model."""
    digest = "0" * 64
    longest = Receipt(
        deployment=deployment,
        manifest_digest=digest,
        instance=digest[:32],
        key_id=f"sim-{digest}",
        request_id=digest[:32],
        model=model,
        model_digest=digest,
        request_digest=digest,
        reply_digest=digest,
        at_ms=_MAX_CLOCK_MS,
    )
    signed = SignedReceipt(text=longest.to_bytes(), signature=bytes(SIGNATURE_BYTES))
    return sum(map(len, receipt_parts((), signed, bytes(_KEY_BYTES))))


def split_receipt(content: Content, domain: TrustDomain) -> tuple[Content, SignedReceipt | None]:
    """Return the reply within a content, and its receipt if the content has one.

    The signature is checked with the key beside it. A worker before 0.2 sends none. Whether that
    key is an attested worker's says the log.

    Raises: MalformedError; EvidenceError (`receipt_signature`).
    """
    if content.kind is not ContentKind.RECEIPT:
        return content, None
    value = parse_object(content.text, "signed receipt")
    signed = SignedReceipt.from_json(value)
    if "signing_key" in value:
        key = OpenFields(value, "signed receipt", ("signing_key",)).key("signing_key", _KEY_BYTES)
        signed.verify_signature(key, domain)
    return inner_content(content), signed


def salted_digest(domain: TrustDomain, purpose: str, salt: str, parts: Parts) -> str:
    """Return the salted SHA-256 of a whole content, in hex. Spec: receipt.md, 2.1.

    `purpose`: `request` or `reply`. `salt`: 64 hex digits. `parts`: kind, length, JSON and binary
    part, as `content_parts` returns them.
    """
    digest = hashlib.sha256(domain.label(f"receipt {purpose}") + bytes.fromhex(salt))
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
