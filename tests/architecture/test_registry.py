"""docs/spec/registry.md lists every code, label, kind, limit and bit of the code, and no other."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sealflow.attest.amd import checks as amd
from sealflow.attest.amd.report import PRODUCTS
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.intel import checks as intel
from sealflow.attest.reports import TDX_REGISTERS
from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import RevokedKind
from sealflow.errors import (
    InvalidInputError,
    ModelError,
    QuotaExceededError,
    RefusalCode,
    TenantRefusedError,
)
from sealflow.host.gateway.http import JSON_TYPE
from sealflow.host.gateway.routes.keybroker import JSON_LINES_TYPE
from sealflow.host.gateway.status_codes import HTTP_STATUS
from sealflow.seal.content import ContentKind
from sealflow.seal.keys import Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import MEDIA_TYPE, Kind
from sealflow.wire.frame_payloads import Event, Fatal
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "spec" / "registry.md").read_text(encoding="utf-8")
TO_COME: Final = {"directory_no_key", "directory_unlinked", "directory_unwitnessed"}
"""Codes of the specification that the code may not have yet."""
PRIME: Final = 2**255 - 19


def section(number: int) -> str:
    """Return the text of a section."""
    return PAGE.partition(f"\n## {number}. ")[2].partition("\n## ")[0]


def words(text: str) -> list[str]:
    """Return the words in code type."""
    return re.findall(r"`([^`\n]+)`", text)


def rows(number: int, head: str) -> list[list[str]]:
    """Return the rows of the table in a section whose first cell is `head`."""
    table = section(number).partition(f"\n| {head} |")[2].partition("\n\n")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def calls() -> list[ast.Call]:
    """Return all calls in the source."""
    return [
        node
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def name_of(call: ast.Call) -> str:
    """Return the name of what is called."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def first_words(*names: str) -> Iterator[str]:
    """Yield the constant first arguments of calls of some functions."""
    for call in calls():
        if name_of(call) in names and call.args:
            for node in ast.walk(call.args[0]):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def constants(name: str) -> Iterator[str]:
    """Yield the first arguments of calls of a class that are constants."""
    for call in calls():
        if name_of(call) == name and call.args and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def code_words(name: str) -> Iterator[str]:
    """Yield the constants that calls of a class have for `code`."""
    for call in calls():
        for keyword in call.keywords:
            if (
                name_of(call) == name
                and keyword.arg == "code"
                and isinstance(keyword.value, ast.Constant)
            ):
                yield str(keyword.value.value)


def test_domains_and_suites() -> None:
    """Each trust domain with its first word and suites."""
    found = {
        (world.strip("`"), first.strip("`")): re.findall(r"0x\w{4}", suites)
        for _, world, first, suites in rows(1, "trust domain")
    }
    assert found == {
        (domain.name.lower(), domain.value.decode()): [
            f"0x{suite:04X}" for suite in Suite if suite.domain is domain
        ]
        for domain in TrustDomain
    }


def test_labels() -> None:
    """Every purpose of a label."""
    listed = words("".join(row[0] for row in rows(2, "purpose")))
    found = {
        *first_words("label"),
        *(f"receipt {what}" for what in ("request", "reply")),
        *(f"{what} transcript" for what in ("request", "reply")),
        "grant",
        "state key grant",
    } - {" transcript", "receipt "}
    assert set(listed) == found
    assert len(listed) == len(found)


def test_kinds() -> None:
    """Kinds of envelopes, contents, frames, log entries, revocations, roles and TEEs."""
    cells = [cell.strip() for line in section(3).splitlines() for cell in line.split("|")]
    pairs = {(int(number), name) for number, name in itertools.pairwise(cells) if number.isdigit()}
    assert pairs == {
        (each.value, each.name) for kind in (Kind, ContentKind, FrameKind) for each in kind
    }
    listed = words(section(3).rpartition("Log entries:")[2])
    found = [each.value for kind in (EntryKind, RevokedKind, Role, Tee) for each in kind]
    assert listed == [each for each in found if each != EntryKind.UNKNOWN]


def test_refusals() -> None:
    """Each refusal with its HTTP status, and each sealed error."""
    assert {row[0].strip("`"): int(row[2]) for row in rows(4, "refusal")} == {
        code.value: HTTP_STATUS[code] for code in RefusalCode
    }
    errors = [row[0].strip("`") for row in rows(4, "sealed error")]
    assert errors == [
        each.code
        for each in (InvalidInputError, TenantRefusedError, QuotaExceededError, ModelError)
    ]


