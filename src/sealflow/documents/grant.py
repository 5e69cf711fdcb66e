"""Core, pure: the grant of keys and models to an approved worker. Spec: keybroker.md, section 4."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import MalformedError
from sealflow.seal.chunked import KEY_BYTES
from sealflow.seal.enclave import open_sealed, seal_to_enclave
from sealflow.seal.keys import SEED_BYTES, OpeningKey, read_suite
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.ids import ModelRef, parse_request_id
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.policy import Approval
    from sealflow.wire.domain import TrustDomain

MAX_GRANT_BYTES: Final = 2**20
MAX_REVOKED_TOKENS: Final = 1024
_MAX_ITEMS: Final = 1024
_OPTIONAL: Final = ("revoked_tokens",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedKey:
    """The private part of an epoch key; the worker destroys it at `destroy_ms` (Unix ms)."""

    private_key: OpeningKey
    destroy_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedModel:
    """A model package that the worker may load.

    `digest`: the package's digest. `signer`: the Ed25519 public key that must have signed the
    package. Both are in hex. `content_key`: the key that decrypts its files.
    """

    ref: ModelRef
    digest: str
    signer: str
    content_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """All keys and models that a worker may use until `lease_ms` (Unix ms).

    `log_id`, `directory_version`: the log and the newest directory version at the time of issue. A
    worker stops if a later grant has another log or a lower version (keybroker.md, 4.4).
    `revoked_tokens`: the ids of tenant tokens that it must not serve.
    """

    keys: tuple[GrantedKey, ...]
    models: tuple[GrantedModel, ...]
    lease_ms: int
    log_id: str
    directory_version: int
    revoked_tokens: frozenset[str] = frozenset()

    def seal(self, approval: Approval, signing: Ed25519PrivateKey) -> tuple[bytes, bytes]:
        """Seal the grant to an approved worker; return the sealed bytes and the signature.

        `signing`: the key broker's signing key.

        Raises: MalformedError when the worker could not read it.
        """
        text = self._encode()
        self._parse(text, approval.claims.domain)
        return seal_to_enclave(text, approval, signing, "grant")

    def _encode(self) -> bytes:
        return canonical_json(
            {
                "format": FORMAT,
                "keys": [
                    {
                        "suite": int(key.private_key.suite),
                        "seed": b64encode(key.private_key.seed).decode(),
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
                "history": self.log_id,
                "directory_version": self.directory_version,
                **({"revoked_tokens": sorted(self.revoked_tokens)} if self.revoked_tokens else {}),
            }
        )

    @classmethod
    def _parse(cls, text: bytes, domain: TrustDomain) -> Self:
        names = ("keys", "models", "lease_ms", "history", "directory_version")
        fields = OpenFields.from_bytes(text, "grant", names, _OPTIONAL, versioned=True)
        return cls(
            keys=fields.known_of("keys", lambda each: _key(each, domain), _MAX_ITEMS),
            models=fields.known_of("models", _model, _MAX_ITEMS),
            lease_ms=fields.time_ms("lease_ms"),
            log_id=fields.digest("history"),
            directory_version=fields.integer("directory_version"),
            revoked_tokens=frozenset(
                map(parse_request_id, fields.texts("revoked_tokens", MAX_REVOKED_TOKENS))
            ),
        )


def open_grant(
    sealed: bytes,
    signature: bytes,
    *,
    private_key: OpeningKey,
    bound: bytes,
    nonce: str,
    signer: bytes,
) -> Grant:
    """Verify and open a grant that was sealed to this worker's evidence.

    `private_key`: the private key whose public part is in the evidence. `bound`, `nonce`: the bound
    claims and the nonce (hex) of the evidence. `signer`: the key broker's Ed25519 public key, from
    its approved claims.

    Raises: OpenError if the signature is not by `signer` for this evidence, or the seal does not
    open; MalformedError if the content is not a grant or has a key of another trust domain.
    """
    text = open_sealed(
        sealed,
        signature,
        private_key=private_key,
        bound=bound,
        nonce=nonce,
        signer=signer,
        purpose="grant",
    )
    return Grant._parse(text, private_key.suite.domain)  # noqa: SLF001


def _key(value: object, domain: TrustDomain) -> GrantedKey:
    fields = OpenFields(value, "key", ("suite", "seed", "destroy_ms"))
    suite = read_suite(fields)
    if suite.domain is not domain:
        raise MalformedError("a key of another trust domain")
    return GrantedKey(
        private_key=OpeningKey(suite=suite, seed=fields.base64("seed", SEED_BYTES)),
        destroy_ms=fields.time_ms("destroy_ms"),
    )


def _model(value: object) -> GrantedModel:
    fields = OpenFields(value, "model", ("name", "version", "digest", "signer", "content_key"))
    return GrantedModel(
        ref=ModelRef(name=fields.text("name"), version=fields.text("version")),
        digest=fields.digest("digest"),
        signer=fields.digest("signer"),
        content_key=fields.key("content_key", KEY_BYTES),
    )
