"""Writes log.json: whole logs of a key broker, judged by a policy."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from sealflow.documents.log import EntryKind
from sealflow.wire.domain import TrustDomain
from tests.vectors.make.directory_parts import DOMAIN, EVIDENCE, POLICY, Log
from tests.vectors.make.evidence_parts import (
    MANIFEST,
    NOW_MS,
    claims,
    sgx,
    signing_key,
    text,
)
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, time_ms
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON, GOOD_JSON

OPENED = {"deployment": "test", "manifest_digest": MANIFEST, "evidence": EVIDENCE}
CHAIN, SIGNATURE, OPENER = "log_chain", "log_signature", "log_opened"


def opened_log(body: dict[str, Any] | None = None, **keys: Any) -> Log:
    """A log with its first entry."""
    log = Log()
    log.add(EntryKind.OPENED, OPENED if body is None else body, keys)
    return log


def small_log() -> Log:
    """A log of three entries."""
    log = opened_log()
    log.add(EntryKind.EPOCH, {"kid": "sim-" + "01" * 32})
    log.add(EntryKind.DIRECTORY, {"version": 1, "digest": "ab" * 32})
    return log


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="log.json",
        description="Whole logs: `records` are their lines, from number 0 on. `policy` is the "
        "auditor's; each `opened` entry is judged at its own time.",
    )
    for part in ("quote", "bound", "collateral"):
        file.share(part, EVIDENCE[part])
    file.share("policy", POLICY)
    good = small_log()
    records = good.records()
    for number, record in enumerate(records):
        file.share(f"record {number}", record)

    def case(name: str, rule: str, expect: str | list[str], description: str,
             found: list[str], **more: Any) -> None:  # fmt: skip
        file.case(name, f"keybroker {rule}", expect, description, policy=POLICY, records=found,
                  **more)  # fmt: skip

    case("good", "6.5", "ok", "three entries", records, digests=good.digests)
    case("first entry alone", "6.5", "ok", "one entry", records[:1])
    case("empty", "6.5", CHAIN, "no entry", [])
    case("order", "6.5", CHAIN, "two changed places", [records[0], records[2], records[1]])
    case("gap", "6.5", CHAIN, "one is missing", [records[0], records[2]])
    case("twice", "6.5", CHAIN, "one comes twice", [records[0], records[1], records[1]])
    case("begin", "6.5", CHAIN, "the first is missing", records[1:])
    _chain_cases(case)
    _signature_cases(case, records)
    _opened_cases(case)
    _form_cases(case, good)
    return [file]


def _chain_cases(case: Any) -> None:
    for name, keys, expect, description in (
        ("number", {"number": 2}, CHAIN, "not the one that follows"),
        ("number lower", {"number": 0, "previous": None}, CHAIN, "not the one that follows"),
        ("previous", {"previous": "ab" * 32}, CHAIN, "another entry before it"),
        ("time", {"at_ms": NOW_MS - 3_600_001}, CHAIN, "a millisecond before the entry before"),
        ("same time", {"at_ms": NOW_MS - 3_600_000}, "ok", "as early as the entry before"),
        ("unknown kind", {"kind": "region"}, "ok", "an entry of a later release is skipped"),
        ("unknown key", {"more": 1}, "ok", "ignored"),
        ("critical", {"critical": ["more"], "more": 1}, "critical", "it must be understood"),
        ("format", {"format": 2}, "format", "another format"),
    ):
        log = opened_log()
        log.add(EntryKind.EPOCH, {"kid": "sim-" + "01" * 32}, keys)
        case(f"entry: {name}", "6.5", expect, description, log.records())
    log = opened_log(previous="ab" * 32)
    case("first: previous", "6.1", CHAIN, "nothing is before number 0", log.records())
    log = opened_log(number=1)
    case("first: number", "6.1", CHAIN, "the first has number 0", log.records())


def _signature_cases(case: Any, records: list[str]) -> None:
    last = json.loads(records[-1])
    for name, change, expect, description in (
        ("flipped", lambda old: _flip(old, 5), SIGNATURE, "one bit"),
        ("of another entry", lambda _old: b64decode(json.loads(records[1])["signature"]), SIGNATURE,
         "genuine, of the entry before"),
        ("empty", lambda _old: b"", SIGNATURE, "no bytes"),
        ("short", lambda old: old[:63], SIGNATURE, "63 bytes"),
    ):  # fmt: skip
        bent = {**last, "signature": text(change(b64decode(last["signature"])))}
        case(f"signature: {name}", "6.2", expect, description, [*records[:-1], json.dumps(bent)])
    entry = b64decode(last["entry"])
    for name, signer, label, domain in (
        ("by a stranger", "stranger", "log head", DOMAIN),
        ("for hardware", "key broker", "log head", TrustDomain.HARDWARE),
        ("another label", "key broker", "log entry", DOMAIN),
    ):
        log = Log()
        log.add_bytes(entry)
        signed = domain.label(label) + bytes.fromhex(log.digests[0])
        signature = signing_key(signer).sign(signed)
        bent = {**last, "signature": text(signature)}
        case(f"signature: {name}", "6.2", SIGNATURE, "not over the label and the digest by the "
             "instance that leads", [*records[:-1], json.dumps(bent)])  # fmt: skip


def _opened_cases(case: Any) -> None:
    log = Log()
    log.add(EntryKind.EPOCH, {"kid": "sim-" + "01" * 32})
    case("opened: not first", "6.3", OPENER, "entry 0 says who opened the log", log.records())
    second = signing_key("second").public_key().public_bytes_raw()
    instance = claims(signing_key=second, instance="1f" * 16).to_bytes()
    other = {**OPENED, "evidence": sgx(bound=instance)}
    entry = {"kid": "sim-" + "02" * 32}
    for name, signer, expect, description in (
        ("next signs", "second", "ok", "the one that opened last signs"),
        ("first signs on", "key broker", SIGNATURE, "the one before does not sign any more"),
    ):
        log = small_log()
        log.signer = "second"
        log.add(EntryKind.OPENED, other)
        log.signer = signer
        log.add(EntryKind.EPOCH, entry)
        case(f"opened again: {name}", "6.2", expect, description, log.records())
    log = small_log()
    log.add(EntryKind.OPENED, other)
    case("opened again: signed by the one before", "6.2", SIGNATURE, "each signs its own entry",
         log.records())  # fmt: skip
    for name, body, expect, description in (
        ("no evidence", {"evidence": None}, OPENER, "a key is missing"),
        ("evidence: text", {"evidence": "x"}, OPENER, "not its form"),
        (
            "evidence of another",
            {"evidence": sgx(bound=claims(deployment="other").to_bytes())},
            ["deployment"],
            "another deployment's key broker",
        ),
        ("evidence forged", {"evidence": {**EVIDENCE, "quote": "AAAA"}}, "quote", "no quote"),
        ("deployment", {"deployment": "other"}, OPENER, "not the one of its evidence"),
        ("settings", {"manifest_digest": "ce" * 32}, OPENER, "not those of its evidence"),
    ):
        value = {key: each for key, each in {**OPENED, **body}.items() if each is not None}
        case(f"opened: {name}", "6.5", expect, description, opened_log(value).records())
    log = opened_log(at_ms=NOW_MS + 90 * 86_400_000)
    case(
        "opened: after its collateral", "6.5", "quote", "judged at the entry's time", log.records()
    )


def _form_cases(case: Any, good: Log) -> None:
    entry = json.loads(good.entries[1].text)
    forms = {
        "number": ("1", -1, True, 1.5, None), "previous": digest, "at_ms": time_ms,
        "kind": (7, None, []), "body": ("x", [], 7, None),
    }  # fmt: skip
    for title, changed in field_faults(entry, forms):
        log = opened_log()
        log.add_bytes(json.dumps(changed, sort_keys=True, separators=(",", ":")).encode())
        case(f"form: {title}", "6.1", CHAIN, "not its form", log.records())
    for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
        expect = "ok" if (fault, spelled, description) in GOOD_JSON else CHAIN
        log = opened_log()
        log.add_bytes(spelled(good.entries[1].text))
        case(f"entry JSON: {fault}", "6.1", expect, description, log.records())
    log = opened_log()
    log.add_bytes(json.dumps(entry, indent=1).encode())
    case("entry: any spelling", "6.1", "ok", "the bytes count", log.records())
    first, second, *rest = good.records()
    record = json.loads(second)
    for key in ("entry", "signature"):
        without = {each: value for each, value in record.items() if each != key}
        case(f"record: no {key}", "6.3", CHAIN, "a key is missing", [first, json.dumps(without)])
        case(f"record: {key}: number", "6.3", CHAIN, "base64",
             [first, json.dumps({**record, key: 7})])  # fmt: skip
    for fault, change, description in BAD_BASE64:
        bent = {**record, "signature": change(record["signature"])}
        case(f"record base64: {fault}", "6.3", CHAIN, description, [first, json.dumps(bent)])
    long = {**record, "signature": b64encode(bytes(65)).decode()}
    case("record: signature of 65 bytes", "6.3", CHAIN, "64 bytes", [first, json.dumps(long)])
    case("record: unknown key", "6.3", "ok", "ignored", [first, json.dumps({**record, "more": 1})])
    case("record: any spelling", "6.3", "ok", "white space", [first, json.dumps(record, indent=1),
                                                            *rest])  # fmt: skip
    limit = 3 * 2**19
    for size, expect in ((limit, "ok"), (limit + 1, CHAIN)):
        case(f"record of {size} bytes", "6.3", expect, "a line is at most 1.5 MiB",
             [first, second.ljust(size)])  # fmt: skip
    case("record: list", "6.3", CHAIN, "an object", [first, "[]"])


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