def test_codes_of_verification() -> None:
    """Each code that an EvidenceError is made with, and those to come."""
    listed = [row[0].strip("`") for row in rows(5, "code")]
    assert listed == sorted(set(listed))
    found = {*constants("EvidenceError"), *constants("NewerFormatError")}
    assert found <= set(listed)
    assert set(listed) - found <= TO_COME


def test_mismatches() -> None:
    """Each code of a mismatch."""
    listed = set(words("".join(row[1] for row in rows(6, "about"))))
    found = {
        *(each for each in first_words("equal", "among", "at_least", "bits")),
        *code_words("Mismatch"),
        *TDX_REGISTERS,
        "tcb_status",
        "qe_status",
        "reported_tcb",
        "committed_tcb",
        "launch_tcb",
    } - {"_tcb"}
    assert listed == found


def test_other_codes() -> None:
    """Answers of the key broker, last words of enclaves, events."""
    control, last, events = (words(part) for part in re.findall(r"\n\n(`.+`)\.\n", section(7)))
    # `none` is a client's own word for an answer without a version.
    made = {*constants("ControlError"), *code_words("ErrorAnswer")} - {"none"}
    assert made <= set(control)
    frames = (ROOT / "docs" / "spec" / "frames.md").read_text(encoding="utf-8")
    sentence = frames.partition("\n8.3 ")[2].partition("\n\n")[0].partition("The codes:")[2]
    assert set(words(sentence)) == set(control)
    assert last == [each.value for each in Fatal]
    assert events == [each.value for each in Event]


@pytest.mark.parametrize("row", rows(8, "what"), ids=lambda row: row[2].strip("`"))
def test_limits(row: list[str]) -> None:
    """Each limit is the number in the code."""
    module, _, name = row[2].strip("`").rpartition(".")
    value = getattr(importlib.import_module(f"sealflow.{module}"), name)
    assert value == int(row[1].replace(",", ""))


def ed25519_add(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """Add two points of the curve of Ed25519 (RFC 8032, section 5.1.4), in affine form."""
    d = -121665 * pow(121666, -1, PRIME)
    (x1, y1), (x2, y2) = left, right
    product = d * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def ed25519_point(encoded: bytes) -> tuple[int, int]:
    """Decode a point (RFC 8032, section 5.1.3)."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    square = (y * y - 1) * pow(d * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    assert x * x % PRIME == square
    assert y < PRIME
    return (PRIME - x if x & 1 != sign else x), y


def test_small_order() -> None:
    """Eight times each point of Ed25519 is the neutral one; X25519 refuses the other values."""
    blocks = re.findall(r"```text\n(.*?)```", section(9), re.DOTALL)
    edwards, montgomery = ([bytes.fromhex(line) for line in block.split()] for block in blocks)
    assert len(set(edwards)) == 8
    for encoded in edwards:
        point = ed25519_point(encoded)
        for _ in range(3):
            point = ed25519_add(point, point)
        assert point == (0, 1)
    key = X25519PrivateKey.generate()
    for value in montgomery:
        for top in (0, 0x80):
            public = X25519PublicKey.from_public_bytes(value[:-1] + bytes([value[-1] ^ top]))
            with pytest.raises(ValueError, match="shared key"):
                key.exchange(public)


def test_roots_and_bits() -> None:
    """AMD's roots, and the bits that are demanded and allowed."""
    roots = {words(row[1])[0] for row in rows(10, "root")}
    assert {product.root_key for product in PRODUCTS} < roots
    masks = [[int(cell, 16) for cell in row[1:]] for row in rows(10, "bits")]
    assert masks == [
        [intel._SGX_MUST, intel._SGX_MAY],
        [intel._XFRM_MUST, intel._XFRM_MAY],
        [0, intel._MISC_MAY],
        [intel._TDX_MUST, intel._TDX_MAY],
        [intel._XFAM_MUST, intel._XFAM_MAY],
        [amd._MUST, amd._MAY],
    ]


def test_media_types() -> None:
    """The media types of the gateway and of packages."""
    listed = [words(row[0])[0] for row in rows(11, "media type")]
    ours = [MEDIA_TYPE, JSON_TYPE.decode(), JSON_LINES_TYPE.decode()]
    assert listed == [*ours, "application/vnd.in-toto+json"]
