"""Writes tenant-tokens.json: tokens of tenants, as workers judge them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from sealflow.documents.tenant_token import MAX_TOKEN_CHARACTERS, QUOTAS, TenantToken
from sealflow.wire.domain import TrustDomain
from tests.vectors.make.directory_parts import DOMAIN, HOUR_MS
from tests.vectors.make.evidence_parts import NOW_MS, signing_key
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


def spell(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def tenant_cases(file: VectorFile) -> None:
    """Tokens, one fault each."""

    def case(title: str, expect: str, description: str, token: str, rule: str = "tenants 2.1",
             ) -> None:  # fmt: skip
        file.case(title, rule, expect, description, token=token, authority=AUTHORITY,
                  deployment="test", now_ms=NOW_MS, domain="simulated")  # fmt: skip

    def signed(text: bytes, key: str = "authority", domain: TrustDomain = DOMAIN,
               label: str = "tenant token") -> str:  # fmt: skip
        return f"{spell(text)}.{spell(signing_key(key).sign(domain.label(label) + text))}"

    def encoded(value: dict[str, Any]) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    value = token_of()
    good = encoded(value)
    token = signed(good)
    text, _, signature = token.partition(".")
    case("good", "ok", "genuine", token)
    case("unknown key", "ok", "an open format", signed(encoded({**value, "more": 1})))
    case("critical", BAD, "a critical key that nobody knows",
         signed(encoded({**value, "more": 1, "critical": ["more"]})))  # fmt: skip
    case("format", BAD, "a later format", signed(encoded({**value, "format": 2})))
    case("key", BAD, "signed by another key", signed(good, "stranger"))
    case("domain", BAD, "of the other trust domain", signed(good, domain=TrustDomain.HARDWARE))
    case("label", BAD, "signed for another purpose", signed(good, label="receipt"))
    case("no dot", BAD, "text without a signature", text)
    case("no text", BAD, "signature without a text", f".{signature}")
    case("two dots", BAD, "three parts", f"{token}.{signature}")
    case("short signature", BAD, "of 63 bytes", f"{text}.{signature[:-2]}")
    case("flipped", BAD, "another text", f"{spell(good[:-1] + b'x')}.{signature}")
    case("padding", BAD, "another spelling", f"{token}==")
    case("alphabet", BAD, "another spelling", f"{text}.{signature[:-1]}+")
    case("blank", BAD, "another spelling", f"{text} .{signature}")
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
    numbers = (0, -1, "1", 1.5, True, None, 2**53)
    forms = {"deployment": name, "tenant": name, "id": identity, "not_before_ms": time_ms,
             "expires_ms": time_ms, "period_s": (*numbers, 366 * 86_400 + 1),
             "weight": (*numbers, 101), **dict.fromkeys(QUOTAS, numbers)}  # fmt: skip
    for title, changed in field_faults(value, forms):
        case(title, BAD, "not its form", signed(encoded(changed)), "tenants 2.2")
    for title, spelled, description in BAD_JSON:
        case(f"JSON: {title}", BAD, description, signed(spelled(good)))


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
    return [found]
