"""Attacks by any peer: documents of which one field has another form, is missing or is surplus.

Each document of the wire and of the disk is here once, so that no field is read with a check that
nobody would miss.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.attest.amd.endorsements import Endorsements
from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import BoundClaims, Evidence
from sealflow.attest.requirements import Requirements
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.documents.grant import Grant
from sealflow.documents.log import LogEntry, SignedEntry
from sealflow.documents.receipt import Receipt, SignedReceipt
from sealflow.documents.revocation import SignedRevocationOrder
from sealflow.errors import BundleError, MalformedError, SealflowError
from sealflow.owner import ReceiptProof
from sealflow.owner.trust.pin import PinnedDirectory
from sealflow.package.manifest import ModelManifest
from sealflow.package.publication import PublicationOrder, open_publication
from sealflow.package.statement import Statement, unverified_decode_envelope
from sealflow.seal import content as contents
from sealflow.seal.content import Content, ContentKind, parse_error
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.keybroker.state import State, StateKey
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import Envelope, Kind, encode_start
from sealflow.wire.frame_payloads import KeyBrokerBoot, KeyBrokerReady, WorkerBoot, WorkerReady
from sealflow.wire.strict_json import canonical_json
from tests.support.attestation.snp_authority import TCB
from tests.support.models.package_parts import (
    KEY,
    MANIFEST,
    OWNER,
    PACKAGE,
    split_package,
    verified_package,
)
from tests.support.models.publications import publication_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTORS = Path(__file__).parents[1] / "vectors"
HISTORY: dict[str, Any] = json.loads((VECTORS / "history.json").read_text())
SEALED: dict[str, Any] = json.loads((VECTORS / "sealed.json").read_text())
ATTESTATION: dict[str, Any] = json.loads((VECTORS / "attestation.json").read_text())
WORLD = TrustDomain.SIMULATED
BENT = {"": 0}
"""A value of no field's form: an object with a key that no object has."""

SURPLUS: dict[str, Any] = {"critical": []}
"""A key that no closed format has, in a form that no open one takes."""

FREE = ("body",)
"""Keys below which a log entry may hold anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One kind of document: an example, its parser, and the keys that may be left out."""

    value: dict[str, Any]
    parse: Callable[[bytes], object]
    optional: tuple[str, ...] = ()


def load(text: str | bytes) -> dict[str, Any]:
    """Read base64 of JSON."""
    value: dict[str, Any] = json.loads(b64decode(text))
    return value


def content(kind: ContentKind, text: bytes) -> Content:
    """An opened message; a receipt's wraps an empty request."""
    return Content(kind=kind, text=text, binary=memoryview(b"\1\0\0\0\2{}"))


def receipt_request(text: bytes) -> object:
    """Read a request that asks for a receipt."""
    whole = b"".join(contents.content_parts(ContentKind.RECEIPT, text)) + b"\1\0\0\0\2{}"
    head, tail = contents.padding_for(len(whole))
    return contents.parse_request_content(memoryview(head + whole + tail))


def parse_envelope(kind: Kind) -> Callable[[bytes], object]:
    """Return a parser of envelopes' headers."""

    def parse(header: bytes) -> object:
        suite = 0 if kind is Kind.REFUSAL else 1
        return Envelope.from_bytes(encode_start(kind, suite, header, b"", 0), max_body_bytes=0)

    return parse


def parse_order(text: bytes) -> object:
    """Read an order; its signature is checked later."""
    return SignedRevocationOrder(text=text, signature=bytes(64)).verify_signature(WORLD)


def parse_publication(text: bytes) -> object:
    """Open a publication with this content."""
    key = OpeningKey(suite=Suite.SIMULATED_X25519, seed=bytes(32))
    return open_publication(key.public_key.seal(text, WORLD.label("publish")), key)


def requirements(value: bytes) -> object:
    """Read the table of a policy."""
    return Requirements.from_json(json.loads(value), "demands")


def directory() -> dict[str, Any]:
    """A directory with a model and a revocation."""
    value = load(load(HISTORY["directory_newest"])["directory"]["payload"])
    assert value["models"]
    value["revoked"] = [{"kind": "key", "id": value["keys"][0]["kid"]}]
    return value


