"""Core, pure: the requirements of a policy on an enclave, and their JSON and TOML tables.

Reference: docs/reference/policy-files.md. Spec: attestation.md, section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sealflow.attest.evidence import Tee
from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.vm_requirements import (
    SnpRequirements,
    TdxRequirements,
    matching_texts,
)
from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Callable


_MEASUREMENT: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{96}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ADVISORY: Final = re.compile(r"INTEL-SA-\d{5}")
_T = TypeVar("_T")

DAY_S: Final = 86_400
_MAX_AGE_S: Final = 3660 * DAY_S
_MAX_SVN: Final = 0xFFFF
_MAX_REASON: Final = 200
_DIGITS: Final = {Tee.SGX: 64, Tee.TDX: 96, Tee.SNP: 96}
_NAMES: Final = (
    "measurements",
    "signers",
    "product_id",
    "min_svn",
    "tcb_statuses",
    "advisories",
    "max_collateral_age_s",
    "min_tcb_evaluation",
    "platform_flags",
    "tdx",
    "snp",
    "insecure_signer_only",
    "insecure_out_of_date",
)


def _measurements(fields: Fields, name: str) -> frozenset[str]:
    """Return a list of SHA-256 or SHA-384 digests in hex as a set; empty if absent."""
    return matching_texts(fields, name, _MEASUREMENT, "64 or 96 lower-case hex digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfDateWaiver:
    """A waiver that accepts an out-of-date platform, in the last 30 days before it ends.

    Attributes:
        until: The last day, in UTC.
        reason: The reason, 1 to 200 characters.

    Example:
        >>> from datetime import date
        >>> waiver = OutOfDateWaiver(until=date(2027, 1, 31), reason="new microcode is late")
        >>> waiver.to_json()["until"]
        '2027-01-31'
    """

    until: date
    reason: str

    def to_json(self) -> dict[str, object]:
        """Return the table `insecure_out_of_date` of deployments and policy files.

        Returns:
            Its keys with strings, numbers, booleans, lists and tables.
        """
        return {"until": self.until.isoformat(), "reason": self.reason}

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Parse a table `insecure_out_of_date`.

        Args:
            value: The table.
            what: Its name for error messages, such as `policy: keybroker`.

        Returns:
            The waiver.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form. The message names it.
        """
        fields = Fields(value, what, ("until", "reason"))
        until, reason = fields.text("until"), fields.text("reason")
        if not 0 < len(reason) <= _MAX_REASON:
            raise fields.malformed("reason", f"is not a text of 1 to {_MAX_REASON} characters")
        try:
            # Python 3.11 reads more forms than the spec has.
            day = date.fromisoformat(until if _DATE.fullmatch(until) else "")
        except ValueError as error:
            raise fields.malformed("until", 'is not a date such as "2026-12-31"') from error
        return cls(until=day, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The requirements of a policy on enclaves of one role: on their code and their platform.

    These are the keys of a policy file's `keybroker` and `worker` tables
    (docs/reference/policy-files.md).

    Attributes:
        measurements: The accepted MRENCLAVE (SGX), MRTD (TDX) or launch digest (SNP) values: 64 hex
            digits for SGX, 96 for TDX and SNP.
        signers: The accepted MRSIGNER values (SGX) or digests of id keys (SNP); empty accepts any.
        product_id: The required product id of the signer, 0 to 65,535; None accepts any. SGX only.
        min_svn: The lowest accepted security version of the code, 0 to 65,535.
        tcb_statuses: The accepted TCB statuses of platform and quoting enclave. None of them may be
            out of date.
        advisories: Ids of Intel's advisories that are accepted although the platform has them.
        max_collateral_age_s: The greatest age of Intel's or AMD's collateral, in seconds.
        min_tcb_evaluation: The lowest accepted TCB evaluation data number.
        platform_flags: The flags that the platform may have.
        tdx: Further requirements; for TDX only, and required there.
        snp: Further requirements; for SNP only, and required there.
        insecure_signer_only: Accept any code of `signers` with `product_id` and `min_svn`.
        insecure_out_of_date: Accept an out-of-date platform until a day.

    Raises:
        MalformedError: No enclave could meet the requirements, or any enclave would.

    Example:
        >>> workers = Requirements(measurements=frozenset({"ab" * 32}), min_svn=3)
        >>> workers.require_fit(Tee.SGX)
    """

    measurements: frozenset[str]
    signers: frozenset[str] = frozenset()
    product_id: int | None = None
    min_svn: int = 0
    tcb_statuses: frozenset[TcbStatus] = frozenset({TcbStatus.UP_TO_DATE})
    advisories: frozenset[str] = frozenset()
    max_collateral_age_s: int = 30 * DAY_S
    min_tcb_evaluation: int = 0
    platform_flags: frozenset[PlatformFlag] = frozenset()
    tdx: TdxRequirements | None = None
    snp: SnpRequirements | None = None
    insecure_signer_only: bool = False
    insecure_out_of_date: OutOfDateWaiver | None = None

    def __post_init__(self) -> None:
        """Check that some enclaves meet the requirements, and not all."""
        if self.insecure_signer_only:
            if self.measurements or not self.signers or self.product_id is None or not self.min_svn:
                raise MalformedError(
                    "insecure_signer_only requires signers, product_id and min_svn, and excludes "
                    "measurements"
                )
        elif not self.measurements:
            raise MalformedError("measurements is empty, so no enclave would be accepted")
        if any(status.out_of_date for status in self.tcb_statuses):
            raise MalformedError(
                "tcb_statuses may not hold an out-of-date status: use insecure_out_of_date, "
                "which has a last day"
            )

    def require_fit(self, tee: Tee) -> None:
        """Check that all requirements apply to a TEE.

        Args:
            tee: The hardware; a simulation can meet any.

        Raises:
            MalformedError: A measurement has another length, or a table is of other hardware.
        """
        if tee is Tee.SIMULATED:
            return
        digits = _DIGITS[tee]
        for name, values in (("measurements", self.measurements), ("signers", self.signers)):
            if any(len(value) != digits for value in values):
                raise MalformedError(f"{name} has a value without the {digits} hex digits of {tee}")
        for kind, table in ((Tee.TDX, self.tdx), (Tee.SNP, self.snp)):
            if (table is not None) != (tee is kind):
                verb = "requires" if tee is kind else "excludes"
                raise MalformedError(f"tee {tee} {verb} a table {kind}")
        # insecure_signer_only needs a product_id.
        if tee is not Tee.SGX and self.product_id is not None:
            raise MalformedError(
                f"product_id and insecure_signer_only apply to sgx only, and tee is {tee}"
            )

    def to_json(self) -> dict[str, object]:
        """Return the requirements' table in deployments and policy files.

        Returns:
            Its keys with strings, numbers, booleans, lists and tables.
        """
        exception = self.insecure_out_of_date
        return {
            "measurements": sorted(self.measurements),
            "signers": sorted(self.signers),
            "min_svn": self.min_svn,
            "tcb_statuses": sorted(self.tcb_statuses),
            "advisories": sorted(self.advisories),
            "max_collateral_age_s": self.max_collateral_age_s,
            "min_tcb_evaluation": self.min_tcb_evaluation,
            "platform_flags": sorted(self.platform_flags),
            "insecure_signer_only": self.insecure_signer_only,
            **({} if self.product_id is None else {"product_id": self.product_id}),
            **({} if self.tdx is None else {"tdx": self.tdx.to_json()}),
            **({} if self.snp is None else {"snp": self.snp.to_json()}),
            **({} if exception is None else {"insecure_out_of_date": exception.to_json()}),
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Parse a table that `to_json` returned.

        Every key is optional, except that either `measurements` or the keys that
        `insecure_signer_only` requires must be present.

        Args:
            value: The table.
            what: Its name for error messages, such as `policy: keybroker`.

        Returns:
            The requirements.

        Raises:
            MalformedError: A key is unknown, missing or of the wrong form. The message names it.
        """
        fields = Fields(value, what, (), _NAMES)
        product_id = fields.integer("product_id", most=_MAX_SVN, default=0)
        try:
            return cls(
                measurements=_measurements(fields, "measurements"),
                signers=_measurements(fields, "signers"),
                product_id=product_id if "product_id" in fields else None,
                min_svn=fields.integer("min_svn", most=_MAX_SVN, default=0),
                tcb_statuses=fields.words("tcb_statuses", TcbStatus)
                or frozenset({TcbStatus.UP_TO_DATE}),
                advisories=matching_texts(
                    fields, "advisories", _ADVISORY, "an id such as INTEL-SA-00615"
                ),
                max_collateral_age_s=fields.integer(
                    "max_collateral_age_s", most=_MAX_AGE_S, default=30 * DAY_S
                ),
                min_tcb_evaluation=fields.integer("min_tcb_evaluation", most=2**31, default=0),
                platform_flags=fields.words("platform_flags", PlatformFlag),
                tdx=_optional(fields, "tdx", what, TdxRequirements.from_json),
                snp=_optional(fields, "snp", what, SnpRequirements.from_json),
                insecure_signer_only=fields.flag("insecure_signer_only"),
                insecure_out_of_date=_optional(
                    fields, "insecure_out_of_date", what, OutOfDateWaiver.from_json
                ),
            )
        except MalformedError as error:
            raise MalformedError(_with_prefix(what, str(error))) from error


def _optional(fields: Fields, name: str, what: str, read: Callable[[object, str], _T]) -> _T | None:
    return read(fields.get(name), f"{what}.{name}") if name in fields else None


def _with_prefix(what: str, message: str) -> str:
    return message if message.startswith(what) else f"{what}: {message}"
