"""Host, engine: quarantine models whose loads or runs ended or hung their process several times.

The engines of a deployment share this in the broker. It is a matter of availability, which is the
operator's: no secret rests on it. Spec: queue.md, section 8.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import MalformedError, UnavailableError
from sealflow.wire.status import QuarantinedModel

if TYPE_CHECKING:
    from sealflow.host.broker.redis_streams import RedisStreams

MAX_FAILURES: Final = 3
"""A model is quarantined from this failure on."""
FIRST_PAUSE_MS: Final = 10_000
MAX_PAUSE_MS: Final = 3_600_000
FORGET_MS: Final = 600_000
"""How long after its pause a model's failures count."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    failures: int
    until_ms: int
    reason: str

    @property
    def forgotten(self) -> bool:
        return now_ms() >= self.until_ms + FORGET_MS


class Quarantine:
    """The failures of models by digest, and which models worked. Thread-safe."""

    def __init__(self, broker: RedisStreams, key: str) -> None:
        """Share the failures at `key` of the broker; `refresh` reads them."""
        self._broker = broker
        self._key = key
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._worked: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Return whether a model has failures that count."""
        return bool(self._records)

    def holds(self, digest: str) -> bool:
        """Return whether a model is quarantined now."""
        record = self._records.get(digest)
        return record is not None and record.failures >= MAX_FAILURES and now_ms() < record.until_ms

    @property
    def worked(self) -> tuple[str, ...]:
        """The models that were loaded, and have not failed since."""
        with self._lock:
            return tuple(self._worked)

    def record_loaded(self, digest: str) -> None:
        """Remember that a model could be loaded."""
        with self._lock:
            if digest not in self._records:
                self._worked[digest] = None

    def record_failure(self, digest: str, reason: str) -> None:
        """Count a load or run that ended its process or had to be stopped; share it."""
        with self._lock:
            self._worked.pop(digest, None)
            before = self._records.get(digest)
            failures = 1 if before is None or before.forgotten else before.failures + 1
            doublings = max(failures - MAX_FAILURES, 0)
            pause_ms = min(FIRST_PAUSE_MS * 2 ** min(doublings, 20), MAX_PAUSE_MS)
            until_ms = now_ms() + (pause_ms if failures >= MAX_FAILURES else 0)
            record = _Record(failures=failures, until_ms=until_ms, reason=reason)
            self._records[digest] = record
        _log.warning("a model failed", digest=digest, failures=failures, reason=reason)
        model = QuarantinedModel(digest=digest, failures=failures, until_ms=until_ms, reason=reason)
        try:
            value = json.dumps(model.to_json()).encode()
            self._broker.set_hash_field(self._key, digest, value)
        except UnavailableError as error:
            _log.warning("a failure is not shared", error=str(error))

    def refresh(self) -> None:
        """Read the failures that the engines share; what is not there was released.

        Raises: UnavailableError.
        """
        found: dict[str, _Record] = {}
        for field, value in self._broker.get_hash(self._key).items():
            record = _parse(value)
            if record is not None and not record.forgotten:
                found[field.decode(errors="replace")] = record
        with self._lock:
            self._records = found

    def to_status(self) -> tuple[QuarantinedModel, ...]:
        """Return the models that are quarantined now."""
        return tuple(
            QuarantinedModel(
                digest=digest,
                failures=record.failures,
                until_ms=record.until_ms,
                reason=record.reason,
            )
            for digest, record in self._records.items()
            if self.holds(digest)
        )


def _parse(value: bytes) -> _Record | None:
    try:
        found = QuarantinedModel.from_json(json.loads(value))
        return _Record(
            failures=int(found.failures or 0),
            until_ms=int(found.until_ms or 0),
            reason=found.reason or "",
        )
    except (ValueError, MalformedError):
        return None