def grant() -> dict[str, Any]:
    """A grant of a key and a model."""
    key = {"suite": int(Suite.SIMULATED_X25519), "seed": b64encode(bytes(32)).decode()}
    model = {"name": "m", "version": "1", "digest": "00" * 32, "signer": "00" * 32}
    return {
        "format": 1,
        "keys": [key | {"destroy_ms": 1}],
        "models": [model | {"content_key": b64encode(bytes(32)).decode()}],
        "lease_ms": 1,
        "history": "00" * 32,
        "directory_version": 1,
    }


def state() -> dict[str, Any]:
    """A state with an epoch, a model and a revocation."""
    number = {"not_before_ms": 1, "retire_ms": 2, "destroy_ms": 3}
    suite, seed = int(Suite.SIMULATED_X25519), b64encode(bytes(32)).decode()
    model = {
        "statement": b64encode(verified_package().payload).decode(),
        "signer": "00" * 32,
        "content_key": seed,
        "workers": DEMANDS,
        "issued_ms": 1,
    }
    return {
        "now_ms": 1,
        "history": "00" * 32,
        "log_number": 1,
        "log_digest": "00" * 32,
        "directory_version": 1,
        "directory_digest": "00" * 32,
        "epochs": [{"suite": suite, "seed": seed} | number],
        "models": [model],
        "revoked": [{"kind": "worker", "id": "00" * 16}],
    }


CASE = ATTESTATION["cases"][0]
SNP_DEMANDS = {
    "min_tcb": {"Milan": TCB},
    "author_keys": ["00" * 48],
    "host_data": ["00" * 32],
    "vmpl": 1,
    **dict.fromkeys(("insecure_any_tcb", "insecure_no_revocations"), True),
}
DEMANDS = Requirements.from_json({"measurements": ["00" * 32]}, "").to_json() | {
    "product_id": 1,
    "tdx": {f"rtmr{at}": ["00" * 48] for at in range(4)} | {"insecure_unchecked_registers": []},
    "snp": SNP_DEMANDS,
    "insecure_out_of_date": {"until": "2027-01-31", "reason": "late"},
}
FREE_DEMANDS = (
    *DEMANDS.keys() - {"measurements"},
    *(f"rtmr{number}" for number in range(4)),
    "insecure_unchecked_registers",
    *SNP_DEMANDS,
    "Milan",
)
"""All of it has a default."""

