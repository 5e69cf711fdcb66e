"""Core, pure: the status of a cluster, as the gateway tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS: Final = ("pid", "cpu_s", "rss_bytes")
_QUEUE: Final = ("waiting", "in_work", "capacity")


def is_status(value: object) -> bool:
    """Whether all that `sealflow status` and `sealflow bench` read is there, of the right type."""
    if not isinstance(value, dict):
        return False
    queue, reasons = value.get("queue"), value.get("reasons")
    return (
        isinstance(value.get("deployment"), str)
        and isinstance(value.get("ready"), bool)
        and isinstance(reasons, list)
        and all(isinstance(each, str) for each in reasons)
        and isinstance(queue, dict)
        and all(_is_number(queue.get(name)) for name in _QUEUE)
        and _all(value.get("components", ""), _is_component)
    )


def _is_component(value: object) -> bool:
    return (
        _is_process(value)
        and isinstance(value, dict)
        and _all(value.get("workers"), _is_process)
        and (value.get("keybroker") is None or _is_process(value["keybroker"]))
    )


def _is_process(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(value.get(name) is None or _is_number(value[name]) for name in _NUMBERS)
        and _all(value.get("models"), _is_model)
    )


def _is_model(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) for name in ("name", "version", "digest")
    )


def _all(value: object, kind: Callable[[object], bool]) -> bool:
    return value is None or (isinstance(value, list) and all(map(kind, value)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
