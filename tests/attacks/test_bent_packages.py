"""Attacks by owners: packages that are signed and sealed well, with one fault in what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.package.manifest import (
    MAX_BATCH,
    MAX_LABEL_CHARACTERS,
    MAX_LABELS,
    MAX_SPECS,
    ModelManifest,
    check_path,
    parse_labels,
)
from sealflow.package.publication import open_publication
from sealflow.package.statement import (
    MAX_MODEL_BYTES,
    MAX_STATEMENT_BYTES,
    Statement,
    encode_envelope,
    sign_statement,
    unverified_decode_envelope,
    verify_statement,
)
from sealflow.seal.chunked import KEY_BYTES
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.models.package_parts import (
    FILES,
    KEY,
    MANIFEST,
    OWNER,
    PACKAGE,
    SIGNER,
    join_package,
    open_package,
    sign_changed,
    split_package,
    verified_package,
)
from tests.support.models.publications import sealed_publication

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = verified_package().payload
FP32 = {"name": "x", "datatype": "FP32", "shape": [-1, 3, 2, 4]}
IMAGE = {"input": "x", "width": 4, "height": 2}
GOOD: dict[str, Any] = MANIFEST.to_json() | {
    "inputs": [FP32],
    "image": IMAGE,
    "classification": {"output": "y"},
}


def spec(**changes: Any) -> list[dict[str, Any]]:
    """The input, changed."""
    return [FP32 | changes]


def outputs(**changes: Any) -> list[dict[str, Any]]:
    """The output, changed."""
    return [{"name": "y", "datatype": "FP32", "shape": [-1, 4]} | changes]


MANIFESTS: list[tuple[dict[str, Any], str]] = [
    ({"file": "model.onnx"}, "does not end with .xml"),
    ({"labels": "model.bin"}, "two files have the same name"),
    ({"labels": "manifest.json"}, "two files have the same name"),
    ({"labels": "../x"}, "relative path"),
    ({"inputs": [], "image": None}, "inputs is not a list of 1 to 64"),
    ({"inputs": [FP32, FP32]}, "inputs is not a list of 1 to 64 tensors with different names"),
    ({"outputs": outputs() * 2}, "outputs is not a list of 1 to 64 tensors with different names"),
    ({"inputs": spec(shape=[1, 3, 2, 4])}, "must start with -1"),
    ({"outputs": outputs(shape=[])}, "must start with -1"),
    ({"image": IMAGE | {"input": "z"}}, "image z is not an input"),
    ({"inputs": spec(datatype="INT64")}, "image x is not an input"),
    ({"inputs": spec(shape=[-1, 3, 2])}, "does not fit the shape"),
    ({"inputs": spec(shape=[-1, 3, 4, 2])}, "does not fit the shape"),
    ({"classification": {"output": "z"}}, "classification z is not an output"),
    ({"outputs": outputs(datatype="BYTES")}, "classification y is not an output"),
    ({"max_batch": 1, "outputs": outputs(shape=[])}, "classification y is not an output"),
    ({"image": IMAGE | {"input": ""}}, "image: input"),
    ({"image": IMAGE | {"width": 0}}, "width or height"),
    ({"image": IMAGE | {"height": 8193}}, "width or height"),
    ({"image": IMAGE | {"crop": 0}}, "crop"),
    ({"image": IMAGE | {"crop": 1.5}}, "crop"),
    ({"image": IMAGE | {"crop": "1"}}, "crop is not a number"),
    ({"image": IMAGE | {"crop": True}}, "crop is not a number"),
    ({"image": IMAGE | {"mean": 1}}, "mean is not a list of 3"),
    ({"image": IMAGE | {"mean": [0, 0]}}, "mean is not a list of 3"),
    ({"image": IMAGE | {"scale": [1, 1, 0]}}, "a scale is 0"),
    ({"image": IMAGE | {"mean": [0, 0, 10**400]}}, "mean is too large"),
    ({"image": IMAGE | {"mean": [0, 0, float("inf")]}}, "not finite"),
]

MADE: list[tuple[dict[str, Any], str]] = [
    ({"name": ".."}, "name"),
    ({"version": ".."}, "name"),
    ({"file": "/model.xml"}, "relative path"),
    ({"max_batch": 0}, "max_batch is not 1"),
    ({"max_batch": MAX_BATCH + 1}, "max_batch is not 1"),
    ({"inputs": tuple(replace(MANIFEST.inputs[0], name=f"x{at}") for at in range(MAX_SPECS + 1))},
     "inputs is not a list"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error"), MANIFESTS)
def test_manifests(change: dict[str, Any], error: str) -> None:
    """A manifest that contradicts itself is refused by name of what does."""
    ModelManifest.from_json(GOOD)
    with pytest.raises(MalformedError, match=error):
        ModelManifest.from_json(GOOD | change)


@pytest.mark.parametrize(("change", "error"), MADE)
def test_made_manifests(change: dict[str, Any], error: str) -> None:
    """No manifest exists that breaks a rule, wherever it comes from."""
    with pytest.raises(MalformedError, match=error):
        replace(MANIFEST, **change)


@pytest.mark.parametrize("side", [True, 2.0])
def test_made_sizes(side: Any) -> None:
    """A size of an image is an integer."""
    image = ModelManifest.from_json(GOOD).image
    assert image is not None
    with pytest.raises(MalformedError, match="width or height"):
        replace(image, width=side)
    with pytest.raises(MalformedError, match="name"):
        replace(image, input="")


@pytest.mark.parametrize("path", [None, "a" * 129, "a/b/c/d/e", ""])
def test_paths(path: object) -> None:
    """A path is a short text of at most four names."""
    with pytest.raises(MalformedError, match="relative path"):
        check_path(path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"\xff", "not UTF-8"),
        (b"\n" * (MAX_LABELS + 1), "lines"),
        (b"l" * (MAX_LABEL_CHARACTERS + 1), "line 1 is over"),
        (b"a\7", r"U\+0007"),
    ],
)
def test_labels(text: bytes, error: str) -> None:
    """Labels are text that a terminal may show, of bounded size."""
    with pytest.raises(BundleError, match=error):
        parse_labels(text)


def signed(value: dict[str, Any] | bytes) -> bytes:
    """The package with another statement, which its owner signs."""
    _, wrapped, sealed = split_package(PACKAGE)
    payload = value if isinstance(value, bytes) else canonical_json(value)
    envelope = encode_envelope(payload, sign_statement(payload, KEY), SIGNER)
    return join_package(envelope, wrapped, sealed)


def without(path: str) -> dict[str, Any]:
    """The statement without one of its files."""
    value: dict[str, Any] = json.loads(PAYLOAD)
    files = value["predicate"]["resources"]
    value["predicate"]["resources"] = [each for each in files if each["name"] != path]
    return value


STATEMENTS: list[tuple[Callable[[], bytes], str]] = [
    (lambda: sign_changed({"size": MAX_MODEL_BYTES + 1}), "are over the limit"),
    (lambda: sign_changed({"size": 7}), "its length is not the one"),
    (lambda: sign_changed({"name": "other.bin"}), "does not list the manifest"),
    (lambda: sign_changed({"digest": "00" * 32}, 1), "does not list the manifest"),
    (lambda: signed(without("model.bin")), "does not list the manifest"),
    (lambda: signed(PAYLOAD + b" "), "statement is not in canonical form"),
    (lambda: signed(b" " * (MAX_STATEMENT_BYTES + 1)), "over"),
    (lambda: PACKAGE[:4] + b"\xff" * 4 + PACKAGE[8:], "over its limit"),
    (lambda: b"SFB0" + PACKAGE[4:], "does not start with SFB1"),
    (lambda: PACKAGE + b"x", "its length is not the one"),
]


@pytest.mark.parametrize(("make", "error"), STATEMENTS)
def test_statements(make: Callable[[], bytes], error: str) -> None:
    """A statement that its owner signed still has to be consistent."""
    open_package(PACKAGE)
    with pytest.raises(BundleError, match=error):
        open_package(make())


def test_signatures() -> None:
    """There is one signature, in canonical form, by the expected signer, about this package."""
    signature, parsed = sign_statement(PAYLOAD, KEY), UnverifiedPackage.from_bytes(PACKAGE)
    envelope = encode_envelope(PAYLOAD, signature, SIGNER)
    for bent, error in (
        (envelope + b" ", "not in canonical form"),
        (canonical_json(json.loads(envelope) | {"signatures": []}), "signatures is empty"),
        (canonical_json(json.loads(envelope) | {"payloadType": "x"}), "not in canonical form"),
    ):
        with pytest.raises(BundleError, match=error):
            unverified_decode_envelope(bent)
    for signer in ("00" * 32, SIGNER.upper(), ""):
        with pytest.raises(BundleError, match="not by the expected signer"):
            verify_statement(PAYLOAD, signature, signer)
    with pytest.raises(BundleError, match="another digest or another signer"):
        parsed.verify(SIGNER, digest="00" * 32)
    with pytest.raises(BundleError, match="another digest or another signer"):
        parsed.verify("00" * 32)


def test_large_statements() -> None:
    """A statement over the limit is refused before it is parsed."""
    with pytest.raises(BundleError, match="statement over"):
        Statement.unverified_from_bytes(b" " * (MAX_STATEMENT_BYTES + 1))


def test_content_keys() -> None:
    """A package opens with the content key of its statement, whoever wrapped another one."""
    good = verified_package()
    key = bytearray(good.unwrap(OWNER))
    key[0] ^= 1
    with pytest.raises(OpenError):
        good.open_files(bytes(key), TrustDomain.SIMULATED)
    info = (
        TrustDomain.SIMULATED.label("bundle owner key") + b"\0\0\0\x20" + bytes.fromhex(good.digest)
    )
    rewrapped = replace(good, _wrapped=OWNER.public_key.seal(bytes(key), info))
    with pytest.raises(OpenError):
        rewrapped.unwrap(OWNER)
    keybroker = OpeningKey.generate(Suite.SIMULATED_X25519)
    errors = {bytes(key): OpenError, bytes(KEY_BYTES - 1): MalformedError}
    for content_key, error in errors.items():
        sealed = sealed_publication(good, content_key, keybroker.public_key, KEY)
        with pytest.raises(error):
            open_publication(sealed, keybroker)


def test_packing() -> None:
    """An owner packs exactly the manifest's files, in a statement of bounded size."""
    for files in ({}, FILES | {"other": b""}):
        with pytest.raises(BundleError, match="the files must be exactly"):
            Statement.describe(MANIFEST, files, "00" * 32)
    names = [f"{at:02}" + "\U0001f600" * 250 for at in range(MAX_SPECS)]
    specs = tuple(replace(MANIFEST.inputs[0], name=name) for name in names)
    long = replace(MANIFEST, inputs=specs, outputs=specs)
    with pytest.raises(BundleError, match="shorten the manifest"):
        seal_package(long, FILES, signing=KEY, sealing=OWNER.public_key)
