"""Writes evidence/form.json and bound.json: the form of evidence and of bound claims."""

from __future__ import annotations

import json
from typing import Any

from sealflow.seal.keys import Suite
from tests.support.attestation.quote_bodies import sgx_body
from tests.support.forging.intel import IntelForge
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SGX_REQUIREMENTS,
    claims,
    evidence_of,
    policy,
    sealing_key,
    sgx,
    text,
    with_json,
)
from tests.vectors.make.files import VectorFile
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON, GOOD_JSON

GOOD = IntelForge()
POLICY = policy(GOOD.root_der, SGX_REQUIREMENTS)
BOUND = claims().to_bytes()


def form_cases(file: VectorFile) -> None:
    """Keys, limits and base64 of evidence."""
    good = sgx()

    def case(name: str, expect: str, description: str, evidence: Any) -> None:
        file.case(
            name, "attestation 1.1", expect, description, evidence=evidence, policy=POLICY,
            now_ms=NOW_MS,
        )  # fmt: skip

    case("good", "ok", "genuine evidence", good)
    for name in ("tee", "quote", "bound", "collateral"):
        without = {key: value for key, value in good.items() if key != name}
        case(f"no {name}", "evidence", "a key is missing", without)
        for word, value in (("null", None), ("number", 7), ("list", [good[name]])):
            case(f"{name}: {word}", "evidence", "it is a string", {**good, name: value})
    for name, value in (("list", [good]), ("text", "evidence"), ("null", None)):
        case(f"a {name}", "evidence", "evidence is an object", value)
    for value in ("SGX", "sev", "", "nitro"):
        case(f"tee {value!r}", "evidence", "no known TEE", {**good, "tee": value})
    for name, quote, expect in (
        ("16,384 bytes", 16_384, "ok"),
        ("16,385 bytes", 16_385, "evidence"),
    ):
        padded = GOOD.quote(sgx_body(_report_data())).ljust(quote, b"\0")
        case(f"quote: {name}", expect, "at most 16 KiB", {**good, "quote": text(padded)})
    for name, size, expect in (("8,192 bytes", 8192, "ok"), ("8,193 bytes", 8193, "evidence")):
        bound = BOUND + b" " * (size - len(BOUND))
        case(f"bound: {name}", expect, "at most 8 KiB", sgx(bound=bound))
    for name, size, expect in (
        ("524,288 bytes", 524_288, "ok"),
        ("524,289 bytes", 524_289, "evidence"),
    ):
        collateral = GOOD.collateral().ljust(size, b" ")
        case(f"collateral: {name}", expect, "at most 512 KiB",
             evidence_of(lambda data: GOOD.quote(sgx_body(data)), collateral))  # fmt: skip
    bound = claims(software="0.1.0").to_bytes()
    while len(bound) % 3 != 1:
        bound += b" "
    short = sgx(bound=bound)
    for name, change, description in BAD_BASE64:
        case(f"base64: {name}", "evidence", description, {**short, "bound": change(short["bound"])})
    case("base64: padded", "ok", "two characters of padding", short)


