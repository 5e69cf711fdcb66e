"""Core, pure, stdlib only: evidence and the claims that its quote binds.

Evidence carries the bound claims as exact bytes next to the quote. The quote's report data is the
hash of these bytes. Spec: attestation.md, sections 1 and 2.
"""

from __future__ import annotations

import enum
import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Self

from sealflow.wire.domain import TrustDomain, length_prefixed
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.frames import MAX_COLLATERAL_BYTES
from sealflow.wire.ids import RequestId, parse_name, parse_request_id
from sealflow.wire.printable import is_printable
from sealflow.wire.strict_json import canonical_json

PROTOCOL: Final = "sealflow/1"
MAX_QUOTE_BYTES: Final = 16 * 1024
MAX_BOUND_BYTES: Final = 8 * 1024
MAX_KEY_BYTES: Final = 4096
SIGNING_KEY_BYTES: Final = 32
NO_NONCE: Final = "00" * 32
"""The nonce of evidence that is for every verifier."""
MAX_SOFTWARE_CHARACTERS: Final = 64
_SEALING_KEY_BYTES: Final = {0x0001: 1216, 0x0002: 32, 0xF001: 1216, 0xF002: 32}
"""The length of a public key by its suite. Spec: exchange.md, section 1 and 2.2."""
_SIMULATED_SUITES: Final = 0xF000


class Tee(enum.StrEnum):
    """The kind of trusted execution environment (TEE) of a quote.

    Example:
        >>> Tee("snp").domain is TrustDomain.HARDWARE
        True
    """

    SGX = "sgx"
    TDX = "tdx"
    SNP = "snp"
    SIMULATED = "simulated"

    @property
    def domain(self) -> TrustDomain:
        """The trust domain of this TEE."""
        return TrustDomain.SIMULATED if self is Tee.SIMULATED else TrustDomain.HARDWARE


class Role(enum.StrEnum):
    """The role of an enclave. The report data covers it, so evidence is valid for one role.

    Example:
        >>> load_policy(".sealflow/client.toml").role
        <Role.KEY_BROKER: 'keybroker'>
    """

    WORKER = "worker"
    KEY_BROKER = "keybroker"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundClaims:
    """The claims that an enclave makes about itself and binds to its quote by the report data.

    `instance`: the enclave's random id. `nonce`: the verifier's nonce, 64 hex digits; zeros in
    evidence for any verifier. `manifest_digest`: SHA-256 of the deployment's settings.
    `sealing_key`: the public HPKE key of suite `sealing_suite`. `signing_key`: the Ed25519 public
    key. `software`: the release, for people. `serves`: of a worker, the owner whose models alone it
    may get, an Ed25519 public key in hex; None for no models.
    """

    role: Role
    tee: Tee
    deployment: str
    instance: RequestId
    nonce: str
    manifest_digest: str
    sealing_suite: int
    sealing_key: bytes
    signing_key: bytes
    software: str
    serves: str | None = None

    @property
    def sealing_domain(self) -> TrustDomain:
        """The trust domain of `sealing_suite`."""
        simulated = self.sealing_suite & _SIMULATED_SUITES
        return TrustDomain.SIMULATED if simulated else TrustDomain.HARDWARE

    def to_bytes(self) -> bytes:
        """Return the claims as canonical JSON, the bytes that the report data covers."""
        serves: dict[str, object] = {} if self.serves is None else {"serves": self.serves}
        return canonical_json(
            {
                **serves,
                "deployment": self.deployment,
                "instance": self.instance,
                "manifest_digest": self.manifest_digest,
                "nonce": self.nonce,
                "protocol": PROTOCOL,
                "role": self.role.value,
                "sealing_key": b64encode(self.sealing_key).decode(),
                "sealing_suite": self.sealing_suite,
                "signing_key": b64encode(self.signing_key).decode(),
                "software": self.software,
                "tee": self.tee.value,
            }
        )

    @classmethod
    def from_bytes(cls, bound: bytes) -> Self:
        """Parse bound claims.

        Raises: MalformedError.
        """
        fields = OpenFields.from_bytes(bound, "bound claims", _KEYS, ("serves",))
        if fields.text("protocol") != PROTOCOL:
            raise fields.malformed("protocol", f"is not {PROTOCOL}")
        signing_key = fields.key("signing_key", SIGNING_KEY_BYTES)
        software = fields.text("software")
        if len(software) > MAX_SOFTWARE_CHARACTERS or not is_printable(software):
            most = MAX_SOFTWARE_CHARACTERS
            raise fields.malformed("software", f"is not at most {most} printable characters")
        suite = fields.integer("sealing_suite")
        sealing_key = fields.base64("sealing_key", MAX_KEY_BYTES)
        if len(sealing_key) != _SEALING_KEY_BYTES.get(suite):
            raise fields.malformed("sealing_key", "is not a key of a known suite")
        return cls(
            role=fields.word("role", Role),
            tee=fields.word("tee", Tee),
            deployment=fields.read("deployment", parse_name),
            instance=fields.read("instance", parse_request_id),
            nonce=fields.digest("nonce"),
            manifest_digest=fields.digest("manifest_digest"),
            sealing_suite=suite,
            sealing_key=sealing_key,
            signing_key=signing_key,
            software=software,
            serves=fields.digest("serves") if "serves" in fields else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A quote, the claims bound to it, and the collateral for its verification; untrusted."""

    tee: Tee
    quote: bytes = field(repr=False)
    bound: bytes = field(repr=False)
    collateral: bytes = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object of spec section 1."""
        return {
            "format": FORMAT,
            "tee": self.tee.value,
            "quote": b64encode(self.quote).decode(),
            "bound": b64encode(self.bound).decode(),
            "collateral": b64encode(self.collateral).decode(),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        names = ("tee", "quote", "bound", "collateral")
        fields = OpenFields(value, "evidence", names, versioned=True)
        return cls(
            tee=fields.word("tee", Tee),
            quote=fields.base64("quote", MAX_QUOTE_BYTES),
            bound=fields.base64("bound", MAX_BOUND_BYTES),
            collateral=fields.base64("collateral", MAX_COLLATERAL_BYTES),
        )


def report_data(bound: bytes, role: Role, domain: TrustDomain) -> bytes:
    """Return the 64 bytes of report data that bind claims to a quote. Spec: attestation.md, 2.2.

    `bound`: the exact bytes of the bound claims.
    """
    return hashlib.sha512(
        domain.label("report") + length_prefixed(role.value.encode(), bound)
    ).digest()


_KEYS: Final = (
    "deployment",
    "instance",
    "manifest_digest",
    "nonce",
    "protocol",
    "role",
    "sealing_key",
    "sealing_suite",
    "signing_key",
    "software",
    "tee",
)
