"""Writes contents.json and names.json: what lies inside a seal, one fault each."""

from __future__ import annotations

import json
from typing import Any

from tests.support.forging.sealing import content
from tests.vectors.make.content_cases import BAD, BINARY, BYTES4, VECTOR, Cases, request, response
from tests.vectors.make.files import VectorFile
from tests.vectors.make.spellings import bad_message


def kind_cases(add: Cases) -> None:
    """Kinds, lengths, and JSON."""
    good = {"request": request(), "reply": response()}
    for side, value in good.items():
        encoded = json.dumps(value).encode()
        add.add(side, "good", "1.1", "ok", "a message", value)
        for size in range(5):
            add.raw(side, f"{size} bytes", "1.1", BAD, "shorter than its head",
                    content(1, encoded)[:size])  # fmt: skip
        add.raw(side, "J over the end", "1.1", BAD, "the JSON is said to be longer",
                bytes([1]) + (len(encoded) + 1).to_bytes(4) + encoded)  # fmt: skip
        add.raw(side, "J of 2^32 - 1", "1.1", BAD, "the longest", b"\1\xff\xff\xff\xff" + encoded)
        for kind in (0, 4, 5, 9, 255):
            add.add(side, f"kind {kind}", "1.2", BAD, "no kind of an inference", value, kind=kind)
        for fault, bent, description in bad_message(encoded):
            try:
                plain = bent.decode()
            except UnicodeDecodeError:
                add.raw(side, f"JSON: {fault}", "1.3", BAD, description, content(1, bent))
            else:
                add.add(side, f"JSON: {fault}", "1.3", BAD, description, plain)
    limit = 4 * 2**20
    for size, expect in ((limit, "ok"), (limit + 1, BAD)):
        spaced = json.dumps(request()).ljust(size)
        add.add("request", f"JSON of {size} bytes", "8", expect, "at most 4 MiB", spaced)
    add.add("request", "an error", "1.2", BAD, "errors are replies",
            {"code": "invalid_input", "message": "no"}, kind=2)  # fmt: skip
    for name, value, expect in (
        ("error", {"code": "invalid_input", "message": "no"}, "ok"),
        ("error of later", {"code": "splendid", "message": "no"}, "ok"),
        ("error: no code", {"message": "no"}, BAD),
        ("error: no message", {"code": "invalid_input"}, BAD),
        ("error: code", {"code": 7, "message": "no"}, BAD),
        ("error: message", {"code": "invalid_input", "message": None}, BAD),
        ("error: unknown key", {"code": "invalid_input", "message": "no", "more": 1}, "ok"),
        ("error: 2,000 characters", {"code": "invalid_input", "message": "x" * 2000}, "ok"),
        ("error: any length", {"code": "invalid_input", "message": "x" * 5000}, "ok"),
        ("error: a list", [], BAD),
    ):
        more = {"error": value["code"]} if expect == "ok" and isinstance(value, dict) else {}
        add.add("reply", name, "7.4", expect, "an error's form", value, kind=2, **more)


