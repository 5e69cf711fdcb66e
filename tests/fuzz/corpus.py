"""The vectors of tests/vectors as inputs that a search starts from, by what parses them."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from tests.support.vectors.cases import FOLDER, read_cases

MAX_BYTES = 2**16
"""Longer vectors are left out: a search changes little of them."""
MESSAGES = ("contents", "numbers", "names")
DIRECTORIES = ("directory", "directory-payload", "lookup", "links")
EVIDENCE = (
    "appraisal",
    "bound",
    "form",
    "hardware",
    "sgx",
    "sgx-collateral",
    "sgx-levels",
    "snp",
    "tdx",
)


def envelopes() -> list[bytes]:
    """Whole envelopes of all kinds."""
    found = [b64decode(case["envelope"]) for case in read_cases("envelopes.json")]
    plain = json.loads((FOLDER / "envelope.json").read_text())
    found += [bytes.fromhex(each) for kind in ("accept", "reject") for each in plain[kind].values()]
    found += [b64decode(case["reply"]) for case in read_cases("replies.json")]
    return _bounded(found)


def contents() -> list[bytes]:
    """Contents as they lie inside a seal, without padding."""
    return _bounded(
        b64decode(case["content"])
        if "content" in case
        else content(case["kind"], case["json"].encode(), b64decode(case["binary"]))
        for name in MESSAGES
        for case in read_cases(f"{name}.json")
    )


def messages(kind: str) -> list[tuple[bytes, bytes]]:
    """KServe V2 messages as JSON and binary part; `kind`: `request` or `response`."""
    found = [
        (case["json"].encode(), b64decode(case["binary"]))
        for name in MESSAGES
        for case in read_cases(f"{name}.json")
        if case["message"] == ("reply" if kind == "response" else kind) and case.get("kind") == 1
    ]
    for cases in json.loads((FOLDER / "openinfer" / "messages.json").read_text()).values():
        if isinstance(cases, list):
            found += [
                (case["json"].encode(), bytes.fromhex(case["binary"]))
                for case in cases
                if case["kind"] == kind
            ]
    return [each for each in dict.fromkeys(found) if len(each[0]) <= MAX_BYTES]


def documents() -> list[bytes]:
    """Published documents: directories with evidence."""
    cases = [case for name in DIRECTORIES for case in read_cases(f"{name}.json")]
    return _bounded((as_bytes(case["document"]) for case in cases), 4 * MAX_BYTES)


def payloads() -> list[bytes]:
    """What is signed of directories."""
    return _bounded(
        b64decode(payload)
        for document in documents()
        if (payload := _payload(document)) is not None
    )


def evidence() -> list[bytes]:
    """Evidence of all hardware, as JSON."""
    cases = [case for name in EVIDENCE for case in read_cases(f"evidence/{name}.json")]
    return _bounded(as_bytes(case["evidence"]) for case in cases)


def quotes() -> list[bytes]:
    """Quotes and reports of all hardware."""
    found = []
    for text in evidence():
        try:
            found.append(b64decode(json.loads(text)["quote"]))
        except (ValueError, TypeError, KeyError):
            continue
    return _bounded(found)


def packages() -> list[bytes]:
    """Sealed model packages."""
    return _bounded(b64decode(case["package"]) for case in read_cases("packages.json"))


def content(kind: int, text: bytes, binary: bytes) -> bytes:
    """A content of parts."""
    return bytes([kind]) + len(text).to_bytes(4) + text + binary


def as_bytes(value: Any) -> bytes:
    """A document as it is sent: text as it is, anything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _bounded(found: Any, most: int = MAX_BYTES) -> list[bytes]:
    return [each for each in dict.fromkeys(found) if len(each) <= most]


def _payload(document: bytes) -> str | None:
    try:
        payload = json.loads(document)["directory"]["payload"]
        b64decode(payload)
    except (ValueError, TypeError, KeyError):
        return None
    return str(payload)
