"""Core, pure, stdlib only: what a policy demands of an enclave's code and platform, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from sealflow.attest.claims import TcbStatus
from sealflow.errors import MalformedError
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import is_integer, require_keys

DAY_S: Final = 86_400
_MAX_AGE_S: Final = 3660 * DAY_S
_MAX_ITEMS: Final = 256
_OPTIONAL: Final = (
    "signers",
    "min_svn",
    "tcb_statuses",
    "advisories",
    "max_collateral_age_s",
    "min_tcb_evaluation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Demands on one kind of enclave.

    `measurements`: the MRENCLAVE values accepted, in hex, at least one. `signers`: MRSIGNER values,
    empty for any. `advisories`: Intel advisory ids accepted although the platform has them.
    """

    measurements: frozenset[str]
    signers: frozenset[str] = frozenset()
    min_svn: int = 0
    tcb_statuses: frozenset[TcbStatus] = frozenset({TcbStatus.UP_TO_DATE})
    advisories: frozenset[str] = frozenset()
    max_collateral_age_s: int = 30 * DAY_S
    min_tcb_evaluation: int = 0

    def as_json(self) -> dict[str, object]:
        """Give the object that deployments and policy files hold."""
        return {
            "measurements": sorted(self.measurements),
            "signers": sorted(self.signers),
            "min_svn": self.min_svn,
            "tcb_statuses": sorted(self.tcb_statuses),
            "advisories": sorted(self.advisories),
            "max_collateral_age_s": self.max_collateral_age_s,
            "min_tcb_evaluation": self.min_tcb_evaluation,
        }

    @classmethod
    def from_json(cls, value: object, what: str) -> Self:
        """Read what `as_json` gives; all but `measurements` may be absent.

        Raises: MalformedError.
        """
        if not isinstance(value, dict):
            raise MalformedError(f"{what}: not an object")
        require_keys(value, ("measurements",), what, _OPTIONAL)
        measurements = frozenset(map(parse_digest, _list(value, "measurements", what)))
        if not measurements:
            raise MalformedError(f"{what}: measurements is empty, so that nothing could pass")
        try:
            names = map(str, _list(value, "tcb_statuses", what, [TcbStatus.UP_TO_DATE]))
            statuses = frozenset(map(TcbStatus, names))
        except ValueError as error:
            known = ", ".join(TcbStatus)
            raise MalformedError(f"{what}: tcb_statuses may hold {known}") from error
        return cls(
            measurements=measurements,
            signers=frozenset(map(parse_digest, _list(value, "signers", what, []))),
            min_svn=_number(value, "min_svn", what, 0, 0xFFFF),
            tcb_statuses=statuses,
            advisories=frozenset(map(str, _list(value, "advisories", what, []))),
            max_collateral_age_s=_number(
                value, "max_collateral_age_s", what, 30 * DAY_S, _MAX_AGE_S
            ),
            min_tcb_evaluation=_number(value, "min_tcb_evaluation", what, 0, 2**31),
        )


def _list(
    value: dict[str, object], name: str, what: str, default: list[object] | None = None
) -> list[object]:
    found = value.get(name, default)
    if not isinstance(found, list) or len(found) > _MAX_ITEMS:
        raise MalformedError(f"{what}: {name} is not a list of at most {_MAX_ITEMS}")
    return found


def _number(value: dict[str, object], name: str, what: str, default: int, most: int) -> int:
    found = value.get(name, default)
    if not is_integer(found) or not 0 <= found <= most:
        raise MalformedError(f"{what}: {name} is not an integer of 0 to {most}")
    return found
