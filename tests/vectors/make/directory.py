"""Writes directory.json: published documents, their signature, times and pins."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.wire.domain import TrustDomain
from tests.vectors.make.directory_cases import BAD_NUMBERS, document_case, document_file
from tests.vectors.make.directory_parts import (
    EVIDENCE,
    HOUR_MS,
    POLICY,
    directory,
    pin_of,
    publish,
)
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SGX_REQUIREMENTS,
    claims,
    sgx,
    signing_key,
    text,
)
from tests.vectors.make.forms import digest, field_faults, name
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON, GOOD_JSON

if TYPE_CHECKING:
    from sealflow.documents.directory import Directory
    from tests.vectors.make.files import VectorFile

GOOD = directory()
PAYLOAD: dict[str, Any] = json.loads(GOOD.to_bytes())
SIGNATURE_BYTES = 64


def document_cases(file: VectorFile) -> None:
    """The published document's own form."""
    good = publish(GOOD)
    document_case(file, "good", "1", "ok", "a genuine document", good)
    for key in ("directory", "evidence"):
        without = {each: value for each, value in good.items() if each != key}
        document_case(file, f"no {key}", "1", "document", "a key is missing", without)
        document_case(file, f"{key}: text", "1", "document", "an object", {**good, key: "x"})
    signed = good["directory"]
    for key in ("payload", "signature"):
        without = {each: value for each, value in signed.items() if each != key}
        document_case(
            file, f"no {key}", "1", "document", "a key is missing", {**good, "directory": without}
        )
        document_case(file, f"{key}: number", "1", "document", "base64",
              {**good, "directory": {**signed, key: 7}})  # fmt: skip
    for fault, change, description in BAD_BASE64:
        bent = {**good, "directory": {**signed, "signature": change(signed["signature"])}}
        document_case(file, f"signature: {fault}", "1", "document", description, bent)
    for size in (SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1):
        bent = text(b64decode(signed["signature"]).ljust(size, b"\0")[:size])
        document_case(file, f"signature of {size} bytes", "1",
              "directory_signature" if size < SIGNATURE_BYTES else "document", "64 bytes",
              {**good, "directory": {**signed, "signature": bent}})  # fmt: skip
    document_case(file, "unknown key", "2.2", "ok", "ignored", {**good, "more": 1})
    document_case(file, "unknown key beside the payload", "2.2", "ok", "ignored",
          {**good, "directory": {**signed, "more": 1}})  # fmt: skip
    encoded = json.dumps(good).encode()
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else "document"
        changed = spelled(encoded)
        if fault in ("not UTF-8", "overlong UTF-8", "surrogate in UTF-8", "UTF-16", "BOM"):
            continue
        document_case(file, f"document: {fault}", "1", expect, description, changed.decode())
    limit = 2 * 2**20
    for size in (limit, limit + 1):
        spaced = json.dumps(good) + " " * (size - len(json.dumps(good)))
        document_case(file, f"document of {size} bytes", "1", "ok" if size == limit else "document",
              "at most 2 MiB", spaced)  # fmt: skip


