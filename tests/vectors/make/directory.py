"""Writes directory.json and directory-payload.json: whole published documents."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

from sealflow.documents.directory import Directory
from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.seal.keys import Suite
from sealflow.wire.domain import TrustDomain
from tests.vectors.make.directory_parts import (
    EVIDENCE,
    HOUR_MS,
    POLICY,
    directory,
    directory_key,
    model,
    pin_of,
    publish,
)
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SGX_REQUIREMENTS,
    claims,
    sealing_key,
    sgx,
    signing_key,
    text,
)
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import KID, digest, field_faults, name, time_ms
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON, GOOD_JSON

GOOD = directory()
PAYLOAD: dict[str, Any] = json.loads(GOOD.to_bytes())
SIGNATURE_BYTES = 64


def _case(  # noqa: PLR0913, PLR0917 - the fields of a case
    file: VectorFile,
    title: str,
    rule: str,
    expect: str | list[str],
    description: str,
    document: Any,
    now_ms: int = NOW_MS,
    **more: Any,
) -> None:
    inputs = {"policy": POLICY, "now_ms": now_ms, **more}
    file.case(title, f"directory {rule}", expect, description, document=document, **inputs)


def document_cases(file: VectorFile) -> None:
    """The published document's own form."""
    good = publish(GOOD)
    _case(file, "good", "1", "ok", "a genuine document", good)
    for key in ("directory", "evidence"):
        without = {each: value for each, value in good.items() if each != key}
        _case(file, f"no {key}", "1", "document", "a key is missing", without)
        _case(file, f"{key}: text", "1", "document", "an object", {**good, key: "x"})
    signed = good["directory"]
    for key in ("payload", "signature"):
        without = {each: value for each, value in signed.items() if each != key}
        _case(
            file, f"no {key}", "1", "document", "a key is missing", {**good, "directory": without}
        )
        _case(file, f"{key}: number", "1", "document", "base64",
              {**good, "directory": {**signed, key: 7}})  # fmt: skip
    for fault, change, description in BAD_BASE64:
        bent = {**good, "directory": {**signed, "signature": change(signed["signature"])}}
        _case(file, f"signature: {fault}", "1", "document", description, bent)
    for size in (SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1):
        bent = text(b64decode(signed["signature"]).ljust(size, b"\0")[:size])
        _case(file, f"signature of {size} bytes", "1",
              "directory_signature" if size < SIGNATURE_BYTES else "document", "64 bytes",
              {**good, "directory": {**signed, "signature": bent}})  # fmt: skip
    _case(file, "unknown key", "2.2", "ok", "ignored", {**good, "more": 1})
    _case(file, "unknown key beside the payload", "2.2", "ok", "ignored",
          {**good, "directory": {**signed, "more": 1}})  # fmt: skip
    encoded = json.dumps(good).encode()
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else "document"
        bent = spelled(encoded)
        if fault in ("not UTF-8", "overlong UTF-8", "surrogate in UTF-8", "UTF-16", "BOM"):
            continue
        _case(file, f"document: {fault}", "1", expect, description, bent.decode())
    limit = 2 * 2**20
    for size in (limit, limit + 1):
        spaced = json.dumps(good) + " " * (size - len(json.dumps(good)))
        _case(file, f"document of {size} bytes", "1", "ok" if size == limit else "document",
              "at most 2 MiB", spaced)  # fmt: skip