def message_cases(add: Cases) -> None:
    """The keys of requests and responses."""
    for name, rule, value, expect, description in (
        ("no inputs", "3.1", {"inputs": []}, BAD, "at least one"),
        ("inputs missing", "3.1", {}, BAD, "a key is missing"),
        ("inputs: object", "3.1", {"inputs": {}}, BAD, "a list"),
        ("inputs: null", "3.1", {"inputs": None}, BAD, "a list"),
        ("input: text", "3.1", {"inputs": ["x"]}, BAD, "an object"),
        ("64 inputs", "3.1", request(*_many(64)), "ok", "as many as allowed"),
        ("65 inputs", "3.1", request(*_many(65)), BAD, "one too many"),
        ("same input", "2.5", request(VECTOR, VECTOR), BAD, "names differ"),
        ("unknown key", "3.4", request(more=1), BAD, "refused"),
        ("critical", "3.4", request(critical=["more"], more=1), BAD, "a closed format"),
        ("model name", "3.6", request(model_name="m"), BAD, "it has no place here"),
        ("id", "3.4", request(id="7"), "ok", "a text"),
        ("id: empty", "3.4", request(id=""), "ok", "a text"),
        ("id: number", "3.4", request(id=7), BAD, "a text"),
        ("id: null", "3.4", request(id=None), BAD, "a text"),
        ("id: 256 characters", "3.4", request(id="\U0001f98a" * 256), "ok", "code points count"),
        ("id: 257 characters", "3.4", request(id="x" * 257), BAD, "one too many"),
        ("outputs: empty", "3.1", request(outputs=[]), "ok", "all of them"),
        ("outputs: one", "3.1", request(outputs=[{"name": "y"}]), "ok", "one by name"),
        ("outputs: null", "3.1", request(outputs=None), BAD, "a list"),
        (
            "outputs: 65",
            "3.1",
            request(outputs=[{"name": f"y{n}"} for n in range(65)]),
            BAD,
            "one too many",
        ),
        ("outputs: same", "2.5", request(outputs=[{"name": "y"}, {"name": "y"}]), BAD, "differ"),
        ("output: text", "3.1", request(outputs=["y"]), BAD, "an object"),
        ("output: no name", "3.1", request(outputs=[{}]), BAD, "a key is missing"),
        ("output: unknown key", "3.4", request(outputs=[{"name": "y", "more": 1}]), BAD, "refused"),
        *(
            (
                f"classification {value!r}",
                "5.1",
                request(outputs=[{"name": "y", "parameters": {"classification": value}}]),
                "ok" if value in (1, 65536) and value is not True else BAD,
                "1 to 65,536",
            )
            for value in (1, 65536, 0, -1, 65537, "5", True, None)
        ),
        (
            "classification 1.0",
            "5.1",
            request(outputs=[{"name": "y", "parameters": {"classification": 1.0}}]),
            BAD,
            "an integer",
        ),
    ):
        add.add("request", name, rule, expect, description, value)
    for name, rule, value, expect, description in (
        ("no model name", "3.2", {"outputs": []}, BAD, "a key is missing"),
        ("no outputs key", "3.2", {"model_name": "m"}, BAD, "a key is missing"),
        ("model name: number", "3.2", {"model_name": 7, "outputs": []}, BAD, "a name"),
        ("model name: empty", "3.2", {"model_name": "", "outputs": []}, BAD, "a name"),
        ("model version", "3.2", response(model_version="1"), "ok", "a name"),
        ("model version: number", "3.2", response(model_version=1), BAD, "a name"),
        ("model version: null", "3.2", response(model_version=None), BAD, "a name"),
        ("unknown key", "3.4", response(more=1), BAD, "refused"),
        ("64 outputs", "3.2", response(*_many(64)), "ok", "as many as allowed"),
        ("65 outputs", "3.2", response(*_many(65)), BAD, "one too many"),
        ("same output", "2.5", response(VECTOR, VECTOR), BAD, "names differ"),
        ("id: 257 characters", "3.4", response(id="x" * 257), BAD, "one too many"),
    ):
        add.add("reply", name, rule, expect, description, value)
    _parameter_cases(add)
    for name, found, expect in (
        ("kinds", {"a": "x", "b": 1, "c": True}, "ok"),
        ("value null", {"a": None}, BAD),
        ("65", {f"p{n}": n for n in range(65)}, BAD),
        ("region", {"shared_memory_region": "x"}, BAD),
        ("list", [], BAD),
    ):
        add.add("reply", f"message parameters: {name}", "2.6", expect, "parameters",
                response(parameters=found))  # fmt: skip


def _parameter_cases(add: Cases) -> None:
    places = {
        "message": lambda found: request(parameters=found),
        "output": lambda found: request(outputs=[{"name": "y", "parameters": found}]),
        "tensor": lambda found: request({**VECTOR, "parameters": found}),
    }
    for place, made in places.items():
        for name, found, expect in (
            ("kinds", {"a": "x", "b": 1, "c": 1.5, "d": True, "e": -1e9}, "ok"),
            ("none", {}, "ok"),
            ("list", [], BAD),
            ("null", None, BAD),
            ("value null", {"a": None}, BAD),
            ("value list", {"a": [1]}, BAD),
            ("value object", {"a": {}}, BAD),
            ("64", {f"p{n}": n for n in range(64)}, "ok"),
            ("65", {f"p{n}": n for n in range(65)}, BAD),
            ("empty name", {"": 1}, BAD),
            ("name of 257", {"x" * 257: 1}, BAD),
            ("control in a name", {"a\tb": 1}, BAD),
            ("region", {"shared_memory_region": "x"}, BAD),
            ("region size", {"shared_memory_byte_size": 4}, BAD),
            ("region offset", {"shared_memory_offset": 0}, BAD),
            *((("binary size", {"binary_data_size": 4}, BAD),) if place != "tensor" else ()),
        ):
            add.add("request", f"{place} parameters: {name}", "2.6", expect, "parameters",
                    made(found))  # fmt: skip
        for value, good in ((True, True), (False, True), ("true", False), (1, False), (0.5, False)):
            expect = "ok" if good or place != "message" else BAD
            add.add("request", f"{place} parameters: share_batch {value!r}", "2.6", expect,
                    "a boolean, of the request", made({"share_batch": value}))  # fmt: skip
        infinite = json.dumps(made({"a": 5})).replace(": 5}", ": 1e999}")
        add.add("request", f"{place} parameters: infinite", "2.6", BAD, "not finite", infinite)


