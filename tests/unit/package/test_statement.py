"""Signed statements: one form, all files, one signature."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.errors import BundleError
from sealflow.package.container import seal_package
from sealflow.package.manifest import ModelManifest
from sealflow.package.statement import (
    MAX_MODEL_BYTES,
    MAX_STATEMENT_BYTES,
    Statement,
    encode_envelope,
    sign_statement,
    statement_digest,
    unverified_decode_envelope,
    verify_statement,
)
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Ed25519PrivateKey.generate()
SIGNER = KEY.public_key().public_bytes_raw().hex()
MANIFEST = ModelManifest.from_json(
    {
        "name": "m",
        "version": "1",
        "format": "openvino",
        "file": "ir/model.xml",
        "labels": "ir-labels.txt",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        "max_batch": 8,
    }
)
FILES = {"ir/model.xml": b"<net/>", "ir/model.bin": b"weights", "ir-labels.txt": b"a\nb"}
STATEMENT = Statement.describe(MANIFEST, FILES, "ab" * 32)
PAYLOAD = STATEMENT.to_bytes()


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The statement with a change, still in canonical JSON."""
    value = json.loads(PAYLOAD)
    change(value)
    return canonical_json(value)


def test_a_signed_statement_comes_back() -> None:
    """The signer's statement and no other."""
    assert verify_statement(PAYLOAD, sign_statement(PAYLOAD, KEY), SIGNER) == STATEMENT
    assert statement_digest(PAYLOAD) == hashlib.sha256(PAYLOAD).hexdigest()


def test_the_statement_is_one_of_model_signing() -> None:
    """In-toto, with a digest over all files' digests, in the order of their paths' parts."""
    value = json.loads(PAYLOAD)
    resources = value["predicate"]["resources"]
    assert [each["name"] for each in resources] == [
        "ir/model.bin",
        "ir/model.xml",
        "ir-labels.txt",
        "manifest.json",
    ]
    whole = {**FILES, "manifest.json": MANIFEST.to_bytes()}
    for each in resources:
        content = whole[each["name"]]
        assert each["digest"] == hashlib.sha256(content).hexdigest()
        assert each["size"] == len(content)
    digests = b"".join(bytes.fromhex(each["digest"]) for each in resources)
    (subject,) = value["subject"]
    assert subject == {"name": "m", "digest": {"sha256": hashlib.sha256(digests).hexdigest()}}
    assert value["predicateType"] == "https://model_signing/signature/v1.0"


def test_the_signature_is_that_of_dsse() -> None:
    """Ed25519 over the pre-authentication encoding, computed here by hand."""
    kind = b"application/vnd.in-toto+json"
    encoding = b"DSSEv1 28 " + kind + b" " + str(len(PAYLOAD)).encode() + b" " + PAYLOAD
    KEY.public_key().verify(sign_statement(PAYLOAD, KEY), encoding)


@pytest.mark.parametrize("names", [[], ["ir/model.xml"], [*FILES, "more"], [*FILES, "../x"]])
def test_a_statement_is_over_exactly_the_manifests_files(names: list[str]) -> None:
    """Neither one too few nor one too many."""
    with pytest.raises(BundleError, match="exactly"):
        Statement.describe(MANIFEST, dict.fromkeys(names, b""), "ab" * 32)


@pytest.mark.parametrize(
    "signer",
    [Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex(), "", "0" * 63],
    ids=["another", "none", "short"],
)
def test_another_signer_is_refused(signer: str) -> None:
    """Also one that is no key."""
    with pytest.raises(BundleError):
        verify_statement(PAYLOAD, sign_statement(PAYLOAD, KEY), signer)


@pytest.mark.parametrize("signature", [b"", bytes(64), b"x" * 63, b"x" * 65])
def test_another_signature_is_refused(signature: bytes) -> None:
    """Also one that is no signature."""
    with pytest.raises(BundleError):
        verify_statement(PAYLOAD, signature, SIGNER)


def test_an_unsigned_change_is_refused() -> None:
    """Every byte of the statement is signed."""
    signature = sign_statement(PAYLOAD, KEY)
    for at in range(len(PAYLOAD)):
        changed = bytearray(PAYLOAD)
        changed[at] ^= 1
        with pytest.raises(BundleError):
            verify_statement(bytes(changed), signature, SIGNER)