def signature_cases(file: VectorFile) -> None:
    """Who signed what, and of which deployment it is."""
    good = publish(GOOD)
    signature = bytearray(b64decode(good["directory"]["signature"]))
    for at in (0, 63):
        flipped = bytearray(signature)
        flipped[at] ^= 1
        bent = {**good["directory"], "signature": text(bytes(flipped))}
        _case(file, f"signature: byte {at} flipped", "1", "directory_signature", "one bit",
              {**good, "directory": bent})  # fmt: skip
    other = text(directory(expires_ms=NOW_MS + 840_001).to_bytes())
    _case(file, "payload changed", "1", "directory_signature", "after it was signed",
          {**good, "directory": {**good["directory"], "payload": other}})  # fmt: skip
    spaced = json.dumps(PAYLOAD, indent=1).encode()
    _case(file, "payload spelled anew", "1", "directory_signature", "the bytes are signed",
          {**good, "directory": {**good["directory"], "payload": text(spaced)}})  # fmt: skip
    _case(file, "payload in any spelling", "1", "ok", "signed as it was sent", publish(spaced))
    _case(file, "another signer", "1", "directory_signature", "not the key in the evidence",
          publish(GOOD, signer="stranger"))  # fmt: skip
    _case(file, "hardware's label", "1", "directory_signature", "the other trust domain",
          publish(GOOD, domain=TrustDomain.HARDWARE))  # fmt: skip
    stranger = signing_key("stranger").public_key().public_bytes_raw()
    evidence = sgx(bound=claims(signing_key=stranger).to_bytes())
    _case(file, "evidence of another signer", "3.1", "directory_signature", "genuine, of another "
          "instance of the same deployment", publish(GOOD, evidence=evidence))  # fmt: skip
    _case(file, "evidence and its own signer", "3.1", "ok", "another instance that may sign",
          publish(GOOD, evidence=evidence, signer="stranger"))  # fmt: skip
    _case(file, "deployment", "3.1", "directory", "not that of the evidence",
          publish({**PAYLOAD, "deployment": "other"}))  # fmt: skip
    _case(file, "settings", "3.1", "directory", "not those of the evidence",
          publish({**PAYLOAD, "manifest_digest": "ce" * 32}))  # fmt: skip
    required = {**SGX_REQUIREMENTS, "measurements": ["12" * 32]}
    _case(file, "evidence refused", "3.1", ["measurement"], "the evidence is appraised", good,
          policy={**POLICY, "keybroker": required})  # fmt: skip
    bent = {**EVIDENCE, "quote": text(b64decode(EVIDENCE["quote"])[:-1])}
    _case(file, "evidence forged", "3.1", "quote", "the evidence is verified",
          publish(GOOD, evidence=bent))  # fmt: skip


def time_cases(file: VectorFile) -> None:
    """When a directory counts."""
    good, end_ms = publish(GOOD), GOOD.expires_ms
    _case(file, "last millisecond", "3.1", "ok", "before its end", good, end_ms - 1)
    _case(file, "expired", "3.1", "directory_expired", "at its end", good, end_ms)
    _case(file, "long expired", "3.1", "directory_expired", "after its end", good, end_ms + HOUR_MS)
    early_ms = GOOD.issued_ms - 300_000
    _case(file, "five minutes early", "3.1", "ok", "a clock may be slow", good, early_ms)
    _case(file, "early", "3.1", "directory_early", "a millisecond more", good, early_ms - 1)
    for fault, changes in (
        ("never valid", {"expires_ms": GOOD.issued_ms}),
        ("ends before it begins", {"expires_ms": GOOD.issued_ms - 1}),
    ):
        _case(file, fault, "3.1", "directory_expired", "no time is before its end",
              publish({**PAYLOAD, **changes}), GOOD.issued_ms)  # fmt: skip


