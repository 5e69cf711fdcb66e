"""Writes numbers.json and names.json: elements as JSON, and the characters of names."""

from __future__ import annotations

from typing import Any, Final

from tests.vectors.make.content_cases import BAD, Cases, request
from tests.vectors.make.files import VectorFile

_INTEGERS: Final = {
    "UINT8": (0, 2**8 - 1), "UINT16": (0, 2**16 - 1), "UINT32": (0, 2**32 - 1),
    "UINT64": (0, 2**64 - 1), "INT8": (-(2**7), 2**7 - 1), "INT16": (-(2**15), 2**15 - 1),
    "INT32": (-(2**31), 2**31 - 1), "INT64": (-(2**63), 2**63 - 1),
}  # fmt: skip
_FLOATS: Final = (
    ("FP32", "0", "00000000", "zero"),
    ("FP32", "-0", "00000080", "minus zero"),
    ("FP32", "-0.0", "00000080", "minus zero"),
    ("FP32", "1", "0000803f", "an integer"),
    ("FP32", "1E2", "0000c842", "an exponent"),
    ("FP32", "1e+2", "0000c842", "an exponent with its sign"),
    ("FP32", "0.1", "cdcccc3d", "rounded to nearest"),
    ("FP32", "16777217", "0000804b", "a tie, to even"),
    ("FP32", "16777219", "0200804b", "a tie, to even"),
    ("FP32", "1.00000005960464477539063", "0000803f", "rounded by binary64 first: a tie there"),
    ("FP32", "1.000000059604645", "0100803f", "just over the tie, also in binary64"),
    ("FP32", "3.4028235e38", "ffff7f7f", "the largest"),
    ("FP32", "3.4028235677973366e38", None, "it becomes infinite"),
    ("FP32", "3.4028235677973362e38", "ffff7f7f", "just below: the largest"),
    ("FP32", "1e39", None, "too large"),
    ("FP32", "-1e39", None, "too large"),
    ("FP32", "1e-45", "01000000", "the smallest"),
    ("FP32", "1e-46", "00000000", "it becomes zero"),
    ("FP32", "18446744073709551615", "0000805f", "20 digits"),
    ("FP32", "100000000000000000000", None, "an integer of 21 characters"),
    ("FP32", "1e400", None, "infinite in binary64"),
    ("FP64", "0.1", "9a9999999999b93f", "rounded to nearest"),
    ("FP64", "9007199254740993", "0000000000004043", "a tie, to even"),
    ("FP64", "1.7976931348623157e308", "ffffffffffffef7f", "the largest"),
    ("FP64", "1.7976931348623159e308", None, "infinite"),
    ("FP64", "5e-324", "0100000000000000", "the smallest"),
    ("FP64", "-0", "0000000000000080", "minus zero"),
    ("FP16", "1", "003c", "an integer"),
    ("FP16", "-0", "0080", "minus zero"),
    ("FP16", "65504", "ff7b", "the largest"),
    ("FP16", "65519", "ff7b", "just below the tie: the largest"),
    ("FP16", "65520", None, "it becomes infinite"),
    ("FP16", "2049", "0068", "a tie, to even"),
    ("FP16", "2051", "0268", "a tie, to even"),
    ("FP16", "6e-8", "0100", "the smallest"),
    ("FP16", "1e-8", "0000", "it becomes zero"),
)


def _one(datatype: str, spelled: str, shape: str = "[1]") -> str:
    return (
        f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":[{spelled}]}}]}}'
    )


