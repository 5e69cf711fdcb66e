"""Writes directory-payload.json: payloads, signed by the key in the evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.seal.keys import Suite
from tests.vectors.make.directory_cases import BAD_NUMBERS, document_case, document_file
from tests.vectors.make.directory_parts import (
    POLICY,
    directory,
    directory_key,
    model,
    publish,
)
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    sealing_key,
    text,
)
from tests.vectors.make.forms import KID, digest, field_faults, name, time_ms
from tests.vectors.make.spellings import BAD_JSON, GOOD_JSON

if TYPE_CHECKING:
    from tests.vectors.make.files import VectorFile

GOOD = directory()
PAYLOAD: dict[str, Any] = json.loads(GOOD.to_bytes())
SIGNATURE_BYTES = 64


def payload_cases(file: VectorFile) -> None:
    """Each key's form, at each level."""
    forms = {
        "deployment": name, "history": digest, "log_number": BAD_NUMBERS, "log_digest": digest,
        "version": BAD_NUMBERS, "previous": digest, "issued_ms": time_ms, "expires_ms": time_ms,
        "manifest_digest": digest, "models": _list, "keys": _list, "revoked": _list,
    }  # fmt: skip
    for title, changed in field_faults(PAYLOAD, forms, nullable=("previous",)):
        document_case(file, f"payload: {title}", "2", "directory", "not its form", publish(changed))
    for limit in (1, 60, 86_400):
        changed = {**PAYLOAD, "deadline_s": limit}
        document_case(
            file, f"deadline_s: {limit}", "2.12", "ok", "it is optional", publish(changed)
        )
    for fault in (0, 86_401, -1, 60.5, True, "60", None, [], 2**53):
        changed = {**PAYLOAD, "deadline_s": fault}
        title = f"payload: deadline_s is {json.dumps(fault)}"
        document_case(file, title, "2.12", "directory", "not its form", publish(changed))
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
            document_case(
                file, f"{level}: {title}", "2", "directory", "not its form", publish(value)
            )
        for fault in ("x", None, [], 7):
            value = {**PAYLOAD, level: [fault]}
            document_case(
                file, f"{level}: item {fault!r}", "2", "directory", "an object", publish(value)
            )
        value = {**PAYLOAD, level: [{**first, "more": {"x": 1}}, *rest]}
        document_case(file, f"{level}: unknown key", "2.2", "ok", "ignored", publish(value))
    [spec] = PAYLOAD["models"][0]["inputs"]
    for title, changed in field_faults(
        spec, {"name": _tensor_name, "datatype": _datatype, "shape": _shape}
    ):
        bent = {**PAYLOAD["models"][0], "inputs": [changed]}
        document_case(file, f"tensor: {title}", "2", "directory", "not its form",
              publish({**PAYLOAD, "models": [bent]}))  # fmt: skip
    for side in ("inputs", "outputs"):
        bent = {**PAYLOAD["models"][0], side: [spec, {**spec, "shape": [-1, 5]}]}
        document_case(file, f"tensor: {side} with a name twice", "2.4", "directory", "each once",
              publish({**PAYLOAD, "models": [bent]}))  # fmt: skip
    bent = {**PAYLOAD["models"][0], "outputs": [{**spec, "more": 1}]}
    document_case(file, "tensor: unknown key", "2.2", "ok", "ignored",
          publish({**PAYLOAD, "models": [bent]}))  # fmt: skip
    document_case(
        file, "payload: unknown key", "2.2", "ok", "ignored", publish({**PAYLOAD, "more": [1]})
    )
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else "directory"
        document_case(file, f"payload JSON: {fault}", "2", expect, description,
              publish(spelled(GOOD.to_bytes())))  # fmt: skip