DEMANDED = Requirements.from_json(DEMANDS, "")
PUBLICATION_ORDER = publication_order(verified_package(), workers=DEMANDED).to_bytes()
SIGNED_ORDER = KEY.sign(WORLD.label("publication order") + PUBLICATION_ORDER)
PUBLICATION = {
    "format": 2,
    "content_key": b64encode(verified_package().unwrap(OWNER)).decode(),
    "order": b64encode(PUBLICATION_ORDER).decode(),
    "order_signature": b64encode(SIGNED_ORDER).decode(),
    "signature": b64encode(verified_package().signature).decode(),
    "signer": verified_package().signer,
    "statement": b64encode(verified_package().payload).decode(),
    "workers": DEMANDS,
}
IMAGE = {
    "input": "x",
    "width": 4,
    "height": 2,
    "crop": 1,
    "resize": "area",
    "layout": "NHWC",
    "channels": "BGR",
    "mean": [0, 0, 0],
    "scale": [1, 1, 1],
}
MANIFEST_JSON = MANIFEST.to_json() | {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2, 4, 3]}],
    "image": IMAGE,
    "classification": {"output": "y", "softmax": True},
}
WORKER_BOOT = WorkerBoot(
    deployment=b"d",
    simulated_platform=b"p",
    now_ms=1,
    runtime=None,
    threads=1,
    max_batch=1,
    max_wait_ms=1,
    max_body_bytes=2**20,
    max_pixels=2**20,
    replay_capacity=1000,
    load_s=60,
    run_s=60,
    serves="ab" * 32,
    load_first=("cd" * 32,),
)
LOADED = {"name": "m", "version": "1", "digest": "d", "runtime": "onnx", "max_batch": 1}
REQUEST_HEADER = {
    "deadline_ms": 1, "kid": "ab" * 32, "model": "m", "model_digest": "cd" * 32,
    "rid": "01" * 16, "sid": "02" * 16, "version": "1",
}  # fmt: skip
REPLY_HEADER = {"instance": "01" * 16, "rid": "01" * 16, "simulated": False} | {
    "kid": "ab" * 32,
    "model_digest": "cd" * 32,
    "nonce": "00" * 32,
    "request_digest": "00" * 32,
}
DOCUMENTS = {
    "request header": Document(value=REQUEST_HEADER, parse=parse_envelope(Kind.REQUEST)),
    "reply header": Document(value=REPLY_HEADER, parse=parse_envelope(Kind.REPLY)),
    "refusal header": Document(
        value={"code": "expired", "rid": "01" * 16}, parse=parse_envelope(Kind.REFUSAL)
    ),
    "error reply": Document(
        value={"code": "c", "message": "m"},
        parse=lambda text: parse_error(content(ContentKind.ERROR, text)),
    ),
    "receipt request": Document(
        value={"salt": "00" * 32},
        parse=receipt_request,
    ),
    "bound claims": Document(value=json.loads(CASE["bound"]), parse=BoundClaims.from_bytes),
    "evidence": Document(
        value=load(HISTORY["directory_newest"])["evidence"],
        parse=lambda text: Evidence.from_json(json.loads(text)),
    ),
    "endorsements": Document(
        value=dict.fromkeys(("leaf", "intermediate", "root", "crl"), "AA=="),
        parse=Endorsements.from_bytes,
    ),
    "deployment": Document(value=load(HISTORY["deployment"]), parse=Deployment.from_bytes),
    "requirements": Document(value=DEMANDS, parse=requirements, optional=FREE_DEMANDS),
    "published document": Document(
        value=load(HISTORY["directory_newest"]), parse=SignedDirectory.from_bytes
    ),
    "directory": Document(value=directory(), parse=Directory.unverified_from_bytes),
    "pin": Document(
        value={
            "deployment": "d",
            "manifest_digest": "00" * 32,
            "history": "00" * 32,
            "version": 1,
            "digest": "00" * 32,
            "log_number": 1,
            "log_digest": "00" * 32,
        },
        parse=PinnedDirectory.from_bytes,
    ),
    "log record": Document(value=json.loads(HISTORY["log"][0]), parse=SignedEntry.from_bytes),
    "log entry": Document(
        value=load(json.loads(HISTORY["log"][1])["entry"]), parse=LogEntry.unverified_from_bytes
    ),
    "receipt": Document(
        value=load(json.loads(HISTORY["receipt"])["receipt"]), parse=Receipt.from_bytes
    ),
    "signed receipt": Document(
        value={name: json.loads(HISTORY["receipt"])[name] for name in ("receipt", "signature")},
        parse=lambda text: SignedReceipt.from_json(json.loads(text)),
    ),
    "receipt file": Document(value=json.loads(HISTORY["receipt"]), parse=ReceiptProof.from_bytes),
    "order": Document(
        value={
            "format": 2,
            "deployment": "d",
            "history": "00" * 32,
            "counter": 1,
            "revoke": [{"kind": "worker", "id": "00" * 16}],
            "signer": "00" * 32,
        },
        parse=parse_order,
    ),
    "signed order": Document(
        value={"order": "AA==", "signature": "AA=="},
        parse=lambda text: SignedRevocationOrder.from_json(json.loads(text)),
    ),
    "grant": Document(value=grant(), parse=lambda text: Grant._parse(text, WORLD)),
    "publication": Document(value=PUBLICATION, parse=parse_publication, optional=FREE_DEMANDS),
    "publication order": Document(
        value=json.loads(PUBLICATION_ORDER), parse=PublicationOrder.unverified_from_bytes
    ),
    "statement": Document(
        value=json.loads(verified_package().payload),
        parse=Statement.unverified_from_bytes,
        optional=("labels",),
    ),
    "DSSE envelope": Document(
        value=json.loads(split_package(PACKAGE)[0]), parse=unverified_decode_envelope
    ),
    "manifest": Document(
        value=MANIFEST_JSON,
        parse=lambda text: ModelManifest.from_json(json.loads(text)),
        optional=("labels", "image", "classification", *IMAGE.keys() - {"input", "width", "height"},
                  "softmax"),
    ),
    "state": Document(
        value=state(), parse=State._parse, optional=FREE_DEMANDS
    ),
    "state key": Document(
        value={"key": b64encode(bytes(32)).decode(), "history": "00" * 32, "number": 1},
        parse=StateKey.from_bytes,
    ),
    "worker's BOOT": Document(
        value=json.loads(WORKER_BOOT.to_bytes()), parse=WorkerBoot.from_bytes
    ),
    "worker's READY": Document(
        value={
            "instance": "i",
            "simulated": True,
            "threads": 1,
            "models": [LOADED],
        },
        parse=lambda text: WorkerReady.from_bytes(memoryview(text)),
        optional=("runtime", "max_batch"),
    ),
    "key broker's BOOT": Document(
        value=dict.fromkeys(("deployment", "simulated_platform"), "AA==")
        | {"state_keys": ["AA=="], "now_ms": 1},
        parse=lambda text: KeyBrokerBoot.from_bytes(memoryview(text)),
    ),
    "key broker's READY": Document(
        value={"instance": "i", "simulated": True, "keyed": True},
        parse=lambda text: KeyBrokerReady.from_bytes(memoryview(text)),
    ),
}  # fmt: skip


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each field, and of the first item of each list."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value[:1]))
    for key, inner in items:
        yield (*path, key)
        if key not in FREE:
            yield from places(inner, (*path, key))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value in a place."""
    for key in path:
        value = value[key]
    return value


def bends(document: Document) -> Iterator[tuple[str, bytes]]:
    """Yield the document with one fault, once for each fault, with its name."""
    for path in ((), *places(document.value)):
        if path and path[0] in FREE and len(path) > 1:
            continue
        if isinstance(at(document.value, path), dict) and (not path or path[-1] not in FREE):
            changed = deepcopy(document.value)
            at(changed, path).update(SURPLUS)
            yield f"surplus in {path}", canonical_json(changed)
        if not path:
            continue
        *outer, last = path
        changed = deepcopy(document.value)
        at(changed, tuple(outer))[last] = [] if last in FREE else BENT
        yield f"another form of {path}", canonical_json(changed)
        if isinstance(last, str) and last not in document.optional:
            changed = deepcopy(document.value)
            del at(changed, tuple(outer))[last]
            yield f"no {path}", canonical_json(changed)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_fields(name: str) -> None:
    """The good document gets beyond its form; one with a fault is malformed, whichever it is."""
    document = DOCUMENTS[name]
    try:
        document.parse(canonical_json(document.value))
    except MalformedError as error:
        pytest.fail(f"good: {error}")
    except SealflowError:
        pass
    for fault, text in bends(document):
        with pytest.raises((MalformedError, BundleError)):
            document.parse(text)
            pytest.fail(fault)


STARS = "*" * 32
"""A string as long as a key, and no base64."""

SIGNER_ONLY = {"signers": ["00" * 32], "product_id": 1, "min_svn": 1, "insecure_signer_only": True}
LOOKALIKES: list[tuple[str, dict[str, Any], tuple[str | int, ...], object]] = [
    ("bound claims", {}, ("signing_key",), STARS),
    ("bound claims", {}, ("sealing_key",), "AAAA"),
    ("grant", {}, ("keys", 0, "seed"), STARS),
    ("state", {}, ("epochs", 0, "seed"), STARS),
    ("state key", {}, ("key",), STARS),
    ("requirements", SIGNER_ONLY, ("insecure_signer_only",), 1),
    ("deployment", {"tee": "sgx", "insecure_simulated_root": None}, ("tee",), "sev"),
]


@pytest.mark.parametrize(("name", "change", "path", "bent"), LOOKALIKES, ids=str)
def test_lookalikes(
    name: str, change: dict[str, Any], path: tuple[str | int, ...], bent: object
) -> None:
    """A value that later checks take for a good one is refused by its form."""
    document = DOCUMENTS[name]
    good = change if name == "requirements" else document.value | change
    document.parse(canonical_json(good))
    changed = deepcopy(good)
    at(changed, path[:-1])[path[-1]] = bent
    with pytest.raises(MalformedError):
        document.parse(canonical_json(changed))