def number_cases(add: Cases) -> None:
    """One element at a time."""

    def case(datatype: str, spelled: str, found: str | None, words: str) -> None:
        more: dict[str, Any] = {}
        if found is not None:
            tensor = {"name": "x", "datatype": datatype, "shape": [1], "data": found}
            more = {"tensors": [tensor]}
        add.add(
            "request",
            f"{datatype}: {spelled[:60]}",
            "4.1",
            BAD if found is None else "ok",
            words,
            _one(datatype, spelled),
            **more,
        )

    for datatype, (least, most) in _INTEGERS.items():
        size = int(datatype.lstrip("UINT")) // 8
        for value in (least, most):
            encoded = (value % 256**size).to_bytes(size, "little").hex()
            case(datatype, str(value), encoded, "an end of its range")
        case(datatype, str(least - 1), None, "one less than its range")
        case(datatype, str(most + 1), None, "one more than its range")
        case(datatype, "7", (7).to_bytes(size, "little").hex(), "within its range")
        for spelled in ("-0", "1.0", "1e0", "true", '"1"', "null", "[1]", "01", "+1", "0x1"):
            case(datatype, spelled, None, "no integer of JSON")
    for datatype, spelled, found, words in _FLOATS:
        if words:
            case(datatype, spelled, found, words)
    for datatype in ("FP16", "FP32", "FP64"):
        for spelled in ("true", '"1"', "null", "NaN", "Infinity", "-Infinity", ".5", "1.", "1e",
                        "-", "+1", "01", "0x1p3"):  # fmt: skip
            case(datatype, spelled, None, "no number of JSON")
    case("BOOL", "true", "01", "true")
    case("BOOL", "false", "00", "false")
    for spelled in ("1", "0", '"true"', "null", "True"):
        case("BOOL", spelled, None, "true or false")
    case("BF16", "1", None, "it has no JSON form")
    add.add(
        "request", "BF16: none", "4.1", BAD, "not even for no elements", _one("BF16", "", "[0]")
    )
    for spelled, found, words in (
        ('"a"', "0100000061", "its UTF-8"),
        ('""', "00000000", "empty"),
        ('"\\u00e9"', "02000000c3a9", "escaped"),
        ('"\\ud83e\\udd8a"', "04000000f09fa68a", "a pair of surrogates"),
        ('"\\u0000"', "0100000000", "a zero"),
        ('"\\ud800"', None, "a lone surrogate"),
        ('"\\udc00\\ud800"', None, "surrogates in the wrong order"),
        ("1", None, "a string"),
        ("null", None, "a string"),
        ('["a"]', None, "one level too many"),
    ):
        case("BYTES", spelled, found, words)


def folding_cases(add: Cases) -> None:
    """Flat or folded as the shape says."""
    for name, shape, data, expect in (
        ("flat", [2, 3], [1, 2, 3, 4, 5, 6], "ok"),
        ("folded", [2, 3], [[1, 2, 3], [4, 5, 6]], "ok"),
        ("folded otherwise", [2, 3], [[1, 2], [3, 4], [5, 6]], BAD),
        ("ragged", [2, 3], [[1, 2, 3, 4], [5, 6]], BAD),
        ("half folded", [1, 2, 3], [[1, 2, 3], [4, 5, 6]], BAD),
        ("mixed", [2, 1], [[1], 2], BAD),
        ("mixed, flat first", [2, 1], [1, [2]], BAD),
        ("one less", [2, 3], [1, 2, 3, 4, 5], BAD),
        ("one more", [2, 3], [1, 2, 3, 4, 5, 6, 7], BAD),
        ("row missing", [2, 3], [[1, 2, 3]], BAD),
        ("scalar folded", [], [[1]], BAD),
        ("too deep", [2], [[1], [2]], BAD),
        ("empty rows", [2, 0], [[], []], "ok"),
        ("no rows", [0, 3], [], "ok"),
        ("not a list", [1], 1, BAD),
        ("object", [1], {"0": 1}, BAD),
        ("text", [1], "1", BAD),
        ("null", [1], None, BAD),
    ):
        tensor = {"name": "x", "datatype": "INT32", "shape": shape, "data": data}
        add.add("request", f"folding: {name}", "4.1", expect, "flat, or folded as the shape says",
                request(tensor))  # fmt: skip