def content_cases(file: VectorFile) -> None:
    """Keys, models and revocations that contradict each other."""
    first, second = GOOD.keys

    def keys(title: str, expect: str, description: str, *found: Any) -> None:
        document_case(file, title, "2.1", expect, description, publish(replace(GOOD, keys=found)))

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
        document_case(
            file,
            f"unknown suite {suite:#x}",
            "2.1",
            "ok",
            "the key is left out",
            publish(value),
            keys=[second.kid],
        )
    many = [directory_key(f"epoch {each}", NOW_MS) for each in range(65)]
    keys("64 keys", "ok", "as many as allowed", *many[:64])
    keys("65 keys", "directory", "one too many", *many)
    keys("key twice", "directory", "each kid once", first, first)
    for title, changes in (
        ("never valid", {"expires_ms": GOOD.issued_ms}),
        ("ends before it begins", {"expires_ms": GOOD.issued_ms - 1}),
        ("version 0", {"version": 0}),
        ("version 0 and nothing before", {"version": 0, "previous": None}),
        ("version 1 and one before", {"version": 1}),
        ("version 2 and none before", {"version": 2, "previous": None}),
    ):
        document_case(file, title, "2", "directory", "they contradict each other",
                      publish({**PAYLOAD, **changes}))  # fmt: skip
    document_case(file, "version 1", "2", "ok", "nothing is before it",
                  publish({**PAYLOAD, "version": 1, "previous": None}))  # fmt: skip
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
        document_case(file, title, "2", expect, description, publish(replace(GOOD, models=found)))
    for datatype in ("FP8", "fp32", ""):
        bent = json.loads(json.dumps(PAYLOAD["models"][0]))
        bent["inputs"][0]["datatype"] = datatype
        value = {**PAYLOAD, "models": [bent, model("n").to_json()]}
        document_case(file, f"unknown datatype {datatype!r}", "2", "ok", "the model is left out",
              publish(value), models=["n:1"])  # fmt: skip
    plain = model().to_json()
    for image, words in (("y", "an output's name"), ("z", "no tensor's name"), ("", "no name")):
        document_case(file, f"image {image!r}", "2.5", "directory", words,
              publish({**PAYLOAD, "models": [{**plain, "image": image}]}))  # fmt: skip
    for output, expect, words in (
        ("y", "ok", "an output's name"),
        ("x", "directory", "an input's name"),
        ("z", "directory", "no tensor's name"),
        ("", "directory", "no name"),
        (None, "directory", "absent, or a name"),
        (7, "directory", "not its form"),
    ):
        document_case(file, f"classification {output!r}", "2.18", expect, words,
              publish({**PAYLOAD, "models": [{**plain, "classification": output}]}))  # fmt: skip
    document_case(file, "share_batch", "2.13", "ok", "rows may share batches",
                  publish(replace(GOOD, models=(model(share_batch=True),))))  # fmt: skip
    for value, expect in ((False, "ok"), (None, "directory"), (1, "directory"), ("x", "directory")):
        document_case(file, f"share_batch {value!r}", "2.13", expect, "a boolean, or absent",
              publish({**PAYLOAD, "models": [{**plain, "share_batch": value}]}))  # fmt: skip
    file_of = {"package_sha256": "ab" * 32, "package_bytes": 1000}
    for title, changes, expect in (
        ("known", {}, "ok"),
        ("short digest", {"package_sha256": "ab"}, "directory"),
        ("no digest", {"package_sha256": None}, "directory"),
        ("no size", {"package_bytes": None}, "directory"),
        ("size of 0", {"package_bytes": 0}, "directory"),
        ("size as text", {"package_bytes": "1000"}, "directory"),
        ("size over 2^53-1", {"package_bytes": 2**53}, "directory"),
    ):
        document_case(file, f"package's file: {title}", "2.14", expect, "optional",
              publish({**PAYLOAD, "models": [{**plain, **file_of, **changes}]}))  # fmt: skip
    for kind, good, bad in (
        (RevokedKind.WORKER, "0a" * 16, "0a" * 32),
        (RevokedKind.MODEL, "0a" * 32, "0a" * 16),
        (RevokedKind.KEY, "sim-" + "0a" * 32, "0a" * 16),
    ):
        entry = Revoked(kind=kind, id=good).to_json()
        document_case(
            file, f"revoked {kind}", "2", "ok", "its id", publish({**PAYLOAD, "revoked": [entry]})
        )
        document_case(file, f"revoked {kind}: id", "2", "directory", "another's id",
              publish({**PAYLOAD, "revoked": [{**entry, "id": bad}]}))  # fmt: skip
    worker = Revoked(kind=RevokedKind.WORKER, id="0a" * 16).to_json()
    for title, until, expect in (
        ("zero", 0, "ok"),
        ("the last", 2**53 - 1, "ok"),
        ("too late", 2**53, "directory"),
        ("negative", -1, "directory"),
        ("a fraction", 1.5, "directory"),
        ("text", "1", "directory"),
        ("null", None, "directory"),
        ("a boolean", True, "directory"),
    ):
        document_case(file, f"revoked worker: until_ms {title}", "2.17", expect, "a time",
              publish({**PAYLOAD, "revoked": [{**worker, "until_ms": until}]}))  # fmt: skip
    known = {"until_ms": 1, "critical": ["until_ms"]}
    document_case(file, "revoked worker: until_ms is critical", "2.17", "ok", "it is known",
          publish({**PAYLOAD, "revoked": [{**worker, **known}]}))  # fmt: skip
    many_revoked = [Revoked(kind=RevokedKind.WORKER, id=f"{each:032x}").to_json()
                    for each in range(1025)]  # fmt: skip
    document_case(file, "1,025 revoked", "2", "directory", "one too many",
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
            ("a letter", {"critical": "m", "m": 1}),
            ("a list within", {"critical": [[]]}),
            ("17 keys", {"critical": [f"m{each}" for each in range(17)],
                         **{f"m{each}": 1 for each in range(17)}}),
        ):  # fmt: skip
            file.case(
                f"{title}: {fault}", "versions 3", "directory", "`critical` has another form",
                document=publish(made(extra)), policy=POLICY, now_ms=NOW_MS,
            )  # fmt: skip
    known = levels["models"]({"critical": ["share_batch"], "share_batch": True})
    file.case(
        "critical in models: a known key", "versions 3", "ok", "the format does not require it",
        document=publish(known), policy=POLICY, now_ms=NOW_MS,
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
    """Make the file."""
    file = document_file(
        "directory-payload.json", "Every payload is signed by the key in the evidence."
    )
    for add in (payload_cases, content_cases, version_cases):
        add(file)
    return [file]
