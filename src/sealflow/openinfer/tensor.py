"""Core, pure: tensors, their datatypes, and the specifications that a model has for them.

The constructors check every rule, so shape, datatype and bytes of each `Tensor` object agree.
Spec: content.md, section 2.
"""

from __future__ import annotations

import enum
import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import InvalidInputError, MalformedError, NewerFormatError
from sealflow.wire.fields import Fields, OpenFields
from sealflow.wire.printable import is_printable
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


MAX_RANK: Final = 16
MAX_ELEMENTS: Final = 2**31 - 1
MAX_NAME_CHARACTERS: Final = 256
MAX_PARAMETERS: Final = 64
LENGTH_BYTES: Final = 4
_SPEC_KEYS: Final = ("name", "datatype", "shape")

Parameter = str | int | float | bool
"""The types of a parameter's value in the protocol."""

_LENGTH = struct.Struct("<I")
_RESERVED = frozenset(
    {
        "binary_data_size",
        "shared_memory_byte_size",
        "shared_memory_offset",
        "shared_memory_region",
    }
)


class DataType(enum.StrEnum):
    """The type of one element. Spec: Open Inference Protocol, "Tensor Data Types".

    Attributes:
        size: The size of one element in bytes; None for BYTES, whose elements differ in length.
        code: The element's format character in `struct`; None for BF16 and BYTES.

    Example:
        >>> DataType("FP32").size
        4
    """

    size: int | None
    code: str | None

    def __new__(cls, name: str, size: int | None, code: str | None) -> Self:
        """Return the member with the protocol's name, size and format character."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.size = size
        member.code = code
        return member

    BOOL = ("BOOL", 1, "?")
    UINT8 = ("UINT8", 1, "B")
    UINT16 = ("UINT16", 2, "H")
    UINT32 = ("UINT32", 4, "I")
    UINT64 = ("UINT64", 8, "Q")
    INT8 = ("INT8", 1, "b")
    INT16 = ("INT16", 2, "h")
    INT32 = ("INT32", 4, "i")
    INT64 = ("INT64", 8, "q")
    FP16 = ("FP16", 2, "e")
    FP32 = ("FP32", 4, "f")
    FP64 = ("FP64", 8, "d")
    BF16 = ("BF16", 2, None)
    BYTES = ("BYTES", None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A named array: little-endian elements in C order. Spec: content.md, 2.

    Attributes:
        name: 1 to 256 printable characters.
        datatype: The type of its elements.
        shape: At most 16 sizes of 0 or more, at most 2^31 - 1 elements in all; `()` is a scalar.
        data: The elements. A BOOL is 1 byte, 0 or 1. In BYTES data, a length of 4 bytes,
            little-endian, precedes each element. A memoryview is used without a copy.
        parameters: Up to 64 strings, finite numbers and booleans by name.

    Raises:
        MalformedError: Name, datatype, shape and data do not agree.

    Example:
        >>> import struct
        >>> data = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0)
        >>> row = Tensor(name="x", datatype=DataType.FP32, shape=(1, 4), data=data)
        >>> list(client.infer("tiny", tensors={"x": row}).tensors)
        ['probabilities']
    """

    name: str
    datatype: DataType
    shape: tuple[int, ...]
    data: bytes | memoryview = field(repr=False)
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __getstate__(self) -> tuple[object, ...]:
        """Return what `pickle` and `copy` keep: memory of its own in place of a memoryview."""
        return (self.name, self.datatype, self.shape, bytes(self.data), dict(self.parameters))

    def __post_init__(self) -> None:
        """Check that name, datatype, shape and data agree."""
        check_name(self.name, "tensor")
        elements = element_count(self.shape, self.name)
        if not isinstance(self.data, bytes):
            object.__setattr__(self, "data", _flat(self.data, self.name))
        size = self.datatype.size
        if size is None:
            _check_bytes(self.data, elements, self.name)
        elif len(self.data) != elements * size:
            msg = f"tensor {self.name}: has {len(self.data)} bytes, must have {elements * size}"
            raise MalformedError(msg)
        elif self.datatype is DataType.BOOL and bytes(self.data).strip(b"\0\1"):
            msg = f"tensor {self.name}: a BOOL element is neither 0 nor 1"
            raise MalformedError(msg)
        if self.parameters:
            check_parameters(self.parameters, self.name)

    @classmethod
    def from_elements(
        cls,
        name: str,
        elements: Sequence[bytes | memoryview],
        shape: tuple[int, ...] | None = None,
        parameters: Mapping[str, str | int | float | bool] | None = None,
    ) -> Tensor:
        """Return a BYTES tensor with copies of the elements.

        Args:
            name: As `Tensor.name`.
            elements: The elements in C order.
            shape: As `Tensor.shape`. Default: one dimension.
            parameters: As `Tensor.parameters`.

        Returns:
            The tensor.

        Raises:
            MalformedError: Shape and number of elements do not agree.

        Example:
            >>> Tensor.from_elements("texts", [b"one", b"two"]).shape
            (2,)
        """
        pieces: list[bytes | memoryview] = []
        for element in elements:
            pieces.append(_LENGTH.pack(len(element)))
            pieces.append(element)
        return cls(
            name=name,
            datatype=DataType.BYTES,
            shape=(len(elements),) if shape is None else shape,
            data=b"".join(pieces),
            parameters=parameters or {},
        )

    def elements(self) -> list[memoryview]:
        """Return the elements of a BYTES tensor as a list of views, about 200 bytes per view.

        Returns:
            The elements in C order, as views.

        Raises:
            InvalidInputError: The datatype is not BYTES.

        Example:
            >>> [bytes(element) for element in Tensor.from_elements("texts", [b"one"]).elements()]
            [b'one']
        """
        return list(self.each_element())

    def each_element(self) -> Iterator[memoryview]:
        """Yield the elements of a BYTES tensor.

        Yields:
            The elements in C order, as views.

        Raises:
            InvalidInputError: The datatype is not BYTES.
        """
        if self.datatype is not DataType.BYTES:
            raise InvalidInputError(f"tensor {self.name}: is {self.datatype}, not BYTES")
        view = memoryview(self.data)
        at = 0
        while at < len(view):
            start, at = at + LENGTH_BYTES, at + LENGTH_BYTES + int(_LENGTH.unpack_from(view, at)[0])
            yield view[start:at]


