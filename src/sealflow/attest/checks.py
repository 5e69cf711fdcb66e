"""Core, pure: the checks of claims against a policy that are the same for every TEE.

Every check yields one `Mismatch` per claim that the policy does not accept.
Spec: attestation.md, 4.1 to 4.3.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from sealflow.attest.reports import TcbStatus
from sealflow.errors import Mismatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sealflow.attest.evidence import BoundClaims, Role, Tee
    from sealflow.attest.requirements import Requirements


MAX_EXCEPTION: Final = timedelta(days=30)


class IdentifiedCode(Protocol):
    """The identity of code, in a report or a passport. SGX also has `product_id`."""

    @property
    def measurement(self) -> str:
        """MRENCLAVE, MRTD or launch digest, in hex."""

    @property
    def signer(self) -> str:
        """MRSIGNER or the digest of the id key, in hex; empty for TDX."""

    @property
    def svn(self) -> int:
        """The security version number; 0 for TDX."""


def equal(code: str, field: str, expected: str, got: str, hint: str) -> Iterator[Mismatch]:
    """Yield a mismatch if `got` is not `expected`."""
    if got != expected:
        yield Mismatch(code=code, field=field, expected=expected, got=got or "none", hint=hint)


def among(
    code: str, field: str, accepted: Collection[str], got: str, hint: str
) -> Iterator[Mismatch]:
    """Yield a mismatch if `got` is not one of `accepted`."""
    if got not in accepted:
        expected = " or ".join(sorted(map(str, accepted))) or "nothing"
        yield Mismatch(code=code, field=field, expected=expected, got=got or "none", hint=hint)


def at_least(code: str, field: str, least: int, got: int, hint: str) -> Iterator[Mismatch]:
    """Yield a mismatch if `got` is less than `least`."""
    if got < least:
        yield Mismatch(
            code=code, field=field, expected=f"at least {least}", got=str(got), hint=hint
        )


def bits(code: str, must: int, may: int, got: int, hint: str) -> Iterator[Mismatch]:
    """Yield a mismatch unless `got` has all bits of `must` and no others but those of `may`."""
    if got & must != must or got & ~(must | may):
        expected = f"{must:#x}" + (f", and any bits of {may:#x}" if may else "")
        yield Mismatch(code=code, field="", expected=expected, got=f"{got:#x}", hint=hint)


def check_bound(
    bound: BoundClaims,
    *,
    role: Role,
    tee: Tee,
    deployment: str,
    manifest_digest: str,
    nonce: str,
) -> Iterator[Mismatch]:
    """Compare role, TEE, deployment, settings digest and nonce."""
    yield from equal("role", "", role, bound.role, "another kind of enclave answered")
    yield from equal("tee", "tee", tee, bound.tee, "the service runs on other hardware")
    yield from equal(
        "deployment",
        "deployment",
        deployment,
        bound.deployment,
        "this is another deployment: check the address, or use its policy",
    )
    yield from equal(
        "manifest_digest",
        "manifest_digest",
        manifest_digest,
        bound.manifest_digest,
        "the deployment's settings changed: ask its owner for a new policy",
    )
    yield from equal("nonce", "", nonce, bound.nonce, "evidence for somebody else, or old evidence")


def check_code(code: IdentifiedCode, required: Requirements) -> Iterator[Mismatch]:
    """Compare measurement, signer, product id and security version."""
    if not required.insecure_signer_only:
        yield from among(
            "measurement",
            "measurements",
            required.measurements,
            code.measurement,
            "the enclave runs other code than the policy accepts: ask the owner for a new policy",
        )
    if required.signers:
        yield from among(
            "signer", "signers", required.signers, code.signer, "another signer signed the code"
        )
    if required.product_id is not None:
        product_id = getattr(code, "product_id", None)
        yield from among(
            "product_id",
            "product_id",
            {str(required.product_id)},
            "" if product_id is None else str(product_id),
            "another program of the same signer runs",
        )
    yield from at_least(
        "svn",
        "min_svn",
        required.min_svn,
        code.svn,
        "an old release: the operator must update",
    )


def check_age(issued_s: int, required: Requirements, now_ms: int) -> Iterator[Mismatch]:
    """Compare the age of the collateral with the policy's `max_collateral_age_s`.

    `issued_s`: when the oldest part of it was issued, in Unix seconds.
    """
    age_s = now_ms // 1000 - issued_s
    if age_s > required.max_collateral_age_s:
        yield Mismatch(
            code="collateral_age",
            field="max_collateral_age_s",
            expected=f"at most {required.max_collateral_age_s} s",
            got=f"{age_s} s",
            hint="the operator must fetch new collateral",
        )


def accepted_statuses(required: Requirements, now_ms: int) -> tuple[frozenset[TcbStatus], str]:
    """Return the TCB statuses that a policy accepts now, and the hint for all others.

    The exception `insecure_out_of_date` applies until its last day, and only in the
    `MAX_EXCEPTION` before that day.
    """
    exception = required.insecure_out_of_date
    if exception is None:
        return required.tcb_statuses, "the operator must update microcode or BIOS"
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    if today > exception.until:
        return required.tcb_statuses, f"the exception of the policy ended on {exception.until}"
    if exception.until - today > MAX_EXCEPTION:
        days = MAX_EXCEPTION.days
        return required.tcb_statuses, (
            f"insecure_out_of_date applies only in the last {days} days before its end"
        )
    out_of_date = frozenset(status for status in TcbStatus if status.out_of_date)
    return required.tcb_statuses | out_of_date, "the operator must update microcode or BIOS"
