"""Owner, pure: passports: a trusted verifier's statement about the evidence of a key broker.

A passport is an EAT Attestation Result (draft-ietf-rats-ear), an Entity Attestation Token (RFC
9711) in the form of a JSON Web Token. Spec: passport.md, section 3.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.reports import TDX_REGISTERS
from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.errors import EvidenceError, MalformedError
from sealflow.owner.passport.token import verify_token
from sealflow.wire.fields import FORMAT, Fields, OpenFields, evidence_error, json_object
from sealflow.wire.ids import parse_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealflow.attest.verifiers import TrustedVerifier

PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
SUBMODULE: Final = "keybroker"
EXTENSION: Final = "sealflow_passport"
MAX_PASSPORTS: Final = 8
"""The number of passports in a published document, and of verifiers in a policy."""
MAX_LIFETIME_S: Final = 7 * 86_400
_MAX_TIME_S: Final = 2**53 // 1000
_MAX_ADVISORIES: Final = 256
_MAX_NUMBER: Final = 0xFFFF
_MAX_HEX: Final = 128


class Tier(enum.StrEnum):
    """The trustworthiness tier of an appraisal, as AR4SI names them."""

    NONE = "none"
    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassportClaims:
    """The statement of a verifier about a key broker's evidence that it appraised.

    `bound_digest`: SHA-256 of the exact bytes of the bound claims, in hex. `form`: the TEE whose
    format the quote has; a simulation imitates one. `measurement`, `signer`, `product_id`, `svn`,
    `registers`: as in the report; `product_id` is None but for SGX, `registers` empty but for TDX.
    `tcb_status`, `qe_status`: Intel's, `not rated` for AMD. `collateral_issued_ms`: when the oldest
    part of the collateral was issued, in Unix ms. `tier`: the verifier's summary.
    """

    tier: Tier
    bound_digest: str
    role: Role
    tee: Tee
    form: Tee
    deployment: str
    manifest_digest: str
    measurement: str
    signer: str
    product_id: int | None
    svn: int
    registers: Mapping[str, str]
    tcb_status: str
    qe_status: str
    advisories: tuple[str, ...]
    collateral_issued_ms: int

    def to_json(self) -> dict[str, object]:
        """Return the object `sealflow_passport`, which lacks the tier."""
        return {
            "format": FORMAT,
            "bound_digest": self.bound_digest,
            "role": self.role.value,
            "tee": self.tee.value,
            "form": self.form.value,
            "deployment": self.deployment,
            "manifest_digest": self.manifest_digest,
            "measurement": self.measurement,
            "signer": self.signer,
            "product_id": self.product_id,
            "svn": self.svn,
            "registers": dict(self.registers),
            "tcb_status": self.tcb_status,
            "qe_status": self.qe_status,
            "advisories": list(self.advisories),
            "collateral_issued_ms": self.collateral_issued_ms,
        }

    @classmethod
    def from_json(cls, value: object, tier: Tier) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError; NewerFormatError.
        """
        fields = OpenFields(value, "passport", _KEYS, versioned=True)
        registers = fields.read("registers", json_object)
        if not all(isinstance(each, str) and len(each) <= _MAX_HEX for each in registers.values()):
            raise fields.malformed("registers", "has a value that is not hex")
        product = fields.get("product_id")
        return cls(
            tier=tier,
            bound_digest=fields.digest("bound_digest"),
            role=fields.word("role", Role),
            tee=fields.word("tee", Tee),
            form=fields.word("form", Tee),
            deployment=fields.read("deployment", parse_name),
            manifest_digest=fields.digest("manifest_digest"),
            measurement=fields.text("measurement"),
            signer=fields.text("signer"),
            product_id=None if product is None else fields.integer("product_id", most=_MAX_NUMBER),
            svn=fields.integer("svn"),
            registers={name: str(registers[name]) for name in TDX_REGISTERS if name in registers},
            tcb_status=fields.text("tcb_status"),
            qe_status=fields.text("qe_status"),
            advisories=tuple(fields.texts("advisories", _MAX_ADVISORIES)),
            collateral_issued_ms=fields.time_ms("collateral_issued_ms"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """A passport whose signature and times were checked. Only `verify_passport` makes one.

    `issued_ms`, `expires_ms`: Unix ms. `verifier`: whose key signed it.
    """

    verifier: TrustedVerifier
    claims: PassportClaims
    issued_ms: int
    expires_ms: int
    _verified: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse any creation outside of `verify_passport`."""
        if self._verified is not _VERIFIED:
            raise TypeError("Passport is not constructed directly: call verify_passport()")


def verify_passport(token: str, verifier: TrustedVerifier, now_ms: int) -> Passport:
    """Check form, signature and times of a passport.

    `now_ms`: the client's time in Unix ms.

    Raises: EvidenceError: `passport`, `passport_signature`, `passport_early` or `passport_expired`.
    """
    value = verify_token(token, verifier)
    try:
        return _passport(value, verifier, now_ms)
    except MalformedError as error:
        raise evidence_error("passport", error) from error


def _passport(value: dict[str, object], verifier: TrustedVerifier, now_ms: int) -> Passport:
    names = ("eat_profile", "iat", "exp", "ear_verifier_id", "submods")
    fields = _known(value, "passport", names, ("nbf", "aud"))
    if fields.text("eat_profile") != PROFILE:
        raise fields.malformed("eat_profile", f"is not {PROFILE}")
    if "aud" in fields:
        raise fields.malformed("aud", "names readers, and a passport is for all")
    issuer = _known(fields.get("ear_verifier_id"), "passport: ear_verifier_id", _ISSUER)
    for name in _ISSUER:
        issuer.text(name)
    issued_s, expires_s = (fields.integer(name, most=_MAX_TIME_S) for name in ("iat", "exp"))
    if not 0 < expires_s - issued_s <= MAX_LIFETIME_S:
        raise fields.malformed("exp", f"is not within {MAX_LIFETIME_S} s after iat")
    starts_s = max(issued_s, fields.integer("nbf", most=_MAX_TIME_S, default=0))
    if 1000 * starts_s > now_ms + MAX_CLOCK_SKEW_MS:
        raise EvidenceError(
            "passport_early", f"{verifier.name} issued it in the future: check this machine's clock"
        )
    if now_ms >= 1000 * expires_s:
        raise EvidenceError("passport_expired", f"the passport of {verifier.name} is over")
    submodule = _known(
        _known(fields.get("submods"), "passport: submods", (SUBMODULE,)).get(SUBMODULE),
        f"passport: {SUBMODULE}",
        ("ear_status", EXTENSION),
    )
    return Passport(
        verifier=verifier,
        claims=PassportClaims.from_json(
            submodule.get(EXTENSION), submodule.word("ear_status", Tier)
        ),
        issued_ms=1000 * issued_s,
        expires_ms=1000 * expires_s,
        _verified=_VERIFIED,
    )


def _known(
    value: object, what: str, required: Collection[str], optional: Collection[str] = ()
) -> Fields:
    """Return a reader that ignores all other fields, as draft-ietf-rats-ear, section 4, demands."""
    names = {*required, *optional}
    found = {name: each for name, each in json_object(value).items() if name in names}
    return Fields(found, what, required, optional)


_ISSUER: Final = ("developer", "build")
_KEYS: Final = (
    "bound_digest",
    "role",
    "tee",
    "form",
    "deployment",
    "manifest_digest",
    "measurement",
    "signer",
    "product_id",
    "svn",
    "registers",
    "tcb_status",
    "qe_status",
    "advisories",
    "collateral_issued_ms",
)
_VERIFIED: Final = object()
