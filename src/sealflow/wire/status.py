"""Core, pure: the status of each process of a cluster, and of the whole cluster.

The operator's processes report it, unauthenticated. A field is None if a process of another release
does not report it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sealflow.errors import MalformedError
from sealflow.wire.fields import FORMAT, OpenFields
from sealflow.wire.frame_payloads import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")
_MODEL_KEYS: Final = frozenset({"name", "version", "digest", "runtime", "max_batch"})
Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """The status of one worker, reported by its engine.

    `serves`: the owner whose models it has, a public key in hex. `round_trip_ms`: the time between
    request and reply at the engine, by percentile. `cpu_s`: CPU time. `rss_bytes`: resident memory.
    """

    pid: Number | None = None
    ready: bool | None = None
    simulated: bool | None = None
    models: tuple[LoadedModel, ...] = ()
    in_flight: Number | None = None
    served: Number | None = None
    refused: Number | None = None
    round_trip_ms: Mapping[str, object] | None = None
    cpu_s: Number | None = None
    rss_bytes: Number | None = None
    restarts: Number | None = None
    serves: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in an engine's status."""
        serves = {} if self.serves is None else {"serves": self.serves}
        return {
            "pid": self.pid,
            "ready": self.ready,
            "simulated": self.simulated,
            "models": [model.to_json() for model in self.models],
            "in_flight": self.in_flight,
            "served": self.served,
            "refused": self.refused,
            "round_trip_ms": self.round_trip_ms,
            "cpu_s": self.cpu_s,
            "rss_bytes": self.rss_bytes,
            "restarts": self.restarts,
            **serves,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        table = _table(value)
        return cls(
            pid=_number(table, "pid"),
            ready=_flag(table, "ready"),
            simulated=_flag(table, "simulated"),
            models=_list(table, "models", _model),
            in_flight=_number(table, "in_flight"),
            served=_number(table, "served"),
            refused=_number(table, "refused"),
            round_trip_ms=_optional(table, "round_trip_ms", _table),
            cpu_s=_number(table, "cpu_s"),
            rss_bytes=_number(table, "rss_bytes"),
            restarts=_number(table, "restarts"),
            serves=_text(table, "serves"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedModel:
    """A model that engines quarantined, as it ended or hung its process again and again.

    `until_ms`: when it is tried again, in Unix ms. `reason`: what it did last.
    """

    digest: str
    failures: Number | None = None
    until_ms: Number | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in an engine's status."""
        return {
            "digest": self.digest,
            "failures": self.failures,
            "until_ms": self.until_ms,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        table = _table(value)
        return cls(
            digest=_required(_text(table, "digest"), "digest"),
            failures=_number(table, "failures"),
            until_ms=_number(table, "until_ms"),
            reason=_text(table, "reason"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBrokerStatus:
    """The status of a key broker, reported by its host.

    `keyed`: whether it has the state key.
    """

    pid: Number | None = None
    ready: bool | None = None
    keyed: bool | None = None
    cpu_s: Number | None = None
    rss_bytes: Number | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in the status of a key broker host."""
        return {
            "pid": self.pid,
            "ready": self.ready,
            "keyed": self.keyed,
            "cpu_s": self.cpu_s,
            "rss_bytes": self.rss_bytes,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        table = _table(value)
        return cls(
            pid=_number(table, "pid"),
            ready=_flag(table, "ready"),
            keyed=_flag(table, "keyed"),
            cpu_s=_number(table, "cpu_s"),
            rss_bytes=_number(table, "rss_bytes"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """The status of one host process.

    `component`: `gateway`, `engine` or `control` (the key broker host). Only gateways have `url`,
    `waiting` and `simulated`; only engines have `workers` and `quarantine`; only key broker hosts
    have `served`, `leads` and `keybroker`.
    """

    component: str
    instance: str | None = None
    pid: Number | None = None
    cpu_s: Number | None = None
    rss_bytes: Number | None = None
    url: str | None = None
    waiting: Number | None = None
    simulated: bool | None = None
    workers: tuple[WorkerStatus, ...] | None = None
    served: Number | None = None
    leads: bool | None = None
    keybroker: KeyBrokerStatus | None = None
    quarantine: tuple[QuarantinedModel, ...] | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that the process stores, without fields that are None."""
        workers, keybroker = self.workers, self.keybroker
        quarantine = [each.to_json() for each in self.quarantine or ()]
        value: dict[str, object] = {
            "format": FORMAT,
            "component": self.component,
            "instance": self.instance,
            "url": self.url,
            "pid": self.pid,
            "cpu_s": self.cpu_s,
            "rss_bytes": self.rss_bytes,
            "workers": None if workers is None else [each.to_json() for each in workers],
            "waiting": self.waiting,
            "simulated": self.simulated,
            "served": self.served,
            "leads": self.leads,
            "keybroker": None if keybroker is None else keybroker.to_json(),
            "quarantine": quarantine or None,
        }
        return {name: each for name, each in value.items() if each is not None}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError; NewerFormatError.
        """
        table = _document(value)
        workers, quarantine = table.get("workers"), table.get("quarantine")
        return cls(
            component=_required(_text(table, "component"), "component"),
            instance=_text(table, "instance"),
            pid=_number(table, "pid"),
            cpu_s=_number(table, "cpu_s"),
            rss_bytes=_number(table, "rss_bytes"),
            url=_text(table, "url"),
            waiting=_number(table, "waiting"),
            simulated=_flag(table, "simulated"),
            workers=None if workers is None else _list(table, "workers", WorkerStatus.from_json),
            served=_number(table, "served"),
            leads=_flag(table, "leads"),
            keybroker=_optional(table, "keybroker", KeyBrokerStatus.from_json),
            quarantine=None
            if quarantine is None
            else _list(table, "quarantine", QuarantinedModel.from_json),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """The numbers of requests in the queue.

    `waiting`: not claimed. `in_work`: claimed and not acknowledged. `capacity`: the most that the
    queue accepts.
    """

    waiting: Number
    in_work: Number
    capacity: Number

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in a cluster's status."""
        return {"waiting": self.waiting, "in_work": self.in_work, "capacity": self.capacity}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        table = _table(value)
        return cls(
            waiting=_required(_number(table, "waiting"), "waiting"),
            in_work=_required(_number(table, "in_work"), "in_work"),
            capacity=_required(_number(table, "capacity"), "capacity"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """The status of a whole cluster, as a gateway answers it.

    `reasons`: the reasons why the cluster is not ready.
    """

    deployment: str
    simulated: bool | None
    reasons: tuple[str, ...]
    queue: QueueStatus
    components: tuple[ComponentStatus, ...]
    ready: bool

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that the gateway answers."""
        return {
            "format": FORMAT,
            "deployment": self.deployment,
            "ready": self.ready,
            "simulated": self.simulated,
            "reasons": list(self.reasons),
            "queue": self.queue.to_json(),
            "components": [each.to_json() for each in self.components],
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError; NewerFormatError.
        """
        table = _document(value)
        return cls(
            deployment=_required(_text(table, "deployment"), "deployment"),
            ready=_required(_flag(table, "ready"), "ready"),
            simulated=_flag(table, "simulated"),
            reasons=_list(table, "reasons", _reason),
            queue=QueueStatus.from_json(table.get("queue")),
            components=_list(table, "components", ComponentStatus.from_json),
        )

    @property
    def says_simulated(self) -> bool:
        """Whether any process of the cluster reports a simulation."""
        workers = [each.simulated for part in self.components for each in part.workers or ()]
        return True in (self.simulated, *(part.simulated for part in self.components), *workers)


def _document(value: object) -> Mapping[str, object]:
    """Return an object that has a format; releases before 0.2 wrote none. Spec: versions.md, 1."""
    table = _table(value)
    OpenFields({"format": FORMAT, **table}, "status", (), versioned=True)
    return table


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise MalformedError("status: not a JSON object")
    OpenFields(value, "status", ())
    return value


def _model(value: object) -> LoadedModel:
    """Return a model; unlike in READY, it may have fields of a newer release."""
    known = {name: each for name, each in _table(value).items() if name in _MODEL_KEYS}
    return LoadedModel.from_json(known)


def _reason(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError("status: a reason is not a string")
    return value


def _text(table: Mapping[str, object], name: str) -> str | None:
    value = table.get(name)
    if not isinstance(value, str | None):
        raise MalformedError(f"status: {name} is not a string")
    return value


def _flag(table: Mapping[str, object], name: str) -> bool | None:
    value = table.get(name)
    if not isinstance(value, bool | None):
        raise MalformedError(f"status: {name} is neither true nor false")
    return value


def _number(table: Mapping[str, object], name: str) -> Number | None:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, Number | None):
        raise MalformedError(f"status: {name} is not a number")
    return value


def _required(value: _T | None, name: str) -> _T:
    if value is None:
        raise MalformedError(f"status: {name} is missing")
    return value


def _optional(table: Mapping[str, object], name: str, parse: Callable[[object], _T]) -> _T | None:
    value = table.get(name)
    return None if value is None else parse(value)


def _list(table: Mapping[str, object], name: str, parse: Callable[[object], _T]) -> tuple[_T, ...]:
    value = table.get(name, [])
    if not isinstance(value, list):
        raise MalformedError(f"status: {name} is not a list")
    return tuple(map(parse, value))