def payload_cases(file: VectorFile) -> None:
    """Each key's form, at each level."""
    forms = {
        "deployment": name, "history": digest, "log_number": _number, "log_digest": digest,
        "version": _number, "previous": digest, "issued_ms": time_ms, "expires_ms": time_ms,
        "manifest_digest": digest, "models": _list, "keys": _list, "revoked": _list,
    }  # fmt: skip
    for title, changed in field_faults(PAYLOAD, forms, nullable=("previous",)):
        _case(file, f"payload: {title}", "2", "directory", "not its form", publish(changed))
    levels: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
        ("keys", {"kid": KID, "suite": _suite, "public": _public, "not_before_ms": time_ms,
                  "retire_ms": time_ms, "destroy_ms": time_ms}, ()),
        ("models", {"name": name, "version": name, "digest": digest, "owner": digest,
                    "workers": digest, "default": _flag, "inputs": _list, "outputs": _list,
                    "image": _image}, ("workers", "image")),
        ("revoked", {"kind": _kind, "id": digest}, ()),
    )  # fmt: skip
    for level, forms, nullable in levels:
        first, *rest = PAYLOAD[level]
        for title, changed in field_faults(first, forms, nullable=nullable):
            value = {**PAYLOAD, level: [changed, *rest]}
            _case(file, f"{level}: {title}", "2", "directory", "not its form", publish(value))
        for fault in ("x", None, [], 7):
            value = {**PAYLOAD, level: [fault]}
            _case(file, f"{level}: item {fault!r}", "2", "directory", "an object", publish(value))
        value = {**PAYLOAD, level: [{**first, "more": {"x": 1}}, *rest]}
        _case(file, f"{level}: unknown key", "2.2", "ok", "ignored", publish(value))
    [spec] = PAYLOAD["models"][0]["inputs"]
    for title, changed in field_faults(
        spec, {"name": _tensor_name, "datatype": _datatype, "shape": _shape}
    ):
        bent = {**PAYLOAD["models"][0], "inputs": [changed]}
        _case(file, f"tensor: {title}", "2", "directory", "not its form",
              publish({**PAYLOAD, "models": [bent]}))  # fmt: skip
    bent = {**PAYLOAD["models"][0], "outputs": [{**spec, "more": 1}]}
    _case(file, "tensor: unknown key", "2.2", "ok", "ignored",
          publish({**PAYLOAD, "models": [bent]}))  # fmt: skip
    _case(file, "payload: unknown key", "2.2", "ok", "ignored", publish({**PAYLOAD, "more": [1]}))
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else "directory"
        _case(file, f"payload JSON: {fault}", "2", expect, description,
              publish(spelled(GOOD.to_bytes())))  # fmt: skip


