"""Writes statements.json and publications.json: what an owner signs, and hands over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from sealflow.attest.requirements import Requirements
from sealflow.package.container import content_key_id
from sealflow.package.publication import PublicationOrder, requirements_digest
from sealflow.wire.domain import TrustDomain
from tests.support.forging.sealing import seal_to
from tests.vectors.make.directory_parts import DOMAIN, OWNER
from tests.vectors.make.evidence_parts import NOW_MS, sealing_key, seed, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, name, time_ms
from tests.vectors.make.manifests import MANIFEST, manifest_cases
from tests.vectors.make.packages import KEY, TYPE, encoded, envelope, statement

BROKER = sealing_key("key broker")


def statement_cases(file: VectorFile) -> None:
    """Statements, each signed by its owner."""
    good = statement()

    def case(title: str, rule: str, expect: str, description: str, payload: bytes) -> None:
        signed = b"DSSEv1 %d %b %d %b" % (len(TYPE), TYPE, len(payload), payload)
        file.case(title, f"bundle {rule}", expect, description, statement=text(payload),
                  signature=text(signing_key("owner").sign(signed)), signer=OWNER)  # fmt: skip

    case("good", "4.1", "ok", "as its owner signed it", encoded(good))
    predicate = good["predicate"]
    resources = predicate["resources"]

    def within(**changes: Any) -> bytes:
        return encoded({**good, "predicate": {**predicate, **changes}})

    tops = {"_type": ("https://in-toto.io/Statement/v0", 7), "subject": ([], "x", None),
            "predicateType": ("x", 7), "predicate": ("x", None, {})}  # fmt: skip
    for title, changed in field_faults(good, tops):
        case(title, "4.1", "bundle", "not its form", encoded(changed))
    inner = {"serialization": ({}, "x"), "resources": ("x", {}, []),
             "sealflow_manifest": ({}, "x"), "sealflow_content_key": digest}  # fmt: skip
    for title, changed in field_faults(predicate, inner):
        case(f"predicate: {title}", "4.1", "bundle", "not its form",
             encoded({**good, "predicate": changed}))  # fmt: skip
    items = {"name": ("", "../x", 7), "algorithm": ("md5", 7), "digest": digest,
             "size": (-1, "1", True, 1.5)}  # fmt: skip
    for title, changed in field_faults(resources[0], items):
        case(f"file: {title}", "4.2", "bundle", "not its form",
             within(resources=[changed, *resources[1:]]))  # fmt: skip
    subject = {"name": good["subject"][0]["name"], "digest": {"sha256": "ab" * 32}}
    for title, payload, description in (
        ("unknown key", encoded({**good, "more": 1}), "a closed format"),
        ("unknown key of the predicate", within(more=1), "a closed format"),
        ("unknown key of a file", within(resources=[{**resources[0], "more": 1}, *resources[1:]]),
         "a closed format"),
        ("subject's digest", encoded({**good, "subject": [subject]}), "not that of the files"),
        ("subject's name", encoded({**good, "subject": [{**good["subject"][0], "name": "n"}]}),
         "not the manifest's"),
        ("symlinks", within(serialization={**predicate["serialization"], "allow_symlinks": True}),
         "none is followed"),
        ("order", within(resources=resources[::-1]), "in the order of their paths"),
        ("file missing", within(resources=resources[:-1]), "exactly the manifest's"),
        ("file more", within(resources=[*resources, {**resources[0], "name": "z"}]),
         "exactly the manifest's"),
        ("file twice", within(resources=[resources[0], *resources]), "each once"),
        ("manifest's digest", within(resources=[
            {**each, "digest": "ab" * 32} if each["name"] == "manifest.json" else each
            for each in resources]), "not that of the manifest within"),
        ("manifest's size", within(resources=[
            {**each, "size": 1} if each["name"] == "manifest.json" else each
            for each in resources]), "not that of the manifest within"),
        ("spaces", json.dumps(good, sort_keys=True).encode(), "there is one form"),
        ("order of keys", json.dumps(good, separators=(",", ":")).encode() + b"\n",
         "there is one form"),
        ("not JSON", b"{", "nothing"),
    ):  # fmt: skip
        case(title, "4.7", "bundle", description, payload)
    big = 4 * 2**30
    for title, size, expect in (("4 GiB", big - 10_000, "ok"), ("over 4 GiB", big, "bundle")):
        changed = [{**each, "size": size} if each["name"] == "model.onnx" else each
                   for each in resources]  # fmt: skip
        case(title, "4.3", expect, "what the sizes add up to", within(resources=changed))
    fox = "\U0001f98a" * 252
    for count, expect in ((42, "ok"), (43, "bundle")):
        tensors = [
            {**MANIFEST["inputs"][0], "name": f"{fox}{number:04}"} for number in range(count)
        ]
        found = {**MANIFEST, "inputs": tensors, "outputs": tensors}
        case(f"of {count} long names", "4.1", expect, "at most 256 KiB", _of_manifest(found))
    manifest_cases(lambda title, rule, expect, words, found: case(
        f"manifest: {title}", rule, expect, words, _of_manifest(found)))  # fmt: skip


def _of_manifest(found: dict[str, Any]) -> bytes:
    """A statement that says the same about a manifest that may be malformed."""
    good = statement()
    written = encoded(found)
    names = [found.get("file"), found.get("labels"), "manifest.json"]
    if found.get("format") == "openvino" and isinstance(found.get("file"), str):
        names.append(found["file"].removesuffix(".xml") + ".bin")
    listed = sorted({each for each in names if isinstance(each, str)}, key=lambda n: n.split("/"))
    resources = [
        {
            "name": each,
            "algorithm": "sha256",
            "size": len(written) if each == "manifest.json" else 4,
            "digest": hashlib.sha256(written if each == "manifest.json" else b"abcd").hexdigest(),
        }
        for each in listed
    ]
    joined = b"".join(bytes.fromhex(each["digest"]) for each in resources)
    subject = {"name": found.get("name"), "digest": {"sha256": hashlib.sha256(joined).hexdigest()}}
    predicate = {**good["predicate"], "resources": resources, "sealflow_manifest": found}
    return encoded({**good, "subject": [subject], "predicate": predicate})


def publication_cases(file: VectorFile) -> None:
    """What an owner seals to a key broker."""
    payload = encoded(statement())
    signed = json.loads(envelope(payload))["signatures"][0]["sig"]
    demands = Requirements(measurements=frozenset({"11" * 32}))
    order = PublicationOrder(
        deployment="test", log_id="0f" * 32, counter=NOW_MS,
        digest=hashlib.sha256(payload).hexdigest(), package_sha256="ab" * 32, package_bytes=1000,
        workers=None, default=True, signer=OWNER,
    )  # fmt: skip
    plain = {
        "content_key": text(KEY), "signature": signed, "signer": OWNER,
        "statement": text(payload), "workers": None,
    }  # fmt: skip

    def ordered(text_: bytes, signer: str = "owner", domain: TrustDomain = DOMAIN,
                label: str = "publication order") -> dict[str, str]:  # fmt: skip
        signature = signing_key(signer).sign(domain.label(label) + text_)
        return {"order": text(text_), "order_signature": text(signature)}

    good: dict[str, Any] = {"format": 2, **plain, **ordered(order.to_bytes())}
    former = {"format": 1, **plain, "issued_ms": NOW_MS}

    def case(title: str, expect: str, description: str, value: Any, label: str = "publish",
             domain: TrustDomain = DOMAIN) -> None:  # fmt: skip
        inside = value if isinstance(value, bytes) else encoded(value)
        sealed = seal_to(BROKER, domain.label(label), inside, "publication")
        file.case(title, "bundle 6.2", expect, description, suite=int(BROKER.suite),
                  seed=BROKER.seed.hex(), sealed=text(sealed))  # fmt: skip

    case("good", "ok", "genuine", good)
    asked = replace(order, workers=requirements_digest(demands))
    workers = {"measurements": ["11" * 32]}
    case("with demands", "ok", "genuine",
         {**good, **ordered(asked.to_bytes()), "workers": workers})  # fmt: skip
    case("format 1", "ok", "of earlier releases", former)
    case("format 1 with demands", "ok", "of earlier releases", {**former, "workers": workers})
    case("format 1 with an order", "publication", "a closed format", {**former, **ordered(b"{}")})
    for title, more in (
        ("demands taken away", ordered(asked.to_bytes())),
        ("demands added", {"workers": workers}),
        ("another package", ordered(replace(order, digest="ab" * 32).to_bytes())),
        ("by a stranger", ordered(order.to_bytes(), "stranger")),
        ("of a stranger", ordered(replace(order, signer="ab" * 32).to_bytes())),
        ("of the other domain", ordered(order.to_bytes(), domain=TrustDomain.HARDWARE)),
        ("of another purpose", ordered(order.to_bytes(), label="order")),
    ):
        case(f"order: {title}", "bundle", "not what the owner ordered", {**good, **more})
    inner: dict[str, Any] = json.loads(order.to_bytes())
    number = ("1", 0, -1, True, None)
    order_forms = {"deployment": name, "history": digest, "counter": time_ms, "digest": digest,
                   "package_bytes": number, "package_sha256": digest, "workers": ("x", 7, {}),
                   "default": ("x", 7, None), "signer": digest}  # fmt: skip
    for title, changed in field_faults(inner, order_forms):
        case(f"order: {title}", "publication", "not its form",
             {**good, **ordered(encoded(changed))})  # fmt: skip
    case("order: unknown key", "publication", "a closed format",
         {**good, **ordered(encoded({**inner, "more": 1}))})  # fmt: skip
    case("order: format 2", "format", "another format",
         {**good, **ordered(encoded({**inner, "format": 2}))})  # fmt: skip
    case("label", "open_failed", "sealed for another purpose", good, label="grant")
    case("domain", "open_failed", "of the other trust domain", good, domain=TrustDomain.HARDWARE)
    bad = "publication"
    for size in (31, 33):
        key = KEY.ljust(33, b"\0")[:size]
        found = statement()
        found["predicate"]["sealflow_content_key"] = content_key_id(key, DOMAIN)
        other = encoded(found)
        fitting = {"statement": text(other), "content_key": text(key),
                   "signature": json.loads(envelope(other))["signatures"][0]["sig"]}  # fmt: skip
        case(f"content key of {size} bytes", bad, "32 bytes", {**good, **fitting})
    forms = {"content_key": ("%", 7), "order": ("%", 7, None), "order_signature": ("%", 7, None),
             "signature": ("%", 7, None), "signer": digest, "statement": ("%", 7, None),
             "workers": ("x", {}, 7, {"measurements": ["11"]})}  # fmt: skip
    for title, changed in field_faults(good, forms):
        case(title, bad, "not its form", changed)
    for title, changed in (
        ("unknown key", {**good, "more": 1}),
        ("unknown demand", {**good, "workers": {"measurements": ["11" * 32], "more": 1}}),
        ("no format", {k: v for k, v in good.items() if k != "format"}),
        ("a list", b"[]"),
    ):
        case(title, bad, "a closed format", changed)
    for wrong in time_ms:
        case(f"format 1: {wrong!r}", bad, "not its form", {**former, "issued_ms": wrong})
    case("format 3", "format", "another format", {**good, "format": 3})
    stranger = signing_key("stranger").public_key().public_bytes_raw().hex()
    case("signer of another", "bundle", "it did not sign", {**good, "signer": stranger})
    case("signature of another", "bundle", "not over this statement",
         {**good, "signature": text(signing_key("owner").sign(b"other"))})  # fmt: skip
    case("content key of another", "open_failed", "not that of the statement",
         {**good, "content_key": text(seed("other"))})  # fmt: skip


def files() -> list[VectorFile]:
    """Make the files."""
    statements = VectorFile(
        path="statements.json",
        description="Statements with their owner's signature over the DSSE encoding; the manifest "
        "is within.",
    )
    publications = VectorFile(
        path="publications.json",
        description="What an owner seals to a key broker, whose key is `suite` and `seed`.",
    )
    statement_cases(statements)
    publication_cases(publications)
    return [statements, publications]