def parse_datatype(word: object) -> DataType:
    """Return the datatype with a name of the protocol.

    Raises: MalformedError.
    """
    try:
        return DataType(word)  # type: ignore[call-arg,arg-type]  # a value from JSON
    except ValueError as error:
        raise MalformedError(f"datatype is not one of {', '.join(DataType)}") from error


def parse_shape(value: object) -> tuple[int, ...]:
    """Return a list of integers as a tuple; `element_count` checks whether it is a valid shape.

    Raises: MalformedError.
    """
    if not isinstance(value, list) or not all(map(is_integer, value)):
        raise MalformedError("shape: not a list of integers")
    return tuple(value)


def element_count(shape: tuple[int, ...], what: str) -> int:
    """Return the number of elements of a shape.

    The bound counts a zero as one, because runtimes multiply the sizes in another order and could
    overflow before they reach the zero. `what`: the tensor's name for error messages.

    Raises: MalformedError over `MAX_RANK` or `MAX_ELEMENTS`, or for a negative size.
    """
    if len(shape) > MAX_RANK:
        msg = f"tensor {what}: more than {MAX_RANK} dimensions"
        raise MalformedError(msg)
    elements = math.prod(shape)
    bounded = elements or math.prod(size or 1 for size in shape)
    if min(shape, default=0) < 0 or bounded > MAX_ELEMENTS:
        msg = f"tensor {what}: a size is negative, or the shape has over {MAX_ELEMENTS} elements"
        raise MalformedError(msg)
    return elements