def signature_cases(file: VectorFile) -> None:
    """Who signed what, and of which deployment it is."""
    good = publish(GOOD)
    signature = bytearray(b64decode(good["directory"]["signature"]))
    for at in (0, 63):
        flipped = bytearray(signature)
        flipped[at] ^= 1
        bent = {**good["directory"], "signature": text(bytes(flipped))}
        document_case(file, f"signature: byte {at} flipped", "1", "directory_signature", "one bit",
              {**good, "directory": bent})  # fmt: skip
    other = text(directory(expires_ms=NOW_MS + 840_001).to_bytes())
    document_case(file, "payload changed", "1", "directory_signature", "after it was signed",
          {**good, "directory": {**good["directory"], "payload": other}})  # fmt: skip
    spaced = json.dumps(PAYLOAD, indent=1).encode()
    document_case(file, "payload spelled anew", "1", "directory_signature", "the bytes are signed",
          {**good, "directory": {**good["directory"], "payload": text(spaced)}})  # fmt: skip
    document_case(
        file, "payload in any spelling", "1", "ok", "signed as it was sent", publish(spaced)
    )
    document_case(file, "another signer", "1", "directory_signature", "not the key in the evidence",
          publish(GOOD, signer="stranger"))  # fmt: skip
    document_case(file, "hardware's label", "1", "directory_signature", "the other trust domain",
          publish(GOOD, domain=TrustDomain.HARDWARE))  # fmt: skip
    stranger = signing_key("stranger").public_key().public_bytes_raw()
    evidence = sgx(bound=claims(signing_key=stranger).to_bytes())
    document_case(
        file,
        "evidence of another signer",
        "3.1",
        "directory_signature",
        "genuine, of another instance of the same deployment",
        publish(GOOD, evidence=evidence),
    )
    document_case(
        file,
        "evidence and its own signer",
        "3.1",
        "ok",
        "another instance that may sign",
        publish(GOOD, evidence=evidence, signer="stranger"),
    )
    document_case(file, "deployment", "3.1", "directory", "not that of the evidence",
          publish({**PAYLOAD, "deployment": "other"}))  # fmt: skip
    document_case(file, "settings", "3.1", "directory", "not those of the evidence",
          publish({**PAYLOAD, "manifest_digest": "ce" * 32}))  # fmt: skip
    required = {**SGX_REQUIREMENTS, "measurements": ["12" * 32]}
    document_case(
        file,
        "evidence refused",
        "3.1",
        ["measurement"],
        "the evidence is appraised",
        good,
        policy={**POLICY, "keybroker": required},
    )
    bent = {**EVIDENCE, "quote": text(b64decode(EVIDENCE["quote"])[:-1])}
    document_case(file, "evidence forged", "3.1", "quote", "the evidence is verified",
          publish(GOOD, evidence=bent))  # fmt: skip


def time_cases(file: VectorFile) -> None:
    """When a directory counts."""
    good, end_ms = publish(GOOD), GOOD.expires_ms
    document_case(file, "last millisecond", "3.1", "ok", "before its end", good, end_ms - 1)
    document_case(file, "expired", "3.1", "directory_expired", "at its end", good, end_ms)
    document_case(
        file, "long expired", "3.1", "directory_expired", "after its end", good, end_ms + HOUR_MS
    )
    early_ms = GOOD.issued_ms - 300_000
    document_case(file, "five minutes early", "3.1", "ok", "a clock may be slow", good, early_ms)
    document_case(file, "early", "3.1", "directory_early", "a millisecond more", good, early_ms - 1)


