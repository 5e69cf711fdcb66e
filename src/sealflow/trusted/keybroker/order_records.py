"""Key broker, pure: records of signed orders and of grants, by which later orders are judged.

Spec: docs/spec/keybroker.md, section 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sealflow.documents.tenant_token import MAX_LIFE_MS
from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields, json_object
from sealflow.wire.ids import parse_digest, parse_name, parse_request_id
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

MAX_GRANTED: Final = 4096
MAX_EXCLUDED: Final = 64
"""Workers that one owner may keep its models from."""
MAX_BARRED: Final = 4096
"""Revoked workers that are refused though no directory lists them any more: the newest."""
_KEYS: Final = (
    "counters",
    "granted",
    "excluded",
    "revoked_of",
    "signed_names",
    "rotated_ms",
    "rotation_due_ms",
)


@dataclass(slots=True, kw_only=True)
class OrderRecords:
    """The records of one history.

    `counters`: of the newest order of each signer. `granted`: the end of the lease of each worker
    that has one, in Unix ms. `excluded`: the workers that get no models of an owner, by owner.
    `revoked_of`: the owner of each revoked package. `signed_names`: the names of models that a
    signed order was about, each with its owner: publications without one no longer count for them.
    `rotated_ms`, `rotation_due_ms`: when an order
    last began an epoch, and when the next one is due (0 for none). `ends`: when the keys and the
    lease of each listed revoked worker have ended, in Unix ms. `barred`: the newest of those that
    have, oldest first. `revoked_tokens`: when each of these tenant tokens was revoked.
    """

    counters: dict[str, int] = field(default_factory=dict)
    granted: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, list[str]] = field(default_factory=dict)
    revoked_of: dict[str, str] = field(default_factory=dict)
    signed_names: dict[str, str] = field(default_factory=dict)
    rotated_ms: int = 0
    rotation_due_ms: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    barred: list[str] = field(default_factory=list)
    revoked_tokens: dict[str, int] = field(default_factory=dict)

    def bar_ended(self, now_ms: int) -> list[str]:
        """Return the revoked workers that have ended now, which stay refused."""
        ended = [each for each, end in self.ends.items() if end <= now_ms]
        for each in ended:
            del self.ends[each]
        self.barred = [*self.barred, *ended][-MAX_BARRED:]
        return ended

    def record_grant(self, instance: str, lease_ms: int, now_ms: int) -> None:
        """Remember a worker until its lease ends; over `MAX_GRANTED`, forget the oldest."""
        self.granted.pop(instance, None)
        self.granted = {each: end for each, end in self.granted.items() if end > now_ms}
        if len(self.granted) >= MAX_GRANTED:
            del self.granted[next(iter(self.granted))]
        self.granted[instance] = lease_ms

    def has_grant(self, instance: str, now_ms: int) -> bool:
        """Return whether a worker has a lease now."""
        return self.granted.get(instance, 0) > now_ms

    def forget_tokens(self, now_ms: int) -> None:
        """Forget the revoked tokens that are over in any case."""
        held = self.revoked_tokens.items()
        self.revoked_tokens = {each: at for each, at in held if now_ms - at < MAX_LIFE_MS}

    def is_excluded(self, owner: str, instance: str) -> bool:
        """Return whether an owner keeps its models from a worker."""
        return instance in self.excluded.get(owner, ())

    def copy(self) -> OrderRecords:
        """Return records that later changes of these do not change."""
        return OrderRecords.from_json(self.to_json())

    def to_json(self) -> dict[str, object]:
        """Return the records' object in the state."""
        return {
            "counters": dict(self.counters),
            "granted": dict(self.granted),
            "excluded": {owner: list(each) for owner, each in self.excluded.items()},
            "revoked_of": dict(self.revoked_of),
            "signed_names": dict(self.signed_names),
            "rotated_ms": self.rotated_ms,
            "rotation_due_ms": self.rotation_due_ms,
            # Absent when empty, as in states of earlier releases.
            **({"ends": dict(self.ends)} if self.ends else {}),
            **({"barred": list(self.barred)} if self.barred else {}),
            **({"revoked_tokens": dict(self.revoked_tokens)} if self.revoked_tokens else {}),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse the records' object in the state.

        Raises: MalformedError.
        """
        fields = Fields(value, "orders", _KEYS, ("ends", "barred", "revoked_tokens"))
        return cls(
            counters=_table(fields.get("counters"), parse_digest, _time),
            granted=_table(fields.get("granted"), parse_request_id, _time),
            excluded=_table(fields.get("excluded"), parse_digest, _instances),
            revoked_of=_table(fields.get("revoked_of"), parse_digest, parse_digest),
            signed_names=_table(fields.get("signed_names"), parse_name, parse_digest),
            rotated_ms=fields.time_ms("rotated_ms"),
            rotation_due_ms=fields.time_ms("rotation_due_ms"),
            ends=_table(fields.get("ends"), parse_request_id, _time) if "ends" in fields else {},
            barred=(
                list(fields.list_of("barred", parse_request_id, MAX_BARRED))
                if "barred" in fields
                else []
            ),
            revoked_tokens=_table(fields.get("revoked_tokens", {}), parse_request_id, _time),
        )


def _table(
    value: object, key: Callable[[object], str], item: Callable[[object], _T]
) -> dict[str, _T]:
    return {key(name): item(each) for name, each in json_object(value).items()}


def _time(value: object) -> int:
    if not is_integer(value) or value < 0:
        raise MalformedError("a number is not a time or a counter")
    return value


def _instances(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_EXCLUDED:
        raise MalformedError(f"not a list of at most {MAX_EXCLUDED} workers")
    return list(map(parse_request_id, value))