def content_cases(file: VectorFile) -> None:
    """Keys, models and revocations that contradict each other."""
    first, second = GOOD.keys

    def keys(title: str, expect: str, description: str, *found: Any) -> None:
        _case(file, title, "2.1", expect, description, publish(replace(GOOD, keys=found)))

    keys("no keys", "ok", "a directory without keys is one", *())
    other = sealing_key("other").public_key
    keys("kid of another key", "directory", "kid is the key's hash",
         replace(first, public=other.public), second)  # fmt: skip
    hardware = directory_key("epoch 1", first.not_before_ms, Suite.X25519)
    keys("key of hardware", "directory", "a key of the other trust domain", hardware, second)
    keys("X-Wing", "ok", "both suites beside each other", first,
         directory_key("epoch 1", first.not_before_ms, Suite.SIMULATED_XWING))  # fmt: skip
    for suite in (0, 3, 0x8001, 0xF003, 0xFFFF):
        value = {**PAYLOAD, "keys": [{**PAYLOAD["keys"][0], "suite": suite}, PAYLOAD["keys"][1]]}
        _case(file, f"unknown suite {suite:#x}", "2.1", "ok", "the key is left out", publish(value),
              keys=[second.kid])  # fmt: skip
    many = [directory_key(f"epoch {each}", NOW_MS) for each in range(65)]
    keys("64 keys", "ok", "as many as allowed", *many[:64])
    keys("65 keys", "directory", "one too many", *many)
    for title, found, expect, description in (
        ("no models", (), "ok", "none is served"),
        ("two versions", (model(), model(version="2", default=False)), "ok", "one is the default"),
        ("no default", (model(default=False), model(version="2", default=False)), "ok", "neither"),
        ("model twice", (model(), model()), "directory", "name and version, twice"),
        ("model twice, other digest", (model(), model(digest="ab" * 32, default=False)),
         "directory", "name and version, twice"),
        ("two defaults", (model(), model(version="2")), "directory", "one default at most a name"),
        ("defaults of two names", (model(), model("n")), "ok", "one for each name"),
        ("image", (model(image="x"),), "ok", "an input of the model"),
    ):  # fmt: skip
        _case(file, title, "2", expect, description, publish(replace(GOOD, models=found)))
    for datatype in ("FP8", "fp32", ""):
        bent = json.loads(json.dumps(PAYLOAD["models"][0]))
        bent["inputs"][0]["datatype"] = datatype
        value = {**PAYLOAD, "models": [bent, model("n").to_json()]}
        _case(file, f"unknown datatype {datatype!r}", "2", "ok", "the model is left out",
              publish(value), models=["n:1"])  # fmt: skip
    plain = model().to_json()
    for image, words in (("y", "an output's name"), ("z", "no tensor's name"), ("", "no name")):
        _case(file, f"image {image!r}", "2.5", "directory", words,
              publish({**PAYLOAD, "models": [{**plain, "image": image}]}))  # fmt: skip
    for kind, good, bad in (
        (RevokedKind.WORKER, "0a" * 16, "0a" * 32),
        (RevokedKind.MODEL, "0a" * 32, "0a" * 16),
        (RevokedKind.KEY, "sim-" + "0a" * 32, "0a" * 16),
    ):
        entry = Revoked(kind=kind, id=good).to_json()
        _case(
            file, f"revoked {kind}", "2", "ok", "its id", publish({**PAYLOAD, "revoked": [entry]})
        )
        _case(file, f"revoked {kind}: id", "2", "directory", "another's id",
              publish({**PAYLOAD, "revoked": [{**entry, "id": bad}]}))  # fmt: skip
    many_revoked = [Revoked(kind=RevokedKind.WORKER, id=f"{each:032x}").to_json()
                    for each in range(1025)]  # fmt: skip
    _case(file, "1,025 revoked", "2", "directory", "one too many",
          publish({**PAYLOAD, "revoked": many_revoked}))  # fmt: skip