def _resources(value: dict[str, Any]) -> list[Any]:
    resources = value["predicate"]["resources"]
    assert isinstance(resources, list)
    return resources


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "type": lambda it: it.update(_type="https://in-toto.io/Statement/v0.1"),
    "predicate type": lambda it: it.update(predicateType="x"),
    "unknown key": lambda it: it.update(more=1),
    "no predicate": lambda it: it.pop("predicate"),
    "predicate is a list": lambda it: it.update(predicate=[]),
    "two subjects": lambda it: it["subject"].append(it["subject"][0]),
    "subject's digest": lambda it: it["subject"][0].update(digest={"sha256": "0" * 64}),
    "unknown key in the predicate": lambda it: it["predicate"].update(more=1),
    "serialization": lambda it: it["predicate"]["serialization"].update(allow_symlinks=True),
    "no resources": lambda it: it["predicate"].pop("resources"),
    "resources are an object": lambda it: it["predicate"].update(resources={}),
    "a resource is a list": lambda it: _resources(it).__setitem__(0, []),
    "no key id": lambda it: it["predicate"].pop("sealflow_content_key"),
    "a key id of another form": lambda it: it["predicate"].update(sealflow_content_key="AB" * 32),
    "no manifest": lambda it: it["predicate"].pop("sealflow_manifest"),
    "another manifest": lambda it: it["predicate"]["sealflow_manifest"].update(version="2"),
    "a contradictory manifest": lambda it: it["predicate"]["sealflow_manifest"].update(max_batch=0),
    "a manifest in another form": lambda it: it["predicate"]["sealflow_manifest"].pop("image"),
    "reordered files": lambda it: _resources(it).reverse(),
    "a file too few": lambda it: _resources(it).pop(0),
    "a file twice": lambda it: _resources(it).insert(0, _resources(it)[0]),
    "a way out": lambda it: _resources(it)[0].update(name="../model.bin"),
    "a name that is none": lambda it: _resources(it)[0].update(name=1),
    "another algorithm": lambda it: _resources(it)[0].update(algorithm="md5"),
    "an unknown key in a file": lambda it: _resources(it)[0].update(more=1),
    "a digest that is none": lambda it: _resources(it)[0].update(digest="x"),
    "a negative size": lambda it: _resources(it)[0].update(size=-1),
    "a size that is true": lambda it: _resources(it)[0].update(size=True),
    "a size with a fraction": lambda it: _resources(it)[0].update(size=7.0),
    "a size over the limit": lambda it: _resources(it)[0].update(size=MAX_MODEL_BYTES),
    "a huge size": lambda it: _resources(it)[0].update(size=10**19),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_its_owner_signed_wrongly_is_refused_too(change: str) -> None:
    """A genuine signature makes no statement out of what is none."""
    payload = altered(CHANGES[change])
    assert payload != PAYLOAD
    with pytest.raises(BundleError):
        verify_statement(payload, sign_statement(payload, KEY), SIGNER)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", PAYLOAD + b" ", b" " + PAYLOAD])
def test_there_is_one_form(payload: bytes) -> None:
    """The digest names the bytes, so equal statements have equal bytes."""
    with pytest.raises(BundleError):
        Statement.unverified_from_bytes(payload)
    with pytest.raises(BundleError):
        Statement.unverified_from_bytes(json.dumps(json.loads(PAYLOAD)).encode())


def test_a_statement_has_a_limit() -> None:
    """Checked before anything is parsed."""
    with pytest.raises(BundleError, match="over"):
        Statement.unverified_from_bytes(b"[" * (MAX_STATEMENT_BYTES + 1))


def test_a_statement_that_no_reader_takes_is_not_written() -> None:
    """Writers have the same limit."""
    value = {**MANIFEST.to_json(), "format": "onnx", "file": "model.onnx", "labels": None}
    owner = OpeningKey.generate(Suite.X25519).public_key
    for letter, fits in (("y", True), ("\U0001f600", False)):
        specs = [
            {"name": f"{n}{letter * 250}", "datatype": "FP32", "shape": [-1]} for n in range(64)
        ]
        large = ModelManifest.from_json({**value, "inputs": specs, "outputs": specs})
        if fits:
            seal_package(large, {"model.onnx": b""}, signing=KEY, sealing=owner)
            continue
        with pytest.raises(BundleError, match="over"):
            seal_package(large, {"model.onnx": b""}, signing=KEY, sealing=owner)


SIGNATURE = sign_statement(PAYLOAD, KEY)
ENVELOPE = encode_envelope(PAYLOAD, SIGNATURE, SIGNER)


def test_an_envelope_comes_back() -> None:
    """Payload, signature and signer."""
    assert unverified_decode_envelope(ENVELOPE) == (PAYLOAD, SIGNATURE, SIGNER)


def _entry(**changes: object) -> dict[str, object]:
    return {"keyid": SIGNER, "sig": b64encode(SIGNATURE).decode(), **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": 1},
        {"payload": "!"},
        {"payload": "ä"},
        {"payload": b64encode(PAYLOAD).decode() + "\n"},
        {"payloadType": "text/plain"},
        {"more": 1},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": [1]},
        {"signatures": [_entry(), _entry()]},
        {"signatures": [_entry(keyid="")]},
        {"signatures": [_entry(keyid=SIGNER.upper() + "A")]},
        {"signatures": [_entry(sig=None)]},
        {"signatures": [_entry(sig="AA")]},
        {"signatures": [_entry(more=1)]},
    ],
)
def test_an_envelope_of_another_form_is_refused(changes: dict[str, object]) -> None:
    """One signature, standard base64, no more keys."""
    with pytest.raises(BundleError):
        unverified_decode_envelope(canonical_json({**json.loads(ENVELOPE), **changes}))


@pytest.mark.parametrize("data", [b"", b"[]", ENVELOPE + b"\n", ENVELOPE.replace(b":", b": ", 1)])
def test_an_envelope_of_other_bytes_is_refused(data: bytes) -> None:
    """Blanks and trailing bytes are a change of the package."""
    with pytest.raises(BundleError):
        unverified_decode_envelope(data)
