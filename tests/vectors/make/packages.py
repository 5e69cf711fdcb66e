"""Writes packages.json, statements.json and publications.json: models as their owner packs them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.attest.suites import SuiteName
from sealflow.package.container import content_key_id
from sealflow.package.manifest import ModelManifest
from sealflow.package.statement import Statement
from sealflow.seal.keys import Suite
from sealflow.wire.domain import TrustDomain, length_prefixed
from tests.support.forging.sealing import drawn, seal_chunks, seal_to
from tests.vectors.make.directory_parts import DOMAIN, OWNER
from tests.vectors.make.evidence_parts import NOW_MS, sealing_key, seed, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, time_ms
from tests.vectors.make.manifests import MANIFEST, manifest_cases

FILES = {"model.onnx": bytes(range(256)) * 2, "labels.txt": b"a\nb\n"}
KEY = seed("content key")
TYPE = b"application/vnd.in-toto+json"
BROKER = sealing_key("key broker")


def encoded(value: Any) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def statement(domain: TrustDomain = DOMAIN) -> dict[str, Any]:
    """The statement of a small package."""
    manifest = ModelManifest.from_json(MANIFEST)
    made = Statement.describe(manifest, FILES, content_key_id(KEY, domain))
    value: dict[str, Any] = json.loads(made.to_bytes())
    return value


def envelope(payload: bytes, signer: str = "owner", keyid: str = OWNER, **changes: Any) -> bytes:
    """The signed envelope of a statement."""
    signed = b"DSSEv1 %d %b %d %b" % (len(TYPE), TYPE, len(payload), payload)
    signature = text(signing_key(signer).sign(signed))
    value = {
        "payloadType": TYPE.decode(),
        "payload": text(payload),
        "signatures": [{"keyid": keyid, "sig": signature}],
        **changes,
    }
    return encoded(value)


class Parts:
    """A package part by part; each may be another one than belongs there."""

    def __init__(self, payload: bytes | None = None, domain: TrustDomain = DOMAIN) -> None:
        """Pack the small model."""
        self.payload = encoded(statement(domain)) if payload is None else payload
        self.domain = domain
        self.digest = hashlib.sha256(self.payload).digest()
        owner = sealing_key("owner", Suite.for_domain(domain, SuiteName.X25519))
        info = domain.label("bundle owner key") + length_prefixed(self.digest)
        self.wrapped = seal_to(owner, info, KEY, "package")
        self.envelope = envelope(self.payload)
        contents = {**FILES, "manifest.json": encoded(json.loads(self.payload)["predicate"][
            "sealflow_manifest"])}  # fmt: skip
        self.files = {name: self.seal(name, contents[name]) for name in sorted(contents)}

    def seal(self, name: str, content: bytes, *, as_name: str = "", key: bytes = KEY) -> bytes:
        """Seal a file under a name."""
        bound = (self.digest, hashlib.sha256(self.wrapped).digest(), (as_name or name).encode())
        label = self.domain.label("bundle file context")
        context = hashlib.sha256(label + length_prefixed(*bound)).digest()
        info = self.domain.label("bundle file key") + context
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)
        return seal_chunks(derived, context, content, drawn(f"file {name}", 24))

    def package(self) -> bytes:
        """The whole."""
        return (
            b"SFB1" + length_prefixed(self.envelope, self.wrapped) + b"".join(self.files.values())
        )


def package_cases(file: VectorFile) -> None:
    """The container, and the files within."""
    good = Parts()

    def case(title: str, rule: str, expect: str, description: str, package: bytes,
             **more: Any) -> None:  # fmt: skip
        inputs = {"signer": OWNER, "digest": good.digest.hex(), "content_key": KEY.hex(), **more}
        file.case(title, f"bundle {rule}", expect, description, domain="simulated",
                  package=text(package), **inputs)  # fmt: skip

    whole = good.package()
    case("good", "5.4", "ok", "as its owner packed it", whole,
         files={name: text(content) for name, content in FILES.items()})  # fmt: skip
    case("no digest asked for", "5.4", "ok", "the signer alone", whole, digest=None)
    case("another digest", "5.4", "bundle", "not the one asked for", whole, digest="ab" * 32)
    stranger = signing_key("stranger").public_key().public_bytes_raw().hex()
    case("another signer", "4.7", "bundle", "not the one asked for", whole, signer=stranger)
    case("another content key", "4.5", "open_failed", "not that of the statement", whole,
         content_key="ab" * 32)  # fmt: skip
    end = len(whole) - sum(map(len, good.files.values()))
    for title, bent, expect in (
        ("empty", b"", "bundle"),
        ("magic", b"SFB2" + whole[4:], "bundle"),
        ("cut", whole[:-1], "bundle"),
        ("longer", whole + b"\0", "bundle"),
        ("envelope's length", whole[:4] + b"\xff" + whole[5:], "bundle"),
        ("wrapped key's length", _put(whole, 8 + len(good.envelope), 255), "bundle"),
        ("envelope alone", whole[: 8 + len(good.envelope)], "bundle"),
        ("wrapped key changed", _put(whole, end - 1), "open_failed"),
        ("first chunk changed", _put(whole, end + 60), "open_failed"),
        ("last tag changed", _put(whole, len(whole) - 1), "open_failed"),
    ):
        case(title, "1.5", expect, "every byte counts", bent)
    forged = Parts()
    forged.envelope = envelope(good.payload, signer="stranger")
    case("signed by another", "4.6", "bundle", "the name is right, the signature is not",
         forged.package())  # fmt: skip
    labelled = Parts()
    signature = signing_key("owner").sign(good.payload)
    labelled.envelope = envelope(good.payload, signatures=[
        {"keyid": OWNER, "sig": text(signature)}])  # fmt: skip
    case("signed without its frame", "4.6", "bundle", "not the form of DSSE", labelled.package())
    first, second = "labels.txt", "model.onnx"
    swapped = Parts()
    swapped.files[second] = swapped.seal(second, FILES[second], as_name=first)
    case(
        "a file under another's name", "5.3", "open_failed", "the path is bound", swapped.package()
    )
    other = Parts()
    other.files[second] = other.seal(second, bytes(512))
    case("another file", "5.4", "bundle", "its hash is not the signed one", other.package())
    short = Parts()
    short.files[second] = short.seal(second, FILES[second][:-1])
    case(
        "a shorter file", "1.4", "bundle", "the lengths follow from the statement", short.package()
    )
    hardware = Parts(domain=TrustDomain.HARDWARE)
    case("of hardware", "5.5", "open_failed", "of the other trust domain", hardware.package(),
         digest=hardware.digest.hex())  # fmt: skip
    _envelope_cases(case, good)


def _envelope_cases(case: Any, good: Parts) -> None:
    value = json.loads(good.envelope)
    [signature] = value["signatures"]
    for title, bent in (
        ("spaces", json.dumps(value, sort_keys=True).encode()),
        ("unknown key", encoded({**value, "more": 1})),
        ("no signature", encoded({**value, "signatures": []})),
        ("two signatures", encoded({**value, "signatures": [signature, signature]})),
        ("payload type", encoded({**value, "payloadType": "text/plain"})),
        ("unknown key of the signature", encoded({**value, "signatures": [{**signature, "more": 1}]})),
        ("keyid", encoded({**value, "signatures": [{**signature, "keyid": "AB" * 32}]})),
        *((f"no {key}", encoded({k: v for k, v in value.items() if k != key})) for key in value),
        ("not JSON", b"{"),
        ("empty", b""),
    ):  # fmt: skip
        parts = Parts()
        parts.envelope = bent
        case(f"envelope: {title}", "4.7", "bundle", "not its one form", parts.package())


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
        {"name": each, "algorithm": "sha256", "size": len(written) if each == "manifest.json" else 4,
         "digest": hashlib.sha256(written if each == "manifest.json" else b"abcd").hexdigest()}
        for each in listed
    ]  # fmt: skip
    joined = b"".join(bytes.fromhex(each["digest"]) for each in resources)
    subject = {"name": found.get("name"), "digest": {"sha256": hashlib.sha256(joined).hexdigest()}}
    predicate = {**good["predicate"], "resources": resources, "sealflow_manifest": found}
    return encoded({**good, "subject": [subject], "predicate": predicate})


def publication_cases(file: VectorFile) -> None:
    """What an owner seals to a key broker."""
    payload = encoded(statement())
    signed = json.loads(envelope(payload))["signatures"][0]["sig"]
    good = {
        "format": 1, "content_key": text(KEY), "issued_ms": NOW_MS, "signature": signed,
        "signer": OWNER, "statement": text(payload), "workers": None,
    }  # fmt: skip

    def case(title: str, expect: str, description: str, value: Any, label: str = "publish",
             domain: TrustDomain = DOMAIN) -> None:  # fmt: skip
        inside = value if isinstance(value, bytes) else encoded(value)
        sealed = seal_to(BROKER, domain.label(label), inside, "publication")
        file.case(title, "bundle 6.2", expect, description, suite=int(BROKER.suite),
                  seed=BROKER.seed.hex(), sealed=text(sealed))  # fmt: skip

    case("good", "ok", "genuine", good)
    case("with demands", "ok", "genuine", {**good, "workers": {"measurements": ["11" * 32]}})
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
    forms = {"content_key": ("%", 7), "issued_ms": time_ms,
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
    case("format 2", "format", "another format", {**good, "format": 2})
    stranger = signing_key("stranger").public_key().public_bytes_raw().hex()
    case("signer of another", "bundle", "it did not sign", {**good, "signer": stranger})
    case("signature of another", "bundle", "not over this statement",
         {**good, "signature": text(signing_key("owner").sign(b"other"))})  # fmt: skip
    case("content key of another", "open_failed", "not that of the statement",
         {**good, "content_key": text(seed("other"))})  # fmt: skip


def _put(data: bytes, at: int, value: int | None = None) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 if value is None else value]) + data[at + 1 :]


def files() -> list[VectorFile]:
    """Make the files."""
    packages = VectorFile(
        path="packages.json",
        description="Packages, the signer and the digest that a worker asks for (null: any), and "
        "the content key that it was granted.",
    )
    statements = VectorFile(
        path="statements.json",
        description="Statements with their owner's signature over the DSSE encoding; the manifest "
        "is within.",
    )
    publications = VectorFile(
        path="publications.json",
        description="What an owner seals to a key broker, whose key is `suite` and `seed`.",
    )
    package_cases(packages)
    statement_cases(statements)
    publication_cases(publications)
    return [packages, statements, publications]
