"""Writes packages.json: models as their owner packs and seals them."""

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
from tests.vectors.make.evidence_parts import sealing_key, seed, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.manifests import MANIFEST
from tests.vectors.make.spellings import BAD_BASE64

FILES = {"model.onnx": bytes(range(256)) * 2, "labels.txt": b"a\nb\n"}
KEY = seed("content key")
TYPE = b"application/vnd.in-toto+json"


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

    def __init__(self, domain: TrustDomain = DOMAIN, wrapped: bytes | None = None) -> None:
        """Pack the small model."""
        self.payload = encoded(statement(domain))
        self.domain = domain
        self.digest = hashlib.sha256(self.payload).digest()
        owner = sealing_key("owner", Suite.for_domain(domain, SuiteName.X25519))
        info = domain.label("bundle owner key") + length_prefixed(self.digest)
        self.wrapped = seal_to(owner, info, KEY, "package") if wrapped is None else wrapped
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
    fresh = Parts()
    fresh.files = {name: fresh.seal(name, each, key=seed("fresh")) for name, each in (
        ("labels.txt", FILES["labels.txt"]), ("manifest.json", encoded(MANIFEST)),
        ("model.onnx", FILES["model.onnx"]))}  # fmt: skip
    case("sealed with another key", "4.5", "open_failed", "that key opens them, and is not the one "
         "in the statement", fresh.package(), content_key=seed("fresh").hex())  # fmt: skip
    for size, expect in ((4096, "ok"), (4097, "bundle")):
        wide = Parts(wrapped=bytes(size))
        case(f"wrapped key of {size} bytes", "1.3", expect, "at most 4,096", wide.package())
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
        (
            "unknown key of the signature",
            encoded({**value, "signatures": [{**signature, "more": 1}]}),
        ),
        ("keyid", encoded({**value, "signatures": [{**signature, "keyid": "AB" * 32}]})),
        *((f"no {key}", encoded({k: v for k, v in value.items() if k != key})) for key in value),
        *(
            (f"payload: {fault}", encoded({**value, "payload": bend(value["payload"])}))
            for fault, bend, _ in BAD_BASE64
            if value["payload"].endswith("==")
        ),
        *(
            (
                f"sig: {fault}",
                encoded({**value, "signatures": [{**signature, "sig": bend(signature["sig"])}]}),
            )
            for fault, bend, _ in BAD_BASE64
        ),
        (
            "sig: 63 bytes",
            encoded({**value, "signatures": [{**signature, "sig": text(bytes(63))}]}),
        ),
        ("signature: text", encoded({**value, "signatures": ["x"]})),
        ("signatures: table", encoded({**value, "signatures": signature})),
        ("not JSON", b"{"),
        ("empty", b""),
    ):
        parts = Parts()
        parts.envelope = bent
        case(f"envelope: {title}", "4.7", "bundle", "not its one form", parts.package())


def _put(data: bytes, at: int, value: int | None = None) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 if value is None else value]) + data[at + 1 :]


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="packages.json",
        description="Packages, the signer and the digest that a worker asks for (null: any), and "
        "the content key that it was granted.",
    )
    package_cases(file)
    return [file]