_HIDDEN: Final = (
    (0x0000, 0x001F), (0x007F, 0x00A0), (0x00AD, 0x00AD), (0x061C, 0x061C), (0x1680, 0x1680),
    (0x180E, 0x180E), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x3000, 0x3000),
    (0xE000, 0xF8FF), (0xFDD0, 0xFDEF), (0xFEFF, 0xFEFF), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF),
    (0x1FFFE, 0x1FFFF), (0x2FFFE, 0x2FFFF), (0x3FFFE, 0x3FFFF), (0x4FFFE, 0x4FFFF),
    (0x5FFFE, 0x5FFFF), (0x6FFFE, 0x6FFFF), (0x7FFFE, 0x7FFFF), (0x8FFFE, 0x8FFFF),
    (0x9FFFE, 0x9FFFF), (0xAFFFE, 0xAFFFF), (0xBFFFE, 0xBFFFF), (0xCFFFE, 0xCFFFF),
    (0xDFFFE, 0xDFFFF), (0xE0000, 0xE0FFF), (0xEFFFE, 0xEFFFF), (0xF0000, 0x10FFFF),
)  # fmt: skip
"""The code points that no name has, but for surrogates. Source: content.md, 2.5."""
_SHOWN: Final = (0x0020, 0x0378, 0x1FAE9, 0x2E7F)
"""A space, code points that no Unicode names yet, and one that newer ones do."""


def name_cases(add: Cases) -> None:
    """One character at a time."""
    hidden = {each for pair in _HIDDEN for each in pair}
    around = {each for low, high in _HIDDEN for each in (low - 1, high + 1)}
    inside = {each for low, high in _HIDDEN for each in (low + 1, high - 1) if low < each < high}
    found = sorted(hidden | around | inside | set(_SHOWN))
    for point in found:
        if not 0 <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            continue
        bad = any(low <= point <= high for low, high in _HIDDEN)
        for place, name in (("within", f"a{chr(point)}b"),):
            tensor = {"name": name, "datatype": "UINT8", "shape": [], "data": [1]}
            add.add("request", f"U+{point:04X} {place}", "2.5", BAD if bad else "ok",
                    "not printable" if bad else "printable", request(tensor))  # fmt: skip
    for title, name, expect, words in (
        ("empty", "", BAD, "at least one character"),
        ("a space", " ", "ok", "it is printable"),
        ("256 characters", "x" * 256, "ok", "as long as allowed"),
        ("257 characters", "x" * 257, BAD, "one too many"),
        ("256 foxes", "\U0001f98a" * 256, "ok", "code points count, not UTF-16"),
        ("257 foxes", "\U0001f98a" * 257, BAD, "one too many"),
        ("256 combined", "e\u0301" * 128, "ok", "code points count, not what is seen"),
        ("a combination alone", "\u0301", "ok", "it is printable"),
    ):
        tensor = {"name": name, "datatype": "UINT8", "shape": [], "data": [1]}
        add.add("request", title, "2.5", expect, words, request(tensor))
    for name, value in (("control", "a\x07b"), ("direction", "a\u202eb")):
        for place, message in (
            ("requested output", request(outputs=[{"name": value}])),
            ("parameter", request(parameters={value: 1})),
        ):
            add.add("request", f"{place}: {name}", "2.5", BAD, "not printable", message)
        add.add("reply", f"model name: {name}", "2.5", BAD, "not printable",
                {"model_name": value, "outputs": []})  # fmt: skip


def files() -> list[VectorFile]:
    """Make the files."""
    words = "As contents.json. "
    numbers = VectorFile(
        path="numbers.json",
        description=words + "Elements of tensors in JSON; `data` of `tensors` is in hex.",
    )
    names = VectorFile(path="names.json", description=words + "Characters of names, one at a time.")
    for cases in (number_cases, folding_cases):
        cases(Cases(numbers, "content"))
    name_cases(Cases(names, "content"))
    return [numbers, names]
