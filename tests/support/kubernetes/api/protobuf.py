"""Secrets, ConfigMaps and Namespaces as Go's Kubernetes clients send them: protobuf in an envelope.

Source: k8s.io/apimachinery/pkg/runtime/generated.proto, k8s.io/api/core/v1/generated.proto.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"k8s\0"
_META: Final = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_MAPS: Final = {11: "labels", 12: "annotations"}


def decode(message: bytes) -> dict[str, Any]:
    """Give the object as JSON would have it.

    Raises: ValueError for another kind.
    """
    envelope = dict(_fields(message.removeprefix(MAGIC)))
    types = {number: value.decode() for number, value in _fields(envelope[1])}
    kind = types[2]
    found: dict[str, Any] = {"apiVersion": types[1], "kind": kind, "metadata": {}}
    if kind == "DeleteOptions":
        return found
    if kind not in {"Secret", "ConfigMap", "Namespace"}:
        raise ValueError(f"{kind} comes as protobuf")
    for number, value in _fields(envelope[2]):
        if number == 1:
            found["metadata"] = _metadata(value)
        elif number == 2 and kind != "Namespace":
            key, entry = _entry(value)
            text = b64encode(entry).decode() if kind == "Secret" else entry.decode()
            found.setdefault("data", {})[key] = text
        elif number == 3 and kind == "Secret":
            found["type"] = value.decode()
    return found


def _metadata(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(message):
        if number in _META and value:
            found[_META[number]] = value.decode()
        elif number in _MAPS:
            key, entry = _entry(value)
            found.setdefault(_MAPS[number], {})[key] = entry.decode()
    return found


def _entry(message: bytes) -> tuple[str, bytes]:
    parts = dict(_fields(message))
    return parts.get(1, b"").decode(), parts.get(2, b"")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the fields that hold bytes; numbers are of no use here."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        if tag & 7 == 0:
            _, at = _number(message, at)
        elif tag & 7 == 2:
            length, at = _number(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {tag & 7}")


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
