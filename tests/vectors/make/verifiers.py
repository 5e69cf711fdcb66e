"""The cases of policies.json about the verifiers that a policy trusts."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from tests.vectors.make.evidence_parts import signing_key
from tests.vectors.make.forms import field_faults, name

if TYPE_CHECKING:
    from tests.vectors.make.files import VectorFile


def _url(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _edwards(title: str) -> dict[str, str]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _url(signing_key(title).public_key().public_bytes_raw()),
    }


def _weierstrass() -> dict[str, str]:
    numbers = derive_private_key(7, SECP256R1()).public_key().public_numbers()
    x, y = (_url(each.to_bytes(32)) for each in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def verifier_cases(file: VectorFile, base: dict[str, Any]) -> None:
    """The array `verifiers`."""

    def case(title: str, rule: str, expect: str, description: str, verifiers: Any) -> None:
        file.case(f"verifiers: {title}", rule, expect, description,
                  json={**base, "verifiers": verifiers})  # fmt: skip

    edwards, point = _edwards("verifier"), _weierstrass()
    one = {"name": "hospital", "key": edwards, "instead_of_evidence": True}
    two = {"name": "clinic", "key": point, "instead_of_evidence": False}
    eight = [{"name": f"v{n}", "key": _edwards(f"verifier {n}")} for n in range(9)]
    form, both = "policy 7", "policy 7.1"
    for title, rule, expect, description, verifiers in (
        ("none", form, "ok", "as without the key", []),
        ("Ed25519", form, "ok", "a key of 32 bytes", [one]),
        ("P-256", form, "ok", "a key of two numbers", [two]),
        ("both", form, "ok", "different names and keys", [one, two]),
        ("eight", both, "ok", "as many as allowed", eight[:8]),
        ("nine", both, "config", "one too many", eight),
        ("one name", both, "config", "reports could not tell them apart",
         [one, {**two, "name": "hospital"}]),
        ("one key", both, "config", "it would count twice", [one, {**one, "name": "clinic"}]),
        ("table", form, "config", "a list", one),
        ("text", form, "config", "a list of tables", ["hospital"]),
        ("null", form, "config", "a list", None),
        ("unknown key", form, "config", "a closed format", [{**one, "more": 1}]),
    ):  # fmt: skip
        case(title, rule, expect, description, verifiers)
    forms = {"name": name, "key": ("x", [], 7, None, {})}
    for title, changed in field_faults(one, forms):
        if title != "no instead_of_evidence":
            case(title, form, "config", "not its form", [changed])
    for wrong in ("true", 1, None):
        case(f"instead_of_evidence {wrong!r}", form, "config", "a flag",
             [{**one, "instead_of_evidence": wrong}])  # fmt: skip
    x = edwards["x"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for title, key, description in (
        ("kid", {**edwards, "kid": "k"}, "optional members are refused"),
        ("y", {**edwards, "y": x}, "of the other kind"),
        ("no kty", {k: v for k, v in edwards.items() if k != "kty"}, "it is required"),
        ("no crv", {k: v for k, v in edwards.items() if k != "crv"}, "it is required"),
        ("no x", {k: v for k, v in edwards.items() if k != "x"}, "it is required"),
        ("no y", {k: v for k, v in point.items() if k != "y"}, "it is required"),
        ("private", {**edwards, "d": x}, "a private key has no place there"),
        ("X25519", {**edwards, "crv": "X25519"}, "no key of signatures"),
        ("P-384", {**point, "crv": "P-384"}, "another curve"),
        ("RSA", {**edwards, "kty": "RSA"}, "another kind"),
        ("EC of Ed25519", {**point, "crv": "Ed25519"}, "they do not fit"),
        ("OKP of P-256", {**edwards, "crv": "P-256"}, "they do not fit"),
        ("31 bytes", {**edwards, "x": _url(bytes(31))}, "too short"),
        ("33 bytes", {**edwards, "x": _url(bytes(33))}, "too long"),
        ("x of 31 bytes", {**point, "x": _url(bytes(31))}, "too short"),
        ("y of 33 bytes", {**point, "y": _url(bytes(33))}, "too long"),
        ("off the curve", {**point, "y": point["x"]}, "no point"),
        ("x over the field", {**point, "x": _url(b"\xff" * 32)}, "no number of the field"),
        ("padding", {**edwards, "x": x + "="}, "base64url without it"),
        ("unused bits", {**edwards, "x": x[:-1] + letters[letters.index(x[-1]) | 1]},
         "they are zero"),
        ("other alphabet", {**edwards, "x": "+/" + x[2:]}, "base64url"),
        ("x number", {**edwards, "x": 7}, "a text"),
    ):  # fmt: skip
        case(f"key: {title}", "passport 1.1", "config", description, [{**one, "key": key}])
