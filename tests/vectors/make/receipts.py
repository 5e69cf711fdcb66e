"""Writes receipts.json and replies-with-receipt.json: receipts judged by a log, and by a client."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sealflow.documents.log import EntryKind
from sealflow.documents.receipt import Receipt, SignedReceipt, salted_digest
from sealflow.documents.revocation import (
    RevocationOrder,
    Revoked,
    RevokedKind,
    SignedRevocationOrder,
)
from sealflow.wire.domain import TrustDomain
from sealflow.wire.ids import ModelRef
from tests.support.forging.sealing import content
from tests.vectors.make.directory_parts import DOMAIN, EVIDENCE, HOUR_MS, OWNER, POLICY
from tests.vectors.make.evidence_parts import MANIFEST, NOW_MS, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import KID, digest, field_faults, identity, name, time_ms
from tests.vectors.make.log import opened_log
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON, GOOD_JSON

INSTANCE, RID, KEY_ID = "1e" * 16, "01" * 16, "sim-" + "4b" * 32
MODEL_DIGEST = hashlib.sha256(b"m:1").hexdigest()
SALT = "5a" * 32
REQUEST = content(1, b'{"inputs":[]}', b"\3" * 8)
REPLY = content(1, b'{"model_name":"m","outputs":[]}', b"\1\2")
WORKER = signing_key("worker").public_key().public_bytes_raw().hex()
AT_MS = NOW_MS


def receipt(**changes: Any) -> Receipt:
    """The worker's receipt."""
    values: dict[str, Any] = {
        "deployment": "test",
        "manifest_digest": MANIFEST,
        "instance": INSTANCE,
        "key_id": KEY_ID,
        "request_id": RID,
        "model": ModelRef(name="m", version="1"),
        "model_digest": MODEL_DIGEST,
        "request_digest": salted_digest(DOMAIN, "request", SALT, [REQUEST]),
        "reply_digest": salted_digest(DOMAIN, "reply", SALT, [REPLY]),
        "at_ms": AT_MS,
        **changes,
    }
    return Receipt(**values)


def signed(
    value: Receipt | bytes, signer: str = "worker", domain: TrustDomain = DOMAIN
) -> dict[str, Any]:
    """A receipt with its signature, as JSON."""
    encoded = value if isinstance(value, bytes) else value.to_bytes()
    signature = signing_key(signer).sign(domain.label("receipt") + encoded)
    return SignedReceipt(text=encoded, signature=signature).to_json()