def bound_cases(file: VectorFile) -> None:
    """The form of bound claims; the quote commits to each of them."""

    def case(
        name: str,
        bound: bytes,
        expect: str | list[str] = "bound_claims",
        description: str = "not its form",
        rule: str = "attestation 2",
    ) -> None:
        file.case(name, rule, expect, description, evidence=sgx(bound=bound), policy=POLICY,
                  now_ms=NOW_MS)  # fmt: skip

    def changed(**changes: Any) -> bytes:
        return with_json(BOUND, **changes)

    case("good", BOUND, "ok", "as our writer writes them")
    value = json.loads(BOUND)
    for name in value:
        case(f"no {name}", changed(**{name: None}), description="a key is missing")
        wrong = "7" if isinstance(value[name], int) else 7
        case(f"{name}: type", changed(**{name: wrong}), description="another type")
        nulled = BOUND.replace(
            json.dumps({name: value[name]}, separators=(",", ":"))[1:-1].encode(),
            json.dumps({name: None}, separators=(",", ":"))[1:-1].encode(),
        )
        case(f"{name}: null", nulled, description="null")
    for name, values in {
        "protocol": ("sealflow/2", "sealflow/1 ", "sealflow-sim/1", ""),
        "role": ("client", "Worker", ""),
        "tee": ("SGX", "nitro"),
        "deployment": ("", "-a", "a-", "a b", "a" * 65, "é", "a/b"),
        "instance": ("0f" * 15, "0f" * 17, "0F" * 16, "0g" * 16, "sim-" + "0f" * 14),
        "nonce": ("00" * 31, "00" * 33, "AB" * 32, ""),
        "manifest_digest": ("cd" * 31, "CD" * 32, "0x" + "cd" * 31),
        "signing_key": (text(b"s" * 31), text(b"s" * 33), "", "%"),
        "sealing_key": (text(b"k" * 31), text(b"k" * 33), "", "%", text(b"k" * 1216)),
        "sealing_suite": (0, -1, 3, 0xF003, 2**63, 1.0),
        "software": ("x" * 65, "a\tb", "\u202e", "\ue000", "\U000e0100"),
    }.items():
        for number, wrong in enumerate(values, 1):
            case(f"{name}: form {number}", changed(**{name: wrong}))
    case("serves", changed(serves="ab" * 32), "ok", "the owner whose models a worker may get")
    for number, other in enumerate((7, "ab" * 31, "AB" * 32, "", ["ab" * 32]), 1):
        case(f"serves: form {number}", changed(serves=other))
    for name, good in (("64 characters", "x" * 64), ("empty", ""), ("a fox", "\U0001f98a" * 64)):
        case(f"software: {name}", changed(software=good), "ok", "code points count")
    case("deployment: 64 characters", changed(deployment="a" * 64), ["deployment"], "as long as "
         "allowed, so only another deployment")  # fmt: skip
    hardware = sealing_key("key broker", Suite.X25519)
    case("sealing_suite: hardware's", changed(sealing_suite=int(hardware.suite)),
         description="a suite of the other trust domain")  # fmt: skip
    xwing = sealing_key("key broker", Suite.SIMULATED_XWING)
    both = {"sealing_suite": int(xwing.suite), "sealing_key": text(xwing.public_key.public)}
    case("sealing_key: X-Wing", changed(**both), "ok", "1,216 bytes")
    case("sealing_key: X-Wing, short", changed(**{**both, "sealing_key": text(b"k" * 1215)}))
    case("sealing_key: X-Wing of 32 bytes", changed(**{**both, "sealing_key": text(b"k" * 32)}))
    for name, spelled, description in BAD_JSON:
        case(f"JSON: {name}", spelled(BOUND), description=description, rule="envelope 2")
    for name, spelled, description in GOOD_JSON:
        case(f"JSON: {name}", spelled(BOUND), "ok", description, rule="envelope 2")
    case("JSON: unknown key", changed(more="x"), "ok", "ignored: a newer writer's")
    case("JSON: unknown key with anything", changed(more={"a": [1, None, {"b": True}]}), "ok",
         "ignored, whatever it holds")  # fmt: skip
    for name, extra, expect in (
        ("unknown", {"critical": ["more"], "more": 1}, "critical"),
        ("absent", {"critical": ["more"]}, "bound_claims"),
        ("empty", {"critical": []}, "bound_claims"),
        ("twice", {"critical": ["more", "more"], "more": 1}, "bound_claims"),
        ("base key", {"critical": ["nonce"]}, "bound_claims"),
        ("text", {"critical": "more", "more": 1}, "bound_claims"),
        ("a letter", {"critical": "m", "m": 1}, "bound_claims"),
        ("a list within", {"critical": [[]]}, "bound_claims"),
    ):
        case(f"critical: {name}", changed(**extra), expect, "a key that must be understood",
             "versions 3")  # fmt: skip
    reordered = json.dumps(dict(reversed(value.items())), indent=2).encode()
    case("JSON: any spelling", reordered, "ok", "another order, and white space", "attestation 2.1")


def _report_data() -> bytes:
    found: list[bytes] = []

    def catch(data: bytes) -> bytes:
        found.append(data)
        return b""

    evidence_of(catch, b"")
    return found[0]


def files() -> list[VectorFile]:
    """Make the files."""
    form = VectorFile(
        path="evidence/form.json",
        description="Whole evidence objects: keys, sizes and base64. The evidence is given as "
        "JSON; a reader parses it as part of a published document.",
    )
    bound = VectorFile(
        path="evidence/bound.json",
        description="Evidence whose bound claims have one fault of form. The quote commits to "
        "them, so nothing else refuses them.",
    )
    good = sgx()
    for file in (form, bound):
        file.share("policy", POLICY)
        for part in ("quote", "bound", "collateral"):
            file.share(part, good[part])
    form_cases(form)
    bound_cases(bound)
    return [form, bound]