def check_name(name: object, what: str) -> str:
    """Return a name if it is 1 to `MAX_NAME_CHARACTERS` printable characters.

    Only printable characters, because terminals display names. `what`: the thing with the name, for
    error messages.

    Raises: MalformedError.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= MAX_NAME_CHARACTERS
        or not is_printable(name)
    ):
        msg = f"{what}: name is not 1 to {MAX_NAME_CHARACTERS} printable characters"
        raise MalformedError(msg)
    return name


def check_parameters(parameters: Mapping[str, object], what: str) -> None:
    """Check parameters: values are strings, finite numbers or booleans, and no name is reserved.

    Reserved are the names of the binary and shared memory extensions (content.md, 2.6).

    Raises: MalformedError.
    """
    if len(parameters) > MAX_PARAMETERS:
        msg = f"{what}: more than {MAX_PARAMETERS} parameters"
        raise MalformedError(msg)
    if not _RESERVED.isdisjoint(parameters):
        msg = f"{what}: has a parameter with a name reserved for binary data or shared memory"
        raise MalformedError(msg)
    for name, value in parameters.items():
        check_name(name, f"{what}: parameter")
        if not isinstance(value, str | int | float) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            msg = f"{what}: parameter {name} is not a string, finite number or boolean"
            raise MalformedError(msg)


def _flat(data: memoryview, name: str) -> memoryview:
    if data.format == "B" and data.ndim == 1 and data.contiguous:
        return data
    if data.nbytes == 0:
        return memoryview(b"")
    try:
        return data.cast("B")
    except TypeError as error:
        msg = f"tensor {name}: its memory is not contiguous"
        raise MalformedError(msg) from error


def _check_bytes(data: bytes | memoryview, elements: int, name: str) -> None:
    at = 0
    for _ in range(elements):
        if len(data) - at < LENGTH_BYTES:
            msg = f"tensor {name}: BYTES data ends within the length of an element"
            raise MalformedError(msg)
        at += LENGTH_BYTES + int(_LENGTH.unpack_from(data, at)[0])
        if at > len(data):
            msg = f"tensor {name}: BYTES data ends within an element"
            raise MalformedError(msg)
    if at != len(data):
        msg = f"tensor {name}: bytes follow the last of {elements} BYTES elements"
        raise MalformedError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """The name, datatype and shape of an input or output of a model.

    Attributes:
        name: 1 to 256 printable characters.
        datatype: The type of the elements.
        shape: At most 16 sizes; -1 accepts any size of at least 1.

    Raises:
        MalformedError: Name or shape is not of that form.

    Example:
        >>> client.verify().models[0].inputs[0].shape
        (-1, 4)
    """

    name: str
    datatype: DataType
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check name and shape."""
        check_name(self.name, "tensor specification")
        if any(size != -1 and size < 1 for size in self.shape):
            msg = f"tensor specification {self.name}: a size is neither -1 nor positive"
            raise MalformedError(msg)
        element_count(tuple(map(abs, self.shape)), self.name)

    def check(self, tensor: Tensor) -> None:
        """Check that a tensor fits the specification.

        Args:
            tensor: The tensor.

        Raises:
            InvalidInputError: Its name, datatype or shape does not fit. The message says which.
        """
        if tensor.name != self.name:
            msg = f"tensor {tensor.name}: its name must be {self.name}"
            raise InvalidInputError(msg)
        if tensor.datatype is not self.datatype:
            msg = f"tensor {self.name}: is {tensor.datatype}, must be {self.datatype}"
            raise InvalidInputError(msg)
        # Runtimes abort on some empty tensors, so -1 accepts no 0 (content.md, 7.1).
        if len(tensor.shape) != len(self.shape) or any(
            allowed not in (-1, size) or size < 1
            for size, allowed in zip(tensor.shape, self.shape, strict=True)
        ):
            msg = f"tensor {self.name}: shape {list(tensor.shape)} does not fit {list(self.shape)}"
            raise InvalidInputError(msg)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that manifests and directories hold.

        Returns:
            `name`, `datatype` and `shape`.
        """
        return {"name": self.name, "datatype": self.datatype.value, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: object) -> TensorSpec:
        """Parse an object that `to_json` returned.

        Args:
            value: The object.

        Returns:
            The specification.

        Raises:
            MalformedError: The object is not a valid specification.
        """
        return cls._from_fields(Fields(value, "tensor specification", _SPEC_KEYS))

    @classmethod
    def from_open_json(cls, value: object) -> TensorSpec:
        """Parse an object of a directory, which may have fields of a newer release.

        Args:
            value: The object.

        Returns:
            The specification.

        Raises:
            MalformedError: The object is not a valid specification.
            NewerFormatError: A newer release is needed, for example for its datatype.
        """
        fields = OpenFields(value, "tensor specification", _SPEC_KEYS)
        if fields.known_word("datatype", DataType) is None:
            raise NewerFormatError("critical", "tensor specification: the datatype is not known")
        return cls._from_fields(fields)

    @classmethod
    def _from_fields(cls, fields: Fields) -> TensorSpec:
        return cls(
            name=check_name(fields.get("name"), "tensor specification"),
            datatype=fields.read("datatype", parse_datatype),
            shape=fields.read("shape", parse_shape),
        )
