"""Owner, pure: requests receipts, stores them with their requests and replies, checks them offline.

Spec: docs/spec/receipt.md.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.documents.log import EntryKind
from sealflow.documents.receipt import Receipt, SignedReceipt, salted_digest, split_receipt
from sealflow.documents.revocation import Revoked, RevokedKind, SignedRevocationOrder
from sealflow.errors import EvidenceError
from sealflow.seal.content import ContentKind, content_parts, receipt_request_parts
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.documents.log import LogEntry
    from sealflow.owner.audit.log_audit import AuditedLog
    from sealflow.seal.content import Content
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.wire.domain import TrustDomain
    from sealflow.wire.envelope import ReplyHeader

MAX_CONTENT_BYTES: Final = 256 * 2**20
_KEYS: Final = ("receipt", "signature", "salt", "request", "reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptProof:
    """A receipt with the request and reply that it is about: all that a third party needs.

    Whoever sees it sees request and reply.

    Attributes:
        signed: The receipt's bytes and the worker's signature.
        salt: 64 hex digits; without it the receipt reveals nothing of the contents.
        request: The request as it was sealed: kind, length, JSON, binary part.
        reply: The reply as it was sealed.

    Example:
        >>> row = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        >>> proof = client.infer("tiny", tensors=row, receipt=True).receipt
        >>> ReceiptProof.from_bytes(proof.to_bytes()) == proof
        True
    """

    signed: SignedReceipt
    salt: str
    request: bytes = field(repr=False)
    reply: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Write it as one line of JSON.

        Returns:
            The line, without its end.
        """
        return canonical_json(
            {
                "format": FORMAT,
                **self.signed.to_json(),
                "salt": self.salt,
                "request": b64encode(self.request).decode(),
                "reply": b64encode(self.reply).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, line: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Args:
            line: The line, without its end.

        Returns:
            The proof, not verified; see `verify_receipt`.

        Raises:
            MalformedError: It is not such a line.
        """
        fields = OpenFields.from_bytes(line, "receipt file", _KEYS, versioned=True)
        signed = {name: fields.get(name) for name in ("receipt", "signature")}
        return cls(
            signed=SignedReceipt.from_json(signed),
            salt=fields.digest("salt"),
            request=fields.base64("request", MAX_CONTENT_BYTES),
            reply=fields.base64("reply", MAX_CONTENT_BYTES),
        )

    def unverified_receipt(self, domain: TrustDomain) -> Receipt:
        """Return the receipt if it is about exactly these contents; who signed it is not checked.

        Args:
            domain: Hardware or simulation.

        Returns:
            The receipt, of unknown origin; see `verify_receipt`.

        Raises:
            EvidenceError: It is about another request or reply (`receipt_content`).
            MalformedError: It is not a receipt.
        """
        receipt = Receipt.from_bytes(self.signed.text)
        for purpose, content, digest in (
            ("request", self.request, receipt.request_digest),
            ("reply", self.reply, receipt.reply_digest),
        ):
            if salted_digest(domain, purpose, self.salt, [content]) != digest:
                raise EvidenceError("receipt_content", f"the receipt is about another {purpose}")
        return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequest:
    """A request that asks for a receipt. The receipt must be about this request.

    `parts`: content to seal, with the request for a receipt. `salt`: 64 hex digits.
    """

    parts: list[bytes | memoryview] = field(repr=False)
    salt: str
    _request: bytes = field(repr=False)

    @classmethod
    def from_parts(cls, parts: Sequence[bytes | memoryview]) -> Self:
        """Add a request for a receipt, with a random salt, to the content of a request."""
        salt = secrets.token_hex(32)
        return cls(parts=receipt_request_parts(parts, salt), salt=salt, _request=b"".join(parts))

    def verify_reply(
        self, call: OutgoingCall, header: ReplyHeader, content: Content
    ) -> tuple[Content, ReceiptProof | None]:
        """Split an opened reply into content and receipt; check what the receipt is about.

        Whether the key that signed is an attested worker's is not checked: that needs the log
        (`verify_receipt`). An error may come without a receipt, as the worker may not have read
        that one was asked for.

        Raises: EvidenceError when the receipt is missing, is about another request or reply, or has
            a signature that the key beside it did not make; MalformedError when it does not parse.
        """
        inner, signed = split_receipt(content, call.domain)
        if signed is None and inner.kind is ContentKind.ERROR:
            return inner, None
        if signed is None:
            raise EvidenceError(
                "receipt_missing", "the reply has no receipt: the worker's release is too old"
            )
        reply = b"".join((*content_parts(inner.kind, bytes(inner.text)), inner.binary))
        proof = ReceiptProof(signed=signed, salt=self.salt, request=self._request, reply=reply)
        receipt = proof.unverified_receipt(call.domain)
        about = (receipt.request_id, receipt.key_id, receipt.model_digest, receipt.instance)
        if about != (header.request_id, header.key_id, header.model_digest, header.instance):
            raise EvidenceError("receipt_content", "the receipt is about another exchange")
        return inner, proof


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A receipt that the log vouches for.

    Attributes:
        receipt: What the worker signed.
        grant: The log's entry under which the worker served.
        revoked: Which of worker, model and key were revoked later, each with the time in Unix ms.

    Example:
        >>> row = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        >>> proof = client.infer("tiny", tensors=row, receipt=True).receipt
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> verify_receipt(proof, log).revoked
        ()
    """

    receipt: Receipt
    grant: LogEntry
    revoked: tuple[tuple[Revoked, int], ...]


def verify_receipt(proof: ReceiptProof, log: AuditedLog) -> VerifiedReceipt:
    """Check offline that an attested worker of this log's deployment gave this very answer.

    Args:
        proof: From `InferResult.receipt`, or read from a file.
        log: A log of the deployment that reaches beyond the time of the receipt.

    Returns:
        The receipt with the grant that the worker served under.

    Raises:
        EvidenceError: `receipt_content` if it is about other contents; `receipt_worker` if the log
            has no grant for the worker; `receipt_signature`; `receipt_grant` if the grant was not
            for this model and key, or was over; `receipt_revoked` if one of them was revoked
            before.
        MalformedError: It is not a receipt.

    Example:
        >>> row = {"x": [[1.0, 2.0, 3.0, 4.0]]}
        >>> proof = client.infer("tiny", tensors=row, receipt=True).receipt
        >>> log = audit_log(client.fetch_log(), load_policy(".sealflow/client.toml"))
        >>> verify_receipt(proof, log).receipt.model
        ModelRef(name='tiny', version='1')
    """
    receipt = proof.unverified_receipt(log.domain)
    grants = [
        entry
        for entry in log.entries_of_kind(EntryKind.GRANT)
        if entry.body.get("instance") == receipt.instance
    ]
    if not grants:
        detail = "the log has no grant for this worker: it is of another deployment, or too short"
        raise EvidenceError("receipt_worker", detail)
    keys = {str(entry.body.get("signing_key")) for entry in grants}
    if len(keys) != 1:
        raise EvidenceError("receipt_worker", "the log names two keys for this worker")
    proof.signed.verify_signature(_key(keys.pop()), log.domain)
    opened = next(log.entries_of_kind(EntryKind.OPENED)).body
    deployment = receipt.deployment, receipt.manifest_digest
    if (opened.get("deployment"), opened.get("manifest_digest")) != deployment:
        raise EvidenceError("receipt_grant", "the receipt is of another deployment than the log")
    grant = next((entry for entry in reversed(grants) if _covers(entry, receipt)), None)
    if grant is None:
        raise EvidenceError(
            "receipt_grant", "at that time the worker had no grant for this model and key"
        )
    revoked = tuple(_revocations(receipt, log))
    for what, at_ms in revoked:
        if at_ms < receipt.at_ms:
            detail = f"{what.kind} {what.id} had been revoked before"
            raise EvidenceError("receipt_revoked", detail)
    return VerifiedReceipt(receipt=receipt, grant=grant, revoked=revoked)


def _covers(entry: LogEntry, receipt: Receipt) -> bool:
    keys, models, until_ms = (entry.body.get(name) for name in ("keys", "models", "until_ms"))
    return (
        isinstance(keys, list)
        and isinstance(models, list)
        and isinstance(until_ms, int)
        and receipt.key_id in keys
        and receipt.model_digest in models
        and entry.at_ms <= receipt.at_ms + MAX_CLOCK_SKEW_MS
        and receipt.at_ms <= until_ms
    )


def _revocations(receipt: Receipt, log: AuditedLog) -> list[tuple[Revoked, int]]:
    about = {
        Revoked(kind=RevokedKind.WORKER, id=receipt.instance),
        Revoked(kind=RevokedKind.MODEL, id=receipt.model_digest),
        Revoked(kind=RevokedKind.KEY, id=receipt.key_id),
    }
    found = []
    for entry in log.entries_of_kind(EntryKind.REVOCATION):
        order = SignedRevocationOrder.from_json(entry.body).verify_signature(log.domain)
        found += [(each, entry.at_ms) for each in order.revoked if each in about]
    return found


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise EvidenceError("receipt_worker", "the log has no key of the worker") from error
