"""Publishing: a key broker takes statement and content key, or nothing at all."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.requirements import Requirements
from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.package.container import Package, UnverifiedPackage, content_key_id, seal_package
from sealflow.package.manifest import ModelManifest
from sealflow.package.publication import open_publication, requirements_digest
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import canonical_json
from tests.support.models.publications import ISSUED_MS, publication_order
from tests.support.models.publications import sealed_publication as seal

KEY = Ed25519PrivateKey.generate()
SIGNER = KEY.public_key().public_bytes_raw().hex()
OWNER = OpeningKey.generate(Suite.SIMULATED_XWING)
BROKER = OpeningKey.generate(Suite.SIMULATED_XWING)
MANIFEST = ModelManifest.from_json(
    {
        "name": "m",
        "version": "1",
        "format": "onnx",
        "file": "model.onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        "max_batch": 8,
    }
)


def packed(key: Ed25519PrivateKey = KEY) -> Package:
    """A package of the owner's, verified."""
    data = seal_package(MANIFEST, {"model.onnx": b"model"}, signing=key, sealing=OWNER.public_key)
    return UnverifiedPackage.from_bytes(data).verify(key.public_key().public_bytes_raw().hex())


PACKAGE = packed()
CONTENT_KEY = PACKAGE.unwrap(OWNER)
INFO = TrustDomain.SIMULATED.label("publish")


def sealed_publication(
    package: Package = PACKAGE,
    content_key: bytes = CONTENT_KEY,
    workers: Requirements | None = None,
) -> bytes:
    """What an owner sends."""
    return seal(package, content_key, BROKER.public_key, KEY, workers=workers)


def inside() -> dict[str, object]:
    """What an owner seals."""
    text = BROKER.open(sealed_publication(), INFO)
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def test_a_publication_comes_out_as_it_went_in() -> None:
    """Statement, digest, signer and content key; the last never shows."""
    publication = open_publication(sealed_publication(), BROKER)
    assert publication.statement == PACKAGE.statement
    assert publication.digest == PACKAGE.digest
    assert publication.signer == SIGNER
    assert publication.content_key == CONTENT_KEY
    assert (publication.workers, publication.issued_ms) == (None, ISSUED_MS)
    assert repr(CONTENT_KEY) not in repr(publication)


def test_what_the_owner_demands_of_workers_comes_along() -> None:
    """The same demands come out, under one name."""
    demands = Requirements(measurements=frozenset({"ab" * 32}), min_svn=3)
    publication = open_publication(sealed_publication(workers=demands), BROKER)
    assert publication.workers == demands
    assert requirements_digest(demands) == requirements_digest(publication.workers)
    assert requirements_digest(demands) != requirements_digest(
        dataclasses.replace(demands, min_svn=4)
    )


def test_only_the_key_broker_opens_it() -> None:
    """Not another key, and not what was sealed for another purpose."""
    sealed = sealed_publication()
    with pytest.raises(OpenError):
        open_publication(sealed, OWNER)
    with pytest.raises(OpenError):
        open_publication(sealed, OpeningKey(suite=Suite.XWING, seed=BROKER.seed))
    text = BROKER.open(sealed, INFO)
    other = TrustDomain.SIMULATED.label("session")
    with pytest.raises(OpenError):
        open_publication(BROKER.public_key.seal(text, other), BROKER)


def test_every_flipped_byte_and_truncation_is_refused() -> None:
    """It opens whole or not at all."""
    sealed = sealed_publication()
    for at in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[at] ^= 1
        for bad in (bytes(changed), sealed[:at]):
            with pytest.raises(OpenError):
                open_publication(bad, BROKER)


def refused(error: type[Exception], value: dict[str, object]) -> None:
    """Seal something else, as any stranger can, and see it refused."""
    sealed = BROKER.public_key.seal(canonical_json(value), INFO)
    with pytest.raises(error):
        open_publication(sealed, BROKER)


def encoded(value: bytes) -> str:
    """Bytes as they stand in JSON."""
    return b64encode(value).decode()


