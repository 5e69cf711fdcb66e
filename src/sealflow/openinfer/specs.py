"""Core, pure, stdlib only: which tensors a model takes and gives. Spec: content.md, 2."""

from __future__ import annotations

from dataclasses import dataclass

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.tensor import (
    DataType,
    Tensor,
    check_name,
    element_count,
    parse_datatype,
    parse_shape,
)
from sealflow.wire.strict_json import require_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """What a model takes or gives under one name; -1 stands for any size.

    Raises: MalformedError when it is no valid specification.
    """

    name: str
    datatype: DataType
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what no tensor could fit."""
        check_name(self.name, "tensor specification")
        if any(size != -1 and size < 1 for size in self.shape):
            msg = f"tensor specification {self.name}: a size is neither -1 nor positive"
            raise MalformedError(msg)
        element_count(tuple(map(abs, self.shape)), self.name)

    def check(self, tensor: Tensor) -> None:
        """Refuse a tensor that does not fit.

        Raises: InvalidInputError.
        """
        if tensor.name != self.name:
            msg = f"tensor {tensor.name}: {self.name} is wanted here"
            raise InvalidInputError(msg)
        if tensor.datatype is not self.datatype:
            msg = f"tensor {self.name}: is {tensor.datatype}, must be {self.datatype}"
            raise InvalidInputError(msg)
        if len(tensor.shape) != len(self.shape) or any(
            wanted not in (-1, size) for size, wanted in zip(tensor.shape, self.shape, strict=True)
        ):
            msg = f"tensor {self.name}: shape {list(tensor.shape)} does not fit {list(self.shape)}"
            raise InvalidInputError(msg)

    def as_json(self) -> dict[str, object]:
        """Give the object that manifests and directories hold."""
        return {"name": self.name, "datatype": self.datatype.value, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: object) -> TensorSpec:
        """Read what `as_json` gives.

        Raises: MalformedError.
        """
        if not isinstance(value, dict):
            msg = "tensor specification: not a JSON object"
            raise MalformedError(msg)
        require_keys(value, ("name", "datatype", "shape"), "tensor specification")
        return cls(
            name=check_name(value["name"], "tensor specification"),
            datatype=parse_datatype(value["datatype"]),
            shape=parse_shape(value["shape"]),
        )
