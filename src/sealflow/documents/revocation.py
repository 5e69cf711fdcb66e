"""Core, pure: signed orders to revoke workers, models, keys, grants and tenant tokens.

A revocation is permanent, so a repeated order changes nothing. Spec: docs/spec/keybroker.md, 7.2.
"""

from __future__ import annotations

import enum
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import EvidenceError
from sealflow.seal.signing import SIGNATURE_BYTES, verify_signature
from sealflow.wire.fields import FORMAT, Fields, OpenFields
from sealflow.wire.ids import parse_digest, parse_key_id, parse_name, parse_request_id
from sealflow.wire.strict_json import canonical_json, is_integer, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.wire.domain import TrustDomain


MAX_REVOKED: Final = 1024
MAX_ORDER_BYTES: Final = 16 * 1024
MAX_ORDERED: Final = 64
_FORMAT: Final = 2


class RevokedKind(enum.StrEnum):
    """The kind of thing that is revoked.

    Example:
        >>> RevokedKind("worker")
        <RevokedKind.WORKER: 'worker'>
    """

    WORKER = "worker"
    """A worker enclave, by its instance id. It gets no further grant."""
    MODEL = "model"
    """A model package, by its digest. Workers drop it, and it cannot be published again."""
    KEY = "key"
    """An epoch key, by its id. It is in no later grant, directory or state."""
    GRANT = "grant"
    """What the signer of the order grants a worker, by its instance id: none of its models."""
    TOKEN = "token"  # noqa: S105 - not a secret
    """A tenant token, by its id. Workers refuse it from their next grant on."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Revoked:
    """The permanent revocation of one worker, model or key, ordered or done.

    Attributes:
        kind: Worker, model, key, grant or token.
        id: The worker's instance id (32 hex digits, also for a grant), the digest of the model's
            package (64), the id of the epoch key (64, after `sim-` for a simulation), or the id of
            the tenant token (32).

    Raises:
        MalformedError: `id` is not an id of that kind.

    Example:
        >>> Revoked(kind=RevokedKind.WORKER, id="0123456789abcdef" * 2).kind.value
        'worker'
    """

    kind: RevokedKind
    id: str

    def __post_init__(self) -> None:
        """Check that the id has the form of its kind."""
        _IDS[self.kind](self.id)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that orders and directories hold.

        Returns:
            `kind` and `id`.
        """
        return {"kind": self.kind.value, "id": self.id}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Args:
            value: The object.

        Returns:
            The value.

        Raises:
            MalformedError: Kind or id is not valid.
        """
        fields = Fields(value, "revoked", ("kind", "id"))
        return cls(kind=fields.word("kind", RevokedKind), id=fields.text("id"))


def list_revocations(
    revoked: Iterable[Revoked], ends: Mapping[str, int]
) -> list[dict[str, object]]:
    """Return what a directory or a pin lists. `ends`: `until_ms` of workers, by instance id."""
    return [
        {**each.to_json(), "until_ms": ends[each.id]}
        if each.kind is RevokedKind.WORKER and each.id in ends
        else each.to_json()
        for each in revoked
    ]


def parse_listed_revocations(fields: OpenFields) -> tuple[tuple[Revoked, ...], dict[str, int]]:
    """Return what a directory or a pin lists as `revoked`, and `until_ms` of workers by their ids.

    Kinds that this release does not know are left out. A worker that is listed twice ends with the
    later one, or never.

    Raises: MalformedError, NewerFormatError.
    """
    items = fields.list_of("revoked", _parse_listed, MAX_REVOKED)
    known = tuple(each for each in items if each is not None)
    workers = [(each.id, until) for each, until in known if each.kind is RevokedKind.WORKER]
    lasting = {instance for instance, until in workers if until is None}
    ends = {
        instance: until
        for instance, until in sorted(workers, key=lambda each: each[1] or 0)
        if until is not None and instance not in lasting
    }
    return tuple(each for each, _ in known), ends


def _parse_listed(value: object) -> tuple[Revoked, int | None] | None:
    fields = OpenFields(value, "revoked", ("kind", "id"), ("until_ms",))
    kind = fields.known_word("kind", RevokedKind)
    if kind is None:
        return None
    until_ms = fields.time_ms("until_ms") if "until_ms" in fields else None
    return Revoked(kind=kind, id=fields.text("id")), until_ms


_IDS: Final[Mapping[RevokedKind, Callable[[object], str]]] = {
    RevokedKind.WORKER: parse_request_id,
    RevokedKind.MODEL: parse_digest,
    RevokedKind.KEY: parse_key_id,
    RevokedKind.GRANT: parse_request_id,
    RevokedKind.TOKEN: parse_request_id,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOrder:
    """An order to revoke workers, models, keys, grants or tokens in one deployment.

    `signer`: the Ed25519 public key, in hex, of the owner, operator or tenant authority who gives
    the order. `log_id`: the digest of the first entry of the key broker's log. `counter`: higher
    than in all earlier orders of this signer: its time in Unix ms. Orders of format 1, which logs
    hold, have the log id None and the counter 0.
    """

    deployment: str
    log_id: str | None
    counter: int
    revoked: tuple[Revoked, ...]
    signer: str

    def to_bytes(self) -> bytes:
        """Return the order as canonical JSON, the signed bytes."""
        return canonical_json(
            {
                "format": _FORMAT,
                "deployment": self.deployment,
                "history": self.log_id,
                "counter": self.counter,
                "revoke": [each.to_json() for each in self.revoked],
                "signer": self.signer,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRevocationOrder:
    """The bytes of a revocation order and a signature; untrusted."""

    text: bytes
    signature: bytes

    @classmethod
    def sign(cls, order: RevocationOrder, key: Ed25519PrivateKey, domain: TrustDomain) -> Self:
        """Sign an order with `key`, the private part of the order's `signer`."""
        text = order.to_bytes()
        return cls(text=text, signature=key.sign(domain.label("order") + text))

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that requests carry and the log stores."""
        return {
            "order": b64encode(self.text).decode(),
            "signature": b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        fields = Fields(value, "signed order", ("order", "signature"))
        return cls(
            text=fields.base64("order", MAX_ORDER_BYTES),
            signature=fields.base64("signature", SIGNATURE_BYTES),
        )

    def verify_signature(self, domain: TrustDomain) -> RevocationOrder:
        """Return the order if its `signer` signed it.

        This does not check that the signer may give the order (keybroker.md, 7.2).

        Raises: MalformedError, EvidenceError.
        """
        order = _parse_order(self.text)
        refusal = EvidenceError("order_signature", "the named signer did not sign the order")
        signed = domain.label("order") + self.text
        verify_signature(bytes.fromhex(order.signer), self.signature, signed, refusal)
        return order


def _parse_order(text: bytes) -> RevocationOrder:
    value = parse_object(text, "order")
    if value.get("format") == FORMAT and is_integer(value["format"]):
        fields = Fields(value, "order", ("deployment", "revoke", "signer"), versioned=True)
        log_id, counter = None, 0
        revoked: tuple[Revoked, ...] = (fields.read("revoke", Revoked.from_json),)
    else:
        names = ("deployment", "history", "counter", "revoke", "signer")
        fields = Fields(value, "order", names, versioned=True, number=_FORMAT)
        log_id, counter = fields.digest("history"), fields.time_ms("counter")
        revoked = fields.list_of("revoke", Revoked.from_json, MAX_ORDERED)
    if len(set(revoked)) != len(revoked) or not revoked:
        raise fields.malformed("revoke", "is empty, or has one twice")
    return RevocationOrder(
        deployment=fields.read("deployment", parse_name),
        log_id=log_id,
        counter=counter,
        revoked=revoked,
        signer=fields.digest("signer"),
    )