@pytest.mark.parametrize("key", ["content_key", "signature", "signer", "statement"])
def test_all_keys_are_there_and_of_their_kind(key: str) -> None:
    """Anything else is malformed."""
    refused(MalformedError, {k: v for k, v in inside().items() if k != key})
    refused(MalformedError, {**inside(), "more": 1})
    wrong: list[object] = [None, 1, [], {}, "ä", "!!!", "A"]
    for value in wrong:
        refused(MalformedError, {**inside(), key: value})


@pytest.mark.parametrize("time", [-1, "1", None, True, 2**53])
def test_a_counter_that_is_none(time: object) -> None:
    """The order's counter is a number of milliseconds."""
    order = {**json.loads(b64decode(str(inside()["order"]))), "counter": time}
    refused(MalformedError, {**inside(), "order": encoded(canonical_json(order))})


def test_an_order_about_something_else() -> None:
    """Package and demands are those of the order, which the owner of the package signed."""
    demands = Requirements(measurements=frozenset({"ab" * 32}))
    refused(BundleError, {**inside(), "workers": demands.to_json()})
    refused(BundleError, {**inside(), "order_signature": encoded(bytes(64))})
    other = publication_order(PACKAGE, digest="ab" * 32).to_bytes()
    signature = KEY.sign(TrustDomain.SIMULATED.label("publication order") + other)
    changed = {"order": encoded(other), "order_signature": encoded(signature)}
    refused(BundleError, {**inside(), **changed})
    stranger = publication_order(PACKAGE, signer="ab" * 32).to_bytes()
    refused(BundleError, {**inside(), "order": encoded(stranger)})


def test_a_publication_of_an_earlier_release() -> None:
    """Format 1 has no order, and so says nothing of the package's file."""
    value = {k: v for k, v in inside().items() if k not in {"order", "order_signature"}}
    former = {**value, "format": 1, "issued_ms": ISSUED_MS}
    sealed = BROKER.public_key.seal(canonical_json(former), INFO)
    publication = open_publication(sealed, BROKER)
    assert (publication.order, publication.package_sha256) == (None, None)
    refused(MalformedError, {**former, "issued_ms": 2**53})
    refused(MalformedError, {**former, "order": "AA=="})


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"{}" + b" x"])
def test_nonsense_inside_is_malformed(text: bytes) -> None:
    """Anybody can seal to a public key."""
    with pytest.raises(MalformedError):
        open_publication(BROKER.public_key.seal(text, INFO), BROKER)


def test_a_statement_of_somebody_else_is_refused() -> None:
    """Signer, signature and statement must be of one packing."""
    other = packed(Ed25519PrivateKey.generate())
    refused(BundleError, {**inside(), "signer": other.signer})
    refused(BundleError, {**inside(), "signature": encoded(other.signature)})
    refused(BundleError, {**inside(), "statement": encoded(other.payload)})
    refused(BundleError, {**inside(), "statement": encoded(b"{}")})
    refused(BundleError, {**inside(), "signature": ""})


@pytest.mark.parametrize(
    "key",
    [bytes(32), CONTENT_KEY[:-1] + b"\0"],
    ids=["zeros", "another"],
)
def test_another_content_key_is_refused(key: bytes) -> None:
    """Otherwise a worker would be granted what opens nothing."""
    refused(OpenError, {**inside(), "content_key": encoded(key)})


def test_fields_over_their_bounds_are_refused() -> None:
    """A key of another length, and a time that other readers of JSON would round."""
    for key in (b"", CONTENT_KEY[:-1], CONTENT_KEY + b"\0"):
        refused(MalformedError, {**inside(), "content_key": encoded(key)})


def test_a_package_of_another_world_is_refused() -> None:
    """A simulated key broker takes no package that was made for hardware."""
    owner = OpeningKey(suite=Suite.XWING, seed=OWNER.seed)
    data = seal_package(MANIFEST, {"model.onnx": b"model"}, signing=KEY, sealing=owner.public_key)
    package = UnverifiedPackage.from_bytes(data).verify(SIGNER)
    content_key = package.unwrap(owner)
    assert content_key_id(content_key, TrustDomain.HARDWARE) == package.statement.content_key_id
    with pytest.raises(OpenError):
        open_publication(sealed_publication(package, content_key), BROKER)
