"""Owner, pure, stdlib only: detects whether an ONNX model has weights in other files.

It reads the parts of the protobuf that can contain tensors, without copying them. Source:
onnx.proto (IR version 13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_MAX_DEPTH: Final = 32
_VARINT_BITS: Final = 64

_DATA_LOCATION: Final = 14
_EXTERNAL: Final = 1
_CHILDREN: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def has_external_data(model: bytes) -> bool:
    """Return whether the data of any tensor is in another file.

    Raises: BundleError when the bytes are not an ONNX model.
    """
    return _external(memoryview(model), "model", 0)


def _external(view: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise BundleError("not an ONNX model: nested too deeply")
    children = _CHILDREN[kind]
    found_graph = kind != "model"
    for number, value in _fields(view):
        if isinstance(value, int):
            if kind == "tensor" and number == _DATA_LOCATION and value == _EXTERNAL:
                return True
        elif number in children:
            found_graph = True
            if _external(value, children[number], depth + 1):
                return True
    if not found_graph:
        raise BundleError("not an ONNX model: it has no graph")
    return False


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(view, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise BundleError("not an ONNX model: unknown field type")
        if length > len(view) - at:
            raise BundleError("not an ONNX model: a field extends beyond the end")
        if wire == _BYTES:
            yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS, 7):
        if at >= len(view):
            raise BundleError("not an ONNX model: it ends within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the high bit means that more bytes follow
            return value, at
    raise BundleError("not an ONNX model: a number is too long")
