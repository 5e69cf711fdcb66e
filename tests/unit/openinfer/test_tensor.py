"""Tensors as values: what exists adds up, and everything else is refused before it costs memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given

from sealflow.errors import InvalidInputError, MalformedError
from sealflow.openinfer.tensor import (
    MAX_ELEMENTS,
    MAX_NAME_CHARACTERS,
    MAX_PARAMETERS,
    MAX_RANK,
    DataType,
    Tensor,
    element_count,
    parse_datatype,
    parse_shape,
)
from tests.support.models.tensors import WITH_SIZE, tensor, tensors

WORDS = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BF16 BYTES"
SIZES = (1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2, None)


def test_the_datatypes_are_those_of_the_protocol() -> None:
    """Fourteen words, each with the protocol's size."""
    assert tuple(DataType) == tuple(WORDS.split())
    assert tuple(datatype.size for datatype in DataType) == SIZES


@pytest.mark.parametrize("datatype", WITH_SIZE)
@pytest.mark.parametrize("wrong", [-1, 1])
def test_data_of_another_length_than_the_shape_says_is_refused(
    datatype: DataType, wrong: int
) -> None:
    """One byte too few or too many is malformed."""
    length = 6 * (datatype.size or 0)
    tensor((2, 3), bytes(length), datatype)
    with pytest.raises(MalformedError):
        tensor((2, 3), bytes(length + wrong), datatype)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ((1,), b""),
        ((1,), b"\0\0\0"),
        ((1,), b"\1\0\0\0"),
        ((1,), b"\xff\xff\xff\xffabc"),
        ((1,), b"\1\0\0\0ab"),
        ((2,), b"\1\0\0\0a"),
        ((2,), b"\1\0\0\0a\0\0\0"),
        ((0,), b"\0\0\0\0"),
        ((), b""),
        ((2**20, 2**10), b"\0\0\0\0" * 9),
    ],
)
def test_bytes_elements_must_fill_the_data_exactly(shape: tuple[int, ...], data: bytes) -> None:
    """Lengths that go over the end, stop short or leave a rest are malformed."""
    with pytest.raises(MalformedError):
        tensor(shape, data, "BYTES")


@given(tensors((DataType.BYTES,)))
def test_elements_are_what_was_packed(packed: Tensor) -> None:
    """Elements come out in order, as views, and make the same tensor again."""
    again = Tensor.from_elements(packed.name, packed.elements(), packed.shape, packed.parameters)
    assert again == packed


def test_a_list_of_bytes_is_of_rank_one() -> None:
    """Without a shape there is one dimension."""
    assert Tensor.from_elements("x", [b"a", b""]).shape == (2,)


def test_only_bytes_have_elements() -> None:
    """Numbers are not taken apart this way."""
    with pytest.raises(InvalidInputError):
        tensor((1,), b"\0").elements()


@pytest.mark.parametrize("data", [b"\0\2", b"\xff\0"])
def test_a_bool_is_zero_or_one(data: bytes) -> None:
    """Any other byte is malformed, since runtimes would disagree about it."""
    tensor((2,), b"\1\0", "BOOL")
    with pytest.raises(MalformedError):
        tensor((2,), data, "BOOL")


def test_views_are_kept_and_other_memory_becomes_bytes() -> None:
    """A view is not copied; numbers and several dimensions are seen as bytes; gaps are refused."""
    plain = memoryview(bytearray(4))
    assert tensor((4,), plain).data is plain
    assert bytes(tensor((4,), plain.cast("I")).data) == bytes(4)
    assert bytes(tensor((4,), plain.cast("B", (2, 2))).data) == bytes(4)
    assert tensor((0,), plain.cast("I")[:0]).data == b""
    with pytest.raises(MalformedError):
        tensor((2,), plain[::2])


@pytest.mark.parametrize(
    "shape",
    [
        (-1,),
        (2, -2),
        (-1, -1),
        (MAX_ELEMENTS + 1,),
        (2**16, 2**16),
        (2**32, 2**32),
        (2**63, 2),
        (0, 2**31),
        (2**20, 0, 2**20),
        (1,) * (MAX_RANK + 1),
    ],
)
def test_shapes_beyond_the_bounds_are_refused(shape: tuple[int, ...]) -> None:
    """Negative sizes, too many dimensions and products that overflow are malformed."""
    with pytest.raises(MalformedError):
        element_count(shape, "x")


def test_a_shape_of_very_many_sizes_is_refused_before_it_is_multiplied() -> None:
    """A product of 200,000 sizes of 20 digits would keep a core busy for minutes."""
    with pytest.raises(MalformedError):
        element_count((10**19,) * 200_000, "x")


@pytest.mark.parametrize(
    ("shape", "count"),
    [((), 1), ((0,), 0), ((3, 0, 5), 0), ((1,) * 16, 1), ((2**31 - 1,), 2**31 - 1)],
)
def test_shapes_within_the_bounds_have_a_count(shape: tuple[int, ...], count: int) -> None:
    """A scalar has one element, a zero makes none."""
    assert element_count(shape, "x") == count


@pytest.mark.parametrize("kind", DataType)
def test_an_announced_huge_size_allocates_nothing(kind: str) -> None:
    """A shape of two thousand million elements is judged by the bytes that are there."""
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            tensor((MAX_ELEMENTS,), b"\0\0\0\0", kind)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "\ud800", "\u202e", "n" * 257])
def test_names_are_short_and_printable(name: str) -> None:
    """Nothing that a terminal would obey, and no more than 256 characters."""
    with pytest.raises(MalformedError):
        Tensor(name=name, datatype=DataType.UINT8, shape=(0,), data=b"")
    Tensor(name="n" * MAX_NAME_CHARACTERS, datatype=DataType.UINT8, shape=(0,), data=b"")


@pytest.mark.parametrize(
    "parameters",
    [
        {"p": None},
        {"p": []},
        {"p": float("nan")},
        {"p": float("-inf")},
        {"": 1},
        {"binary_data_size": 1},
        {"shared_memory_region": "r"},
        {str(n): n for n in range(MAX_PARAMETERS + 1)},
    ],
)
def test_parameters_are_plain_few_and_not_the_transports(parameters: dict[str, object]) -> None:
    """Strings, finite numbers and booleans, at most 64, and nothing about shared memory."""
    with pytest.raises(MalformedError):
        Tensor(
            name="x",
            datatype=DataType.UINT8,
            shape=(0,),
            data=b"",
            parameters=parameters,  # type: ignore[arg-type]
        )


def test_a_tensors_bytes_never_show() -> None:
    """A repr can be logged by accident without harm."""
    assert "canary" not in repr(tensor((6,), b"canary"))


@pytest.mark.parametrize("word", ["FP128", "fp32", "", 1, None, [], {}])
def test_unknown_datatypes_are_malformed(word: object) -> None:
    """Only the protocol's words, in capitals."""
    with pytest.raises(MalformedError):
        parse_datatype(word)


@pytest.mark.parametrize("value", [None, "12", 3, [1.0], [True], ["1"], {"0": 1}])
def test_a_shape_is_a_list_of_integers(value: object) -> None:
    """Booleans and fractions are no sizes."""
    with pytest.raises(MalformedError):
        parse_shape(value)