def pin_cases(file: VectorFile) -> None:
    """What a client remembers, and what it refuses then."""
    rule, good = "3.2", publish(GOOD)
    before = directory(version=2, previous="cc" * 32, log_number=5, log_digest="e5" * 32)
    after = directory(previous=_digest(before))
    later = directory(version=5, previous="d4" * 32)
    newer = publish(after)
    for title, document, pin, expect, description in (
        ("the pinned one", good, pin_of(GOOD), "ok", "it has not changed"),
        ("the next", newer, pin_of(before), "ok", "it names the pinned one"),
        (
            "a later one",
            publish(later),
            pin_of(before),
            "directory_unlinked",
            "nobody shows the log in between",
        ),
        ("history", newer, pin_of(before, history="1f" * 32), "directory_history", "another log"),
        ("rollback", good, pin_of(GOOD, version=4), "directory_rollback", "an older version"),
        ("same version", good, pin_of(GOOD, digest="ab" * 32), "directory_fork", "another digest"),
        (
            "next, other previous",
            newer,
            pin_of(before, digest="ab" * 32),
            "directory_fork",
            "it does not name the pinned one",
        ),
        (
            "next, no later entry",
            newer,
            pin_of(before, log_number=7),
            "directory_fork",
            "as long a log",
        ),
        (
            "next, shorter log",
            newer,
            pin_of(before, log_number=8),
            "directory_fork",
            "a shorter log",
        ),
        (
            "later, no later entry",
            publish(later),
            pin_of(before, log_number=7),
            "directory_fork",
            "as long a log",
        ),
        (
            "settings",
            newer,
            pin_of(GOOD, manifest_digest="ce" * 32, version=9, history="1f" * 32),
            "ok",
            "a pin of other settings is replaced",
        ),
    ):
        document_case(file, f"pin: {title}", rule, expect, description, document, pin=pin)
    worker = {"kind": "worker", "id": "0d" * 16}
    model = {"kind": "model", "id": "0b" * 32}
    gone = {"kind": "key", "id": "sim-" + "0c" * 32}
    served = {"kind": "key", "id": str(after.keys[0].kid)}
    ended = {**worker, "until_ms": after.issued_ms}
    taken_back = "directory_revocation"
    for title, revoked, expect, description in (
        ("none was", [], "ok", "nothing was revoked"),
        ("worker", [worker], taken_back, "a worker is revoked no more"),
        ("model", [model], taken_back, "a model is revoked no more"),
        ("one of two", [gone, model], taken_back, "one of two may go, the other not"),
        ("worker that ended", [ended], "ok", "issued at its until_ms"),
        (
            "worker that has not ended",
            [{**worker, "until_ms": after.issued_ms + 1}],
            taken_back,
            "issued before its until_ms",
        ),
        ("worker twice, one lasts", [ended, worker], taken_back, "the strict one counts"),
        (
            "worker twice, one later",
            [{**worker, "until_ms": after.issued_ms + 1}, ended],
            taken_back,
            "the later one counts",
        ),
        ("model with an end", [{**model, "until_ms": 0}], taken_back, "a model has no end"),
        ("key with an end", [{**served, "until_ms": 0}], taken_back, "nor has a key"),
        (
            "unknown kind with an end",
            [{"kind": "region", "id": "x", "until_ms": "x"}],
            "ok",
            "nothing of it is read",
        ),
        ("key that is gone", [gone], "ok", "nobody has the key"),
        ("key that is served", [served], taken_back, "a key is revoked no more"),
        ("unknown kind", [{"kind": "region", "id": "x"}], "ok", "of a later release: ignored"),
    ):
        pin = {**pin_of(before), "revoked": revoked}
        document_case(file, f"pin: revoked: {title}", "3.10", expect, description, newer, pin=pin)
    kept = replace(after, revoked=(Revoked(kind=RevokedKind.MODEL, id="0b" * 32),))
    document_case(file, "pin: revoked: still", "3.10", "ok", "it is still revoked",
          publish(kept), pin={**pin_of(before), "revoked": [model]})  # fmt: skip
    for number, bad in enumerate((None, "x", {}, [7], [{"kind": "worker"}],
          [{"kind": "worker", "id": "x"}], [worker] * 1025, [{**worker, "until_ms": None}],
          [{**worker, "until_ms": -1}], [{**model, "until_ms": "1"}]), 1):  # fmt: skip
        pin = {**pin_of(before), "revoked": bad}
        document_case(file, f"pin form: revoked {number}", "3.4", "pin", "not its form",
              newer, pin=pin)  # fmt: skip
    pin = pin_of(before)
    forms = {
        "deployment": name,
        "manifest_digest": digest,
        "history": digest,
        "version": BAD_NUMBERS,
        "digest": digest,
        "log_number": BAD_NUMBERS,
        "log_digest": digest,
    }
    plain = {key: value for key, value in pin.items() if key != "owners"}
    owner = "0a" * 32
    for title, owners, expect in (
        ("one", {owner: ["m", "n"]}, "ok"),
        ("none", {}, "ok"),
        ("list", [], "pin"),
        ("null", None, "pin"),
        ("not a key", {"0a": ["m"]}, "pin"),
        ("text", {owner: "m"}, "pin"),
        ("null for names", {owner: None}, "pin"),
        ("not a name", {owner: ["a b"]}, "pin"),
        ("name twice", {owner: ["m"], "0b" * 32: ["m"]}, "pin"),
        ("4,096 names", {owner: [f"m{each}" for each in range(4096)]}, "ok"),
        ("4,097 names", {owner: [f"m{each}" for each in range(4097)]}, "pin"),
    ):
        document_case(file, f"pin form: owners: {title}", "3.9", expect, "names by owner", newer,
                      pin={**plain, "owners": owners})  # fmt: skip
    document_case(file, "pin form: no owners", "3.9", "ok", "as of earlier releases", newer,
                  pin=plain)  # fmt: skip
    for title, changed in field_faults(plain, forms):
        document_case(file, f"pin form: {title}", "3.4", "pin", "not its form", newer, pin=changed)
    document_case(
        file, "pin form: unknown key", "3.4", "ok", "ignored", newer, pin={**pin, "more": 1}
    )
    for title, found in (("list", [pin]), ("empty", {})):
        document_case(file, f"pin form: {title}", "3.4", "pin", "not a pin", newer, pin=found)


def _digest(published: Directory) -> str:
    return str(pin_of(published)["digest"])


def files() -> list[VectorFile]:
    """Make the file."""
    file = document_file("directory.json", "Form, signature, times and pin.")
    for add in (document_cases, signature_cases, time_cases, pin_cases):
        add(file)
    return [file]
