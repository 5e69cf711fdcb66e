"""Writes orders.json and grants.json: signed orders, and secrets that a key broker hands over."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sealflow.documents.grant import Grant, GrantedKey, GrantedModel
from sealflow.documents.revocation import RevocationOrder, Revoked, RevokedKind
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.domain import TrustDomain, length_prefixed
from sealflow.wire.ids import ModelRef
from tests.support.forging.sealing import seal_to
from tests.vectors.make.directory_parts import DOMAIN, OWNER
from tests.vectors.make.evidence_parts import NOW_MS, claims, sealing_key, seed, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, name, time_ms
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON

NONCE = "5a" * 32
WORKER = sealing_key("worker")
HISTORY = "0f" * 32
BOUND = claims(nonce=NONCE, sealing_key=WORKER.public_key.public).to_bytes()


def order_of(kind: RevokedKind = RevokedKind.WORKER, id_: str = "0a" * 16) -> dict[str, Any]:
    """An order of the owner's."""
    revoked = Revoked(kind=kind, id=id_)
    found = RevocationOrder(
        deployment="test", log_id=HISTORY, counter=NOW_MS, revoked=(revoked,), signer=OWNER
    ).to_bytes()
    value: dict[str, Any] = json.loads(found)
    return value


def encoded(value: dict[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def order_cases(file: VectorFile) -> None:
    """Orders to revoke something."""

    def case(title: str, expect: str, description: str, order: bytes, signer: str = "owner",
             domain: TrustDomain = DOMAIN, label: str = "order") -> None:  # fmt: skip
        signature = signing_key(signer).sign(domain.label(label) + order)
        signed = {"order": text(order), "signature": text(signature)}
        file.case(title, "keybroker 7.2", expect, description, domain="simulated", signed=signed)

    good = order_of()
    for kind, id_ in (
        (RevokedKind.WORKER, "0a" * 16),
        (RevokedKind.MODEL, "0a" * 32),
        (RevokedKind.KEY, "sim-" + "0a" * 32),
        (RevokedKind.GRANT, "0a" * 16),
        (RevokedKind.TOKEN, "0a" * 16),
    ):
        case(f"{kind}", "ok", "genuine", encoded(order_of(kind, id_)))
        for other in ("0a" * 16, "0a" * 32, "sim-" + "0a" * 32, "", "x"):
            if other != id_ and not (kind is RevokedKind.KEY and other == "0a" * 32):
                bent = {**good, "revoke": [{"kind": kind.value, "id": other}]}
                case(f"{kind}: {other[:8]}", "order", "not an id of that kind", encoded(bent))
    case("signer", "order_signature", "by another key than it names", encoded(good), "stranger")
    case("domain", "order_signature", "of the other trust domain", encoded(good),
         domain=TrustDomain.HARDWARE)  # fmt: skip
    case("label", "order_signature", "signed for another purpose", encoded(good), label="grant")
    first = good["revoke"][0]
    forms = {"deployment": name, "history": digest, "counter": time_ms, "signer": digest,
             "revoke": ("x", [], {}, 7, None, first, [first, first])}  # fmt: skip
    for title, changed in field_faults(good, forms):
        case(f"form: {title}", "order", "not its form", encoded(changed))
    revoke_forms = {"kind": ("Worker", "region", 7, None), "id": (7, None)}
    for title, changed in field_faults(first, revoke_forms):
        case(f"revoke: {title}", "order", "not its form", encoded({**good, "revoke": [changed]}))
    many = [{"kind": "worker", "id": f"{number:032x}"} for number in range(65)]
    case("64 workers", "ok", "all by one order", encoded({**good, "revoke": many[:64]}))
    case("65 workers", "order", "one too many", encoded({**good, "revoke": many}))
    former = {"format": 1, "deployment": "test", "revoke": first, "signer": OWNER}
    case("format 1", "ok", "as logs of earlier releases hold it", encoded(former))
    case("format 1 with a list", "order", "it has one", encoded({**former, "revoke": [first]}))
    case("format 1 with a counter", "order", "a closed format", encoded({**former, "counter": 1}))
    case("format 3", "format", "another format", encoded({**good, "format": 3}))
    case("unknown key", "order", "a closed format", encoded({**good, "more": 1}))
    case("unknown key within", "order", "a closed format",
         encoded({**good, "revoke": [{**first, "more": 1}]}))  # fmt: skip
    case("critical", "order", "a closed format", encoded({**good, "critical": ["more"], "more": 1}))
    case("any spelling", "ok", "signed as sent", json.dumps(good, indent=1).encode())
    for fault, spelled, description in BAD_JSON:
        case(f"JSON: {fault}", "order", description, spelled(encoded(good)))
    order = encoded(good)
    signature = text(signing_key("owner").sign(DOMAIN.label("order") + order))
    signed = {"order": text(order), "signature": signature}
    for title, bent in (
        ("no order", {"signature": signature}),
        ("no signature", {"order": text(order)}),
        ("unknown key beside", {**signed, "more": 1}),
        ("order: number", {**signed, "order": 7}),
        *((f"base64: {fault}", {**signed, "signature": change(signature)})
          for fault, change, _ in BAD_BASE64),
    ):  # fmt: skip
        file.case(title, "keybroker 7.2", "order", "not its form", domain="simulated", signed=bent)


def grant() -> Grant:
    """A grant of one key and one model."""
    key = sealing_key("epoch 1")
    return Grant(
        keys=(GrantedKey(private_key=key, destroy_ms=NOW_MS + 7_200_000),),
        models=(
            GrantedModel(
                ref=ModelRef(name="m", version="1"),
                digest="cd" * 32,
                signer=OWNER,
                content_key=seed("content key"),
            ),
        ),
        lease_ms=NOW_MS + 3_600_000,
        log_id="0f" * 32,
        directory_version=3,
    )


def grant_cases(file: VectorFile) -> None:
    """Grants as a worker opens them."""
    value: dict[str, Any] = json.loads(grant()._encode())

    def case(
        title: str, expect: str, description: str, inside: bytes | dict[str, Any] = value, *,
        signer: str = "key broker", key: OpeningKey = WORKER, purpose: str = "grant",
        signed_for: str = "grant", nonce: str = NONCE, bound: bytes = BOUND,
        domain: TrustDomain = DOMAIN,
    ) -> None:  # fmt: skip
        encoded_ = inside if isinstance(inside, bytes) else encoded(inside)
        sealed = seal_to(key, domain.label(purpose), encoded_, "grant")
        parts = (bytes.fromhex(nonce), hashlib.sha256(bound).digest(), sealed)
        signed = domain.label(signed_for) + length_prefixed(*parts)
        public = signing_key("key broker").public_key().public_bytes_raw()
        file.case(
            title, "keybroker 3.2", expect, description, suite=int(WORKER.suite),
            seed=WORKER.seed.hex(), bound=text(BOUND), nonce=NONCE, signer=public.hex(),
            grant=text(sealed), signature=text(signing_key(signer).sign(signed)),
        )  # fmt: skip

    case("good", "ok", "genuine")
    for title, changes, description in (
        ("signer", {"signer": "stranger"}, "not by the key broker"),
        ("nonce", {"nonce": "5b" * 32}, "for another challenge"),
        ("claims", {"bound": claims(nonce=NONCE).to_bytes()}, "for other claims"),
        ("signed for another purpose", {"signed_for": "state key grant"}, "of another kind"),
        ("sealed for another purpose", {"purpose": "state key grant"}, "of another kind"),
        ("sealed to another", {"key": sealing_key("another")}, "to another worker"),
        ("domain", {"domain": TrustDomain.HARDWARE}, "of the other trust domain"),
    ):
        case(title, "open_failed", description, **changes)
    [first], [model] = value["keys"], value["models"]
    tops = {"keys": ({}, "x", None), "models": ({}, "x", None), "lease_ms": time_ms,
            "history": digest, "directory_version": ("1", -1, True, None)}  # fmt: skip
    for title, changed in field_faults(value, tops):
        case(f"form: {title}", "grant", "not its form", changed)
    keys = {"suite": ("1", -1, None, 2**16), "seed": (text(bytes(31)), text(bytes(33)), "%", None),
            "destroy_ms": time_ms}  # fmt: skip
    for title, changed in field_faults(first, keys):
        case(f"key: {title}", "grant", "not its form", {**value, "keys": [changed]})
    models = {"name": name, "version": name, "digest": digest, "signer": digest,
              "content_key": (text(bytes(31)), text(bytes(33)), "%", None)}  # fmt: skip
    for title, changed in field_faults(model, models):
        case(f"model: {title}", "grant", "not its form", {**value, "models": [changed]})
    for suite in (0, 3, 0xF003):
        later = {**first, "suite": suite, "seed": text(bytes(99))}
        case(f"suite {suite:#x}", "ok", "left out", {**value, "keys": [later, first]})
    for title, tokens, expect in (
        ("none", [], "ok"),
        ("one", ["0a" * 16], "ok"),
        ("1,024", [f"{number:032x}" for number in range(1024)], "ok"),
        ("1,025", [f"{number:032x}" for number in range(1025)], "grant"),
        ("no id", ["ab"], "grant"),
        ("numbers", [7], "grant"),
        ("an object", {}, "grant"),
        ("null", None, "grant"),
    ):
        case(f"form: tokens: {title}", expect, "revoked tokens, optional",
             {**value, "revoked_tokens": tokens})  # fmt: skip
    named = {**value, "revoked_tokens": ["0a" * 16], "critical": ["revoked_tokens"]}
    case("tokens in critical", "ok", "it is understood", named)
    hardware = {**first, "suite": int(Suite.X25519)}
    case("key of hardware", "grant", "of the other trust domain", {**value, "keys": [hardware]})
    for title, changed in (
        ("unknown key", {**value, "more": 1}),
        ("unknown key in a key", {**value, "keys": [{**first, "more": 1}]}),
        ("unknown key in a model", {**value, "models": [{**model, "more": 1}]}),
    ):
        case(title, "ok", "ignored", changed)
    case("critical", "critical", "it must be understood",
         {**value, "critical": ["more"], "more": 1})  # fmt: skip
    case("format", "format", "another format", {**value, "format": 2})
    for fault, spelled, description in BAD_JSON:
        case(f"JSON: {fault}", "grant", description, spelled(encoded(value)))


def files() -> list[VectorFile]:
    """Make the files."""
    orders = VectorFile(
        path="orders.json",
        description="Signed orders to revoke something. Whether the signer may give the order is "
        "not judged here.",
    )
    grants = VectorFile(
        path="grants.json",
        description="Grants as they come to a worker: sealed to its key (`suite`, `seed`), signed "
        "by the key broker (`signer`) for the worker's `nonce` and claims (`bound`).",
    )
    grants.share("bound", text(BOUND))
    order_cases(orders)
    grant_cases(grants)
    return [orders, grants]