def kept(found: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The line that a client keeps."""
    from sealflow.owner import ReceiptProof

    frame = ReceiptProof(
        signed=SignedReceipt.from_json(found), salt=SALT, request=REQUEST, reply=REPLY
    )
    return {**json.loads(frame.to_bytes()), **changes}


def grant_body(**changes: Any) -> dict[str, Any]:
    """The log's entry of a grant."""
    return {
        "instance": INSTANCE,
        "signing_key": WORKER,
        "keys": [KEY_ID],
        "models": [MODEL_DIGEST],
        "until_ms": AT_MS + HOUR_MS,
        "directory_version": 1,
        **changes,
    }


def log_of(*entries: tuple[EntryKind, dict[str, Any], int]) -> list[str]:
    """A log with entries of a kind, a body and a time."""
    log = opened_log()
    for kind, body, at_ms in entries:
        log.add(kind, body, {"at_ms": at_ms})
    return log.records()


def revocation(kind: RevokedKind, name: str) -> dict[str, Any]:
    """The log's entry of a revocation."""
    order = RevocationOrder(
        deployment="test",
        log_id="0f" * 32,
        counter=AT_MS,
        revoked=(Revoked(kind=kind, id=name),),
        signer=OWNER,
    )
    return SignedRevocationOrder.sign(order, signing_key("owner"), DOMAIN).to_json()


GRANTED = (EntryKind.GRANT, grant_body(), AT_MS - 1000)


def judge_cases(file: VectorFile) -> None:
    """What a judge finds with a log."""
    plain = file.share("log", log_of(GRANTED))
    good = kept(signed(receipt()))
    file.share("receipt", good)

    def case(name_: str, rule: str, expect: str, description: str, line: Any,
             records: list[str] | None = None, **more: Any) -> None:  # fmt: skip
        file.case(name_, f"receipt {rule}", expect, description, policy=POLICY,
                  records=plain if records is None else records, line=line, **more)  # fmt: skip

    case("good", "3.2", "ok", "genuine", good, revoked=[])
    for part in ("request", "reply"):
        for fault, data in (("changed", content(1, b"{}")), ("empty", b"")):
            case(f"{part} {fault}", "3.2", "receipt_content", "not what it is about",
                 {**good, part: text(data)})  # fmt: skip
    case("salt", "3.2", "receipt_content", "another salt", {**good, "salt": "5b" * 32})
    swapped = receipt(
        request_digest=salted_digest(DOMAIN, "reply", SALT, [REQUEST]),
        reply_digest=salted_digest(DOMAIN, "reply", SALT, [REPLY]),
    )
    case("label of the reply", "2.1", "receipt_content", "each digest has its label",
         kept(signed(swapped)))  # fmt: skip
    for fault, changes, expect, description in (
        ("worker", {"instance": "2e" * 16}, "receipt_worker", "the log has no grant for it"),
        ("kid", {"key_id": "sim-" + "4c" * 32}, "receipt_grant", "a key that it was not granted"),
        ("model digest", {"model_digest": "ab" * 32}, "receipt_grant", "a model that it was not"),
        ("deployment", {"deployment": "other"}, "receipt_grant", "another deployment"),
        ("settings", {"manifest_digest": "ce" * 32}, "receipt_grant", "other settings"),
        ("lease", {"at_ms": AT_MS + HOUR_MS + 1}, "receipt_grant", "after the lease"),
        ("last moment", {"at_ms": AT_MS + HOUR_MS}, "ok", "as the lease ends"),
        (
            "before the grant",
            {"at_ms": AT_MS - 1000 - 300_001},
            "receipt_grant",
            "more than five minutes before it",
        ),
        ("a little before the grant", {"at_ms": AT_MS - 1000 - 299_000}, "ok", "clocks differ"),
    ):
        case(fault, "3.2", expect, description, kept(signed(receipt(**changes))))
    for fault, found in (
        ("signer", signed(receipt(), "stranger")),
        ("domain", signed(receipt(), domain=TrustDomain.HARDWARE)),
        (
            "other bytes",
            {**signed(receipt(at_ms=AT_MS + 1)), "receipt": signed(receipt())["receipt"]},
        ),
    ):
        case(f"signature: {fault}", "3.2", "receipt_signature", "not the worker's", kept(found))
    grants = {
        "two keys": (GRANTED, (EntryKind.GRANT, grant_body(signing_key="ab" * 32), AT_MS)),
        "same key twice": (GRANTED, (EntryKind.GRANT, grant_body(), AT_MS)),
        "first covers": (GRANTED, (EntryKind.GRANT, grant_body(keys=[]), AT_MS)),
        "second covers": ((EntryKind.GRANT, grant_body(models=[]), AT_MS - 2000), GRANTED),
        "none covers": ((EntryKind.GRANT, grant_body(models=[]), AT_MS - 2000),
                        (EntryKind.GRANT, grant_body(keys=[]), AT_MS - 1000)),
        "not hex": ((EntryKind.GRANT, grant_body(signing_key="zz"), AT_MS - 1000),),
        "no list": ((EntryKind.GRANT, grant_body(keys=KEY_ID), AT_MS - 1000),),
        "models no list": ((EntryKind.GRANT, grant_body(models=MODEL_DIGEST), AT_MS - 1000),),
        "no time": ((EntryKind.GRANT, grant_body(until_ms="9999999999999"), AT_MS - 1000),),
    }  # fmt: skip
    expects = {"two keys": "receipt_worker", "same key twice": "ok", "first covers": "ok",
               "second covers": "ok", "none covers": "receipt_grant", "not hex": "receipt_worker",
               "no list": "receipt_grant", "no time": "receipt_grant",
               "models no list": "receipt_grant"}  # fmt: skip
    for fault, entries in grants.items():
        case(f"grants: {fault}", "3.2", expects[fault], "one key, and one grant of both", good,
             log_of(*entries))  # fmt: skip
    for kind, found in (
        (RevokedKind.WORKER, INSTANCE),
        (RevokedKind.MODEL, MODEL_DIGEST),
        (RevokedKind.KEY, KEY_ID),
    ):
        for when, at_ms, expect in (
            ("before", AT_MS - 1, "receipt_revoked"),
            ("later", AT_MS + 1, "ok"),
        ):
            entry = (EntryKind.REVOCATION, revocation(kind, found), at_ms)
            more = {"revoked": [{"kind": kind.value, "id": found}]} if expect == "ok" else {}
            case(f"{kind} revoked {when}", "3.2", expect, "revoked before is refused", good,
                 log_of(GRANTED, entry), **more)  # fmt: skip
    entry = (EntryKind.REVOCATION, revocation(RevokedKind.WORKER, "2e" * 16), AT_MS - 1)
    case("another revoked", "3.2", "ok", "it is not about this", good, log_of(GRANTED, entry),
         revoked=[])  # fmt: skip
    _line_cases(case, good)


def _line_cases(case: Any, good: dict[str, Any]) -> None:
    for key in ("receipt", "signature", "salt", "request", "reply"):
        without = {each: value for each, value in good.items() if each != key}
        case(f"line: no {key}", "3.1", "receipt", "a key is missing", without)
        case(f"line: {key}: number", "3.1", "receipt", "not its form", {**good, key: 7})
    for number, bent in enumerate(digest[:-1], 1):
        case(f"line: salt: form {number}", "3.1", "receipt", "not its form", {**good, "salt": bent})
    for fault, change, description in BAD_BASE64:
        bent = change(good["signature"])
        case(f"line base64: {fault}", "3.1", "receipt", description, {**good, "signature": bent})
    case("line: unknown key", "3.1", "ok", "ignored", {**good, "more": 1})
    value = json.loads(receipt().to_bytes())
    forms = {
        "deployment": name, "manifest_digest": digest, "instance": identity, "kid": KID[1:],
        "rid": identity, "model": name, "version": name, "model_digest": digest,
        "request_digest": digest, "reply_digest": digest, "at_ms": time_ms,
    }  # fmt: skip
    for title, changed in field_faults(value, forms):
        encoded = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
        case(f"form: {title}", "2", "receipt", "not its form", kept(signed(encoded)))
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else "receipt"
        case(
            f"JSON: {fault}", "2", expect, description, kept(signed(spelled(receipt().to_bytes())))
        )
    for title, extra, expect in (
        ("unknown key", {"more": 1}, "ok"),
        ("critical", {"critical": ["more"], "more": 1}, "critical"),
        ("format", {"format": 2}, "format"),
    ):
        encoded = json.dumps({**value, **extra}).encode()
        case(f"form: {title}", "2", expect, "a newer writer's", kept(signed(encoded)))


def client_cases(file: VectorFile) -> None:
    """What a client finds in the reply to a request that asked for a receipt."""
    inside = json.dumps(signed(receipt()), separators=(",", ":")).encode()
    sent = {"rid": RID, "kid": KEY_ID, "model_digest": MODEL_DIGEST, "instance": INSTANCE}
    file.share("exchange", sent)

    def case(title: str, rule: str, expect: str, description: str, opened: bytes) -> None:
        file.case(
            title, f"receipt {rule}", expect, description, domain="simulated", exchange=sent,
            salt=SALT, request=text(REQUEST), reply=text(opened),
        )  # fmt: skip

    case("good", "2.3", "ok", "a receipt about this exchange", content(3, inside, REPLY))
    case("without", "1.3", "receipt_missing", "a reply without", REPLY)
    nested = content(3, inside, content(3, inside, REPLY))
    case("nested", "1.2", "reply", "a receipt within a receipt", nested)
    case("nothing within", "1.2", "reply", "no reply within", content(3, inside))
    for fault, changes in (
        ("rid", {"request_id": "02" * 16}),
        ("kid", {"key_id": "sim-" + "4c" * 32}),
        ("model digest", {"model_digest": "ab" * 32}),
        ("instance", {"instance": "2e" * 16}),
        ("request", {"request_digest": "ab" * 32}),
        ("reply", {"reply_digest": "ab" * 32}),
    ):
        other = json.dumps(signed(receipt(**changes))).encode()
        case(fault, "2.3", "receipt_content", "about another exchange", content(3, other, REPLY))
    case("another reply", "2.3", "receipt_content", "not the reply within",
         content(3, inside, content(1, b"{}")))  # fmt: skip
    value = json.loads(inside)
    for key in value:
        without = {each: got for each, got in value.items() if each != key}
        case(f"no {key}", "1.2", "reply", "a key is missing",
             content(3, json.dumps(without).encode(), REPLY))  # fmt: skip
    case("unknown key", "1.2", "ok", "ignored",
         content(3, json.dumps({**value, "more": 1}).encode(), REPLY))  # fmt: skip
    case("signature of a stranger", "2.3", "ok", "a client has no log: a judge looks at it",
         content(3, json.dumps(signed(receipt(), "stranger")).encode(), REPLY))  # fmt: skip
    stranger = signing_key("stranger").public_key().public_bytes_raw()
    own = text(bytes.fromhex(WORKER))
    other_bytes = {**value, "signature": signed(receipt(at_ms=AT_MS + 1))["signature"]}
    for title, found, key, expect in (
        ("its own", value, own, "ok"),
        ("another's", value, text(stranger), "receipt_signature"),
        ("of a stranger's signature", signed(receipt(), "stranger"), own, "receipt_signature"),
        ("of other bytes' signature", other_bytes, own, "receipt_signature"),
        (
            "of the other domain's signature",
            signed(receipt(), domain=TrustDomain.HARDWARE),
            own,
            "receipt_signature",
        ),
        ("of small order", value, text(bytes((1, *bytes(31)))), "receipt_signature"),
        ("short", value, text(bytes(31)), "reply"),
        ("long", value, text(bytes(33)), "reply"),
        ("hex", value, WORKER, "reply"),
        ("null", value, None, "reply"),
    ):
        inside = json.dumps({**found, "signing_key": key}).encode()
        case(f"signing key: {title}", "2.3", expect, "optional; it must fit the signature",
             content(3, inside, REPLY))  # fmt: skip
    file.share("request", text(REQUEST))


def files() -> list[VectorFile]:
    """Make the files."""
    judged = VectorFile(
        path="receipts.json",
        description="Kept receipts (`line`) and the log and policy that a judge has. `revoked` "
        "says what was revoked later.",
    )
    asked = VectorFile(
        path="receipt-replies.json",
        description="The opened content of replies to a request that asked for a receipt. "
        "`request` is the content within the request; `exchange` is what the client sent to whom.",
    )
    for part in ("quote", "bound", "collateral"):
        judged.share(part, EVIDENCE[part])
    judged.share("policy", POLICY)
    judge_cases(judged)
    client_cases(asked)
    return [judged, asked]