def version_cases(file: VectorFile) -> None:
    """Formats, and keys that must be understood."""
    asked = {"critical": ["more"], "more": 1}
    levels = {
        "payload": lambda extra: {**PAYLOAD, **extra},
        "revoked": lambda extra: {**PAYLOAD, "revoked": [{**PAYLOAD["revoked"][0], **extra}]},
        "keys": lambda extra: {**PAYLOAD, "keys": [{**PAYLOAD["keys"][0], **extra},
                                                   *PAYLOAD["keys"][1:]]},
        "models": lambda extra: {**PAYLOAD, "models": [{**PAYLOAD["models"][0], **extra}]},
    }  # fmt: skip
    for level, made in levels.items():
        left_out = {"keys": {"keys": [GOOD.keys[1].kid]}, "models": {"models": []}}.get(level)
        title = f"critical in {level}"
        file.case(
            title, "versions 3", "critical" if left_out is None else "ok",
            "an unknown key that must be understood" if left_out is None else "it is left out",
            document=publish(made(asked)), policy=POLICY, now_ms=NOW_MS, **(left_out or {}),
        )  # fmt: skip
        for fault, extra in (
            ("absent", {"critical": ["more"]}),
            ("empty", {"critical": []}),
            ("twice", {"critical": ["more", "more"], "more": 1}),
            ("base key", {"critical": [next(iter(PAYLOAD))] if level == "payload" else
                          [next(iter(PAYLOAD[level][0]))]}),
            ("text", {"critical": "more", "more": 1}),
            ("number", {"critical": [1], "more": 1}),
            ("17 keys", {"critical": [f"m{each}" for each in range(17)],
                         **{f"m{each}": 1 for each in range(17)}}),
        ):  # fmt: skip
            file.case(
                f"{title}: {fault}", "versions 3", "directory", "`critical` has another form",
                document=publish(made(extra)), policy=POLICY, now_ms=NOW_MS,
            )  # fmt: skip
    for number, expect in (
        (0, "format"),
        (2, "format"),
        (2**53, "format"),
        ("1", "directory"),
        (None, "directory"),
    ):
        file.case(
            f"format {number!r}", "versions 1", expect, "this text is of format 1",
            document=publish({**PAYLOAD, "format": number}), policy=POLICY, now_ms=NOW_MS,
        )  # fmt: skip
    later = {"kind": "region", "id": "anything"}
    file.case(
        "revoked kind of later", "versions 4", "ok", "an unknown kind is ignored",
        document=publish({**PAYLOAD, "revoked": [later]}), policy=POLICY, now_ms=NOW_MS,
    )  # fmt: skip


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
        ("a later one", publish(later), pin_of(before), "ok", "its log is longer"),
        ("history", newer, pin_of(before, history="1f" * 32), "directory_history", "another log"),
        ("rollback", good, pin_of(GOOD, version=4), "directory_rollback", "an older version"),
        ("same version", good, pin_of(GOOD, digest="ab" * 32), "directory_fork", "another digest"),
        ("next, other previous", newer, pin_of(before, digest="ab" * 32), "directory_fork",
         "it does not name the pinned one"),
        ("next, no later entry", newer, pin_of(before, log_number=7), "directory_fork",
         "as long a log"),
        ("next, shorter log", newer, pin_of(before, log_number=8), "directory_fork",
         "a shorter log"),
        ("later, no later entry", publish(later), pin_of(before, log_number=7), "directory_fork",
         "as long a log"),
        ("settings", newer, pin_of(GOOD, manifest_digest="ce" * 32, version=9, history="1f" * 32),
         "ok", "a pin of other settings is replaced"),
    ):  # fmt: skip
        _case(file, f"pin: {title}", rule, expect, description, document, pin=pin)
    pin = pin_of(before)
    forms = {"deployment": name, "manifest_digest": digest, "history": digest, "version": _number,
             "digest": digest, "log_number": _number, "log_digest": digest}  # fmt: skip
    for title, changed in field_faults(pin, forms):
        _case(file, f"pin form: {title}", "3.4", "pin", "not its form", newer, pin=changed)
    _case(file, "pin form: unknown key", "3.4", "ok", "ignored", newer, pin={**pin, "more": 1})
    for title, found in (("list", [pin]), ("empty", {})):
        _case(file, f"pin form: {title}", "3.4", "pin", "not a pin", newer, pin=found)


def _digest(published: Directory) -> str:
    return str(pin_of(published)["digest"])


_number = ("7", -1, True, 1.5, 2**63, None)
_list = ({}, "x", 7, None)
_flag = (0, "true", None, [])
_suite = ("1", None, True, -1, 1.5, 2**63)
_public = (text(b"k" * 31), text(b"k" * 33), "", "%", 7, None)
_image = (7, [], True)
_kind = (7, None, ["worker"])
_tensor_name = ("", "x" * 257, "a\tb", "\u202e", "\ue000", 7, None)
_datatype = (7, None, ["FP32"])
_shape = (7, [0], [-2], ["1"], [1.0], [True], [1] * 17, [2**31], [2**16, 2**15], None)


def files() -> list[VectorFile]:
    """Make the files."""
    words = (
        "Published documents with a policy, a time and the pin that a client kept, if any. Where "
        "`document` is text, it is the document as sent; else any JSON of it will do. "
    )
    trust = VectorFile(path="directory.json", description=words + "Form, signature, times and pin.")
    payload = VectorFile(
        path="directory-payload.json",
        description=words + "Every payload is signed by the key in the evidence.",
    )
    for file in (trust, payload):
        for part in ("quote", "bound", "collateral"):
            file.share(part, EVIDENCE[part])
        file.share("evidence", EVIDENCE)
        file.share("policy", POLICY)
    for add in (document_cases, signature_cases, time_cases, pin_cases):
        add(trust)
    for add in (payload_cases, content_cases, version_cases):
        add(payload)
    return [trust, payload]