def tensor_cases(add: Cases) -> None:
    """Shapes, forms of data, and binary sizes."""

    def case(name: str, rule: str, expect: str, description: str, tensor: Any, binary: bytes = b"",
             **more: Any) -> None:  # fmt: skip
        add.add("request", f"tensor: {name}", rule, expect, description, request(tensor), binary,
                **more)  # fmt: skip

    for key in ("name", "datatype", "shape"):
        case(f"no {key}", "3.3", BAD, "a key is missing",
             {each: value for each, value in VECTOR.items() if each != key})  # fmt: skip
        for wrong in (7, None, {}):
            case(f"{key}: {wrong!r}", "3.3", BAD, "another form", {**VECTOR, key: wrong})
    case("unknown key", "3.4", BAD, "refused", {**VECTOR, "more": 1})
    for datatype in ("fp32", "FP8", "STRING", ""):
        case(f"datatype {datatype!r}", "2.1", BAD, "no datatype", {**VECTOR, "datatype": datatype})
    for shape in ([1.0], ["2"], [True], [-1], [-2, -1], "2", [2, None]):
        case(f"shape {shape}", "2.4", BAD, "sizes are integers of 0 and more",
             {**VECTOR, "shape": shape})  # fmt: skip
    empty = {"name": "x", "datatype": "UINT8", "data": []}
    for shape, expect, words in (
        ([0], "ok", "no elements"),
        ([0] * 16, "ok", "16 sizes"),
        ([0] * 17, BAD, "17 sizes"),
        ([0, 2**31 - 1], "ok", "a zero counts as one"),
        ([0, 2**31], BAD, "the product is over 2^31 - 1"),
        ([0, 2**16, 2**15], BAD, "the product is over 2^31 - 1"),
        ([2**16, 2**15, 0], BAD, "the product is over 2^31 - 1"),
        ([0, 2**63], BAD, "one size is over 2^31 - 1"),
    ):
        case(f"shape {shape}", "2.4", expect, words, {**empty, "shape": shape})
    case(
        "scalar", "2.2", "ok", "an empty shape is one element", {**VECTOR, "shape": [], "data": [1]}
    )
    case("scalar of none", "2.2", BAD, "one element is missing",
         {**VECTOR, "shape": [], "data": []})  # fmt: skip
    case("data and size", "3.3", BAD, "either of them",
         {**VECTOR, "parameters": {"binary_data_size": 8}}, bytes(8))  # fmt: skip
    case("neither", "3.3", BAD, "either of them", {k: v for k, v in VECTOR.items() if k != "data"})
    case(
        "binary",
        "3.3",
        "ok",
        "four bytes",
        BINARY,
        BYTES4,
        tensors=[{"name": "x", "datatype": "UINT8", "shape": [4], "data": BYTES4.hex()}],
    )
    for size in (-1, 5, 4.0, "4", True, None):
        case(f"binary size {size!r}", "3.3", BAD, "an integer, and no more than there is",
             {**BINARY, "parameters": {"binary_data_size": size}}, BYTES4)  # fmt: skip
    case("binary size 3", "2.2", BAD, "not as long as the shape says",
         {**BINARY, "parameters": {"binary_data_size": 3}}, BYTES4[:3])  # fmt: skip
    case("binary behind", "3.3", BAD, "the binary part is used up", BINARY, BYTES4 + b"\0")
    case("binary without tensors", "3.3", BAD, "the binary part is used up", VECTOR, b"\0")
    two = {**BINARY, "name": "y"}
    add.add("request", "tensor: two binary", "3.3", "ok", "in order", request(BINARY, two),
            BYTES4 + BYTES4[::-1], tensors=[
                {"name": "x", "datatype": "UINT8", "shape": [4], "data": BYTES4.hex()},
                {"name": "y", "datatype": "UINT8", "shape": [4], "data": BYTES4[::-1].hex()},
            ])  # fmt: skip
    truth = {**BINARY, "datatype": "BOOL"}
    case("BOOL", "2.2", "ok", "0 and 1", truth, b"\0\1\1\0")
    case("BOOL 2", "2.2", BAD, "0 or 1", truth, b"\0\1\2\0")
    _bytes_cases(case)


def _bytes_cases(case: Any) -> None:
    for name, shape, data, expect, words in (
        ("two", [2], b"\1\0\0\0a\2\0\0\0bc", "ok", "lengths, little-endian"),
        ("empty", [2], bytes(8), "ok", "two empty elements"),
        ("none", [0], b"", "ok", "no elements"),
        ("cut length", [2], b"\1\0\0\0a\2\0\0", BAD, "it ends within a length"),
        ("cut element", [2], b"\1\0\0\0a\2\0\0\0b", BAD, "it ends within an element"),
        ("one more", [1], b"\1\0\0\0a\0\0\0\0", BAD, "an element too many"),
        ("one less", [2], b"\1\0\0\0a", BAD, "an element is missing"),
        ("big-endian", [1], b"\0\0\0\1a", BAD, "another order of bytes"),
        ("longest", [1], b"\xff\xff\xff\xffa", BAD, "longer than all"),
    ):
        tensor = {"name": "x", "datatype": "BYTES", "shape": shape,
                  "parameters": {"binary_data_size": len(data)}}  # fmt: skip
        case(f"BYTES: {name}", "2.3", expect, words, tensor, data)


def _many(count: int) -> list[dict[str, Any]]:
    scalar = {"datatype": "UINT8", "shape": [], "data": [1]}
    return [{"name": f"x{number}", **scalar} for number in range(count)]


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="contents.json",
        description="Contents of requests and replies: either whole (`content`), or `kind`, `json` "
        "(the JSON's text) and `binary`. `tensors` is what they mean, `error` an error's code.",
    )
    add = Cases(file, "content")
    for cases in (kind_cases, message_cases, tensor_cases):
        cases(add)
    return [file]
