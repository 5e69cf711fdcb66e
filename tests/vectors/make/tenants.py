"""Writes tenant-tokens.json and tenant-usage.json: what the authority signs, and records of use."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from sealflow.documents.tenant_token import MAX_LIFE_MS, MAX_TOKEN_CHARACTERS, QUOTAS, TenantToken
from sealflow.wire.domain import TrustDomain
from tests.support.forging.sealing import content
from tests.vectors.make.directory_parts import DOMAIN, HOUR_MS
from tests.vectors.make.evidence_parts import NOW_MS, signing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import field_faults, identity, name, time_ms
from tests.vectors.make.spellings import BAD_JSON

AUTHORITY = signing_key("authority").public_key().public_bytes_raw().hex()
BAD = "tenant_refused"


def token_of(**changes: Any) -> dict[str, Any]:
    """What a token says."""
    values: dict[str, Any] = {
        "deployment": "test",
        "tenant": "alice",
        "id": "0a" * 16,
        "not_before_ms": NOW_MS - HOUR_MS,
        "expires_ms": NOW_MS + HOUR_MS,
        "period_s": 3600,
        "weight": 1,
        "quotas": dict.fromkeys(QUOTAS, 1000),
        **changes,
    }
    return TenantToken(**values).to_json()


def encoded(value: dict[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def signed(said: bytes, key: str = "authority", domain: TrustDomain = DOMAIN,
           label: str = "tenant token") -> str:  # fmt: skip
    """A text that the authority signed."""
    return f"{spell(said)}.{spell(signing_key(key).sign(domain.label(label) + said))}"


def spell(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def tenant_cases(file: VectorFile) -> None:
    """Tokens, one fault each."""

    def case(title: str, expect: str, description: str, token: str, rule: str = "tenants 2.1",
             ) -> None:  # fmt: skip
        file.case(title, rule, expect, description, token=token, authority=AUTHORITY,
                  deployment="test", now_ms=NOW_MS, domain="simulated")  # fmt: skip

    value = token_of()
    good = encoded(value)
    token = signed(good)
    said, _, signature = token.partition(".")
    case("good", "ok", "genuine", token)
    case("unknown key", "ok", "an open format", signed(encoded({**value, "more": 1})))
    case("critical", BAD, "a critical key that nobody knows",
         signed(encoded({**value, "more": 1, "critical": ["more"]})))  # fmt: skip
    case("format", BAD, "a later format", signed(encoded({**value, "format": 2})))
    case("key", BAD, "signed by another key", signed(good, "stranger"))
    case("domain", BAD, "of the other trust domain", signed(good, domain=TrustDomain.HARDWARE))
    case("label", BAD, "signed for another purpose", signed(good, label="receipt"))
    case("no dot", BAD, "text without a signature", said)
    case("no text", BAD, "signature without a text", f".{signature}")
    case("two dots", BAD, "three parts", f"{token}.{signature}")
    case("short signature", BAD, "of 63 bytes", f"{said}.{signature[:-2]}")
    case("flipped", BAD, "another text", f"{spell(good[:-1] + b'x')}.{signature}")
    case("padding", BAD, "another spelling", f"{token}==")
    case("alphabet", BAD, "another spelling", f"{said}.{signature[:-1]}+")
    case("blank", BAD, "another spelling", f"{said} .{signature}")
    case("empty", BAD, "no token", "")
    case("long", BAD, "over 2,048 characters", token + "A" * MAX_TOKEN_CHARACTERS)
    padded = encoded({**value, "more": "x" * 1600})
    case("long and signed", BAD, "over 2,048 characters", signed(padded))
    for title, start, end, expect in (
        ("last", NOW_MS - 5, NOW_MS + 1, "ok"),
        ("over", NOW_MS - 5, NOW_MS, BAD),
        ("first", NOW_MS, NOW_MS + 5, "ok"),
        ("early", NOW_MS + 1, NOW_MS + 5, BAD),
    ):
        changed = {**value, "not_before_ms": start, "expires_ms": end}
        case(title, expect, "at its end or beginning", signed(encoded(changed)), "tenants 2.3")
    case("deployment", BAD, "of another deployment",
         signed(encoded({**value, "deployment": "shop"})), "tenants 2.3")  # fmt: skip
    for title, more, expect in (("as long as it may be", 0, "ok"), ("too long", 1, BAD)):
        times = {"not_before_ms": NOW_MS, "expires_ms": NOW_MS + MAX_LIFE_MS + more}
        case(title, expect, "at most 367 days", signed(encoded({**value, **times})), "tenants 2.5")
    numbers = (0, -1, "1", 1.5, True, None, 2**53)
    forms = {"deployment": name, "tenant": name, "id": identity, "not_before_ms": time_ms,
             "expires_ms": time_ms, "period_s": (*numbers, 366 * 86_400 + 1),
             "weight": (*numbers, 101), **dict.fromkeys(QUOTAS, numbers)}  # fmt: skip
    for title, changed in field_faults(value, forms):
        case(title, BAD, "not its form", signed(encoded(changed)), "tenants 2.2")
    for title, spelled, description in BAD_JSON:
        case(f"JSON: {title}", BAD, description, signed(spelled(good)))


def usage_cases(file: VectorFile) -> None:
    """Orders for a record of use, and records."""

    def order_case(
        title: str, expect: str, description: str, order: str, rule: str = "tenants 5.2"
    ) -> None:
        file.case(f"order: {title}", rule, expect, description, order=order, authority=AUTHORITY,
                  deployment="test", now_ms=NOW_MS, domain="simulated")  # fmt: skip

    label = "tenant usage"
    value: dict[str, Any] = {"format": 1, "deployment": "test", "not_before_ms": NOW_MS - 1,
                             "expires_ms": NOW_MS + 1}  # fmt: skip
    good = encoded(value)
    genuine = signed(good, label=label)
    order_case("good", "ok", "genuine", genuine)
    order_case("label", BAD, "signed for another purpose", signed(good))
    order_case("token", BAD, "a token is no order", signed(encoded(token_of())))
    order_case("key", BAD, "signed by another key", signed(good, "stranger", label=label))
    hardware = signed(good, domain=TrustDomain.HARDWARE, label=label)
    order_case("domain", BAD, "of the other trust domain", hardware)
    order_case("padding", BAD, "another spelling", f"{genuine}==")
    order_case("no signature", BAD, "text alone", genuine.partition(".")[0])
    padded = signed(encoded({**value, "more": "x" * 1600}), label=label)
    order_case("long", BAD, "over 2,048 characters", padded)
    for title, changes, expect, rule in (
        ("unknown key", {"more": 1}, "ok", "versions 2.2"),
        ("critical", {"more": 1, "critical": ["more"]}, BAD, "versions 3.2"),
        ("format", {"format": 2}, BAD, "versions 1.3"),
        ("deployment", {"deployment": "shop"}, BAD, "tenants 5.2"),
        ("over", {"expires_ms": NOW_MS}, BAD, "tenants 5.2"),
        ("early", {"not_before_ms": NOW_MS + 1}, BAD, "tenants 5.2"),
        ("first", {"not_before_ms": NOW_MS}, "ok", "tenants 5.2"),
    ):
        changed = signed(encoded({**value, **changes}), label=label)
        order_case(title, expect, "one field", changed, rule)
    forms = {"deployment": name, "not_before_ms": time_ms, "expires_ms": time_ms}
    for title, changes in field_faults(value, forms):
        order_case(f"form: {title}", BAD, "not its form", signed(encoded(changes), label=label))
    for title, spelled, description in BAD_JSON:
        changed = signed(spelled(good), label=label)
        order_case(f"JSON: {title}", BAD, description, changed, "envelope 2.2")
    record_cases(file)


def record_cases(file: VectorFile) -> None:
    """Records, as the authority reads them."""

    def case(title: str, expect: str, description: str, record: bytes | dict[str, Any],
             kind: int = 4, rule: str = "tenants 5.3") -> None:  # fmt: skip
        inside = record if isinstance(record, bytes) else encoded(record)
        plain = content(kind, inside)
        file.case(f"record: {title}", rule, expect, description, record=text(plain))

    bad = "malformed"
    used: dict[str, Any] = {"tenant": "alice", "requests": 3, "rows": 6, "cpu_ms": 0, "bytes": 300,
                            "refused": 1}  # fmt: skip
    value: dict[str, Any] = {"format": 1, "sequence": 1, "start_ms": NOW_MS, "refused": 0,
                             "tenants": [used, {**used, "tenant": "bob"}]}  # fmt: skip
    case("good", "ok", "genuine", value)
    case("spaces", "ok", "workers fill up with spaces", encoded(value) + b" " * 99)
    case("no tenants", "ok", "nobody came", {**value, "tenants": []})
    for kind in (1, 2):
        case(f"kind {kind}", bad, "an answer of a model", value, kind)
    case("unknown key", "ok", "an open format", {**value, "more": 1}, rule="versions 2.2")
    more = {**value, "tenants": [{**used, "more": 1}]}
    case("unknown key of a tenant", "ok", "an open format", more, rule="versions 2.2")
    critical = {"more": 1, "critical": ["more"]}
    case("critical", "critical", "nobody knows it", {**value, **critical}, rule="versions 3.2")
    within = {**value, "tenants": [{**used, **critical}]}
    case("critical of a tenant", "critical", "nobody knows it", within, rule="versions 3.2")
    case("format", "format", "a later format", {**value, "format": 2}, rule="versions 1.3")
    case("twice", bad, "a tenant twice", {**value, "tenants": [used, used]})
    for count, expect in ((1024, "ok"), (1025, bad)):
        many = [{**used, "tenant": f"t{number}"} for number in range(count)]
        case(f"{count} tenants", expect, "at most 1,024", {**value, "tenants": many})
    numbers = (-1, "1", 1.5, True, None, 2**53)
    forms = {"sequence": (0, *numbers), "start_ms": time_ms, "refused": numbers,
             "tenants": ({}, "x", None, ["x"])}  # fmt: skip
    for title, changed in field_faults(value, forms):
        case(f"form: {title}", bad, "not its form", changed)
    counts = dict.fromkeys((*QUOTAS, "refused"), numbers)
    for title, changed in field_faults(used, {"tenant": name, **counts}):
        case(f"tenant: {title}", bad, "not its form", {**value, "tenants": [changed]})
    for title, spelled, description in BAD_JSON:
        case(f"JSON: {title}", bad, description, spelled(encoded(value)), rule="envelope 2.2")


def files() -> list[VectorFile]:
    """The file, filled."""
    found = VectorFile(
        path="tenant-tokens.json",
        description=(
            "`token` is judged by a worker at `now_ms`, in `deployment`, with `authority` as the "
            "settings' `tenants`. `ok`, or the code of the sealed error."
        ),
    )
    tenant_cases(found)
    usage = VectorFile(
        path="tenant-usage.json",
        description=(
            "`order`: judged by a worker at `now_ms`, in `deployment`, with `authority` as the "
            "settings' `tenants`: `ok`, or the code of the sealed error. `record`: the content of "
            "the reply, read by the authority."
        ),
    )
    usage_cases(usage)
    return [found, usage]
