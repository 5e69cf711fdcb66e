"""Writes states.json: sealed states of a key broker, and their wrapped keys."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.support.forging.sealing import drawn, seal_chunks
from tests.vectors.make.directory_parts import DOMAIN, OWNER
from tests.vectors.make.evidence_parts import MANIFEST, NOW_MS, sealing_key, seed, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, time_ms
from tests.vectors.make.packages import KEY, encoded, statement
from tests.vectors.make.spellings import BAD_JSON

if TYPE_CHECKING:
    from sealflow.wire.domain import TrustDomain

STATE_KEY, PLATFORM_KEY = seed("state key"), seed("platform key")
HISTORY = "0f" * 32
BAD = "open_failed"
EPOCH = sealing_key("epoch 1")
STATE: dict[str, Any] = {
    "now_ms": NOW_MS,
    "history": HISTORY,
    "log_number": 7,
    "log_digest": "ee" * 32,
    "directory_version": 3,
    "directory_digest": "dd" * 32,
    "epochs": [
        {
            "suite": int(EPOCH.suite),
            "seed": text(EPOCH.seed),
            "not_before_ms": NOW_MS - 1000,
            "retire_ms": NOW_MS + 1000,
            "destroy_ms": NOW_MS + 2000,
        }
    ],
    "models": [
        {
            "statement": text(encoded(statement())),
            "signer": OWNER,
            "content_key": text(KEY),
            "workers": None,
            "issued_ms": NOW_MS,
        }
    ],
    "revoked": [{"kind": "worker", "id": "0a" * 16}],
}
PLAIN: dict[str, Any] = {**STATE, "models": []}
WRAPPED: dict[str, Any] = {"key": text(STATE_KEY), "history": HISTORY, "number": 7}


def seal_state(
    inside: bytes,
    *,
    head: bytes | None = None,
    key: bytes = STATE_KEY,
    domain: TrustDomain = DOMAIN,
) -> bytes:
    """Seal a state under a head, which may be wrong."""
    salt = drawn("state salt", 32)
    start = head or struct.pack(">4s32sQ32s", b"SFK1", bytes.fromhex(MANIFEST), 7, salt)
    context = hashlib.sha256(domain.label("state context") + start).digest()
    info = domain.label("state key") + context
    derived = HKDF(algorithm=SHA256(), length=32, salt=start[44:76], info=info).derive(key)
    return start + seal_chunks(derived, context, inside, drawn("state", 24))


def wrap_key(
    inside: bytes,
    *,
    magic: bytes = b"SFW1",
    machine: bytes | None = None,
    key: bytes = PLATFORM_KEY,
) -> bytes:
    """Seal a state's key under a platform key."""
    found = HKDF(algorithm=SHA256(), length=16, salt=None, info=DOMAIN.label("machine id"))
    salt = drawn("wrapping salt", 32)
    head = magic + (found.derive(PLATFORM_KEY) if machine is None else machine) + salt
    context = hashlib.sha256(DOMAIN.label("wrapped state key") + head).digest()
    derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=context).derive(key)
    return head + seal_chunks(derived, context, inside, drawn("wrapped", 24))


def state_cases(file: VectorFile) -> None:
    """Sealed states."""

    def case(title: str, expect: str, description: str, sealed: bytes, **changes: Any) -> None:
        inputs = {"key": STATE_KEY.hex(), "settings": MANIFEST, "domain": "simulated", **changes}
        file.case(f"state: {title}", "keybroker 5.1", expect, description, state=text(sealed),
                  **inputs)  # fmt: skip

    whole = seal_state(encoded(STATE))
    case("good", "ok", "genuine", whole, version=3)
    case("key", BAD, "another key", whole, key="ab" * 32)
    case("settings", BAD, "of another deployment", whole, settings="ab" * 32)
    case("domain", BAD, "of the other trust domain", whole, domain="hardware")
    for title, bent in (
        ("empty", b""),
        ("head cut", whole[:75]),
        ("cut", whole[:-1]),
        ("longer", whole + b"\0"),
        ("number changed", whole[:43] + b"\6" + whole[44:]),
        ("salt changed", whole[:44] + bytes([whole[44] ^ 1]) + whole[45:]),
        ("magic", seal_state(encoded(STATE), head=b"SFK2" + whole[4:76])),
        ("other settings in its head", seal_state(encoded(STATE), head=whole[:4] + bytes(32)
                                                  + whole[36:76])),
    ):  # fmt: skip
        case(title, BAD, "not the sealed one", bent)
    number = ("1", -1, True, None)
    forms = {"now_ms": time_ms, "history": digest, "log_number": number, "log_digest": digest,
             "directory_version": number, "directory_digest": digest, "epochs": ({}, None, ["x"]),
             "models": ({}, None, ["x"]), "revoked": ({}, None, ["x"])}  # fmt: skip
    for title, changed in field_faults(PLAIN, forms):
        case(f"form: {title}", BAD, "not its form", seal_state(encoded(changed)))
    levels = {
        "epochs": {"suite": (3, "1", None), "seed": (text(bytes(31)), "%", None),
                   "not_before_ms": time_ms, "retire_ms": time_ms, "destroy_ms": time_ms},
        "models": {"statement": ("%", text(b"{}"), None), "signer": digest,
                   "content_key": ("%", None), "workers": ("x", {}), "issued_ms": time_ms},
        "revoked": {"kind": ("region", 7, None), "id": ("x", 7, None)},
    }  # fmt: skip
    for level, each in levels.items():
        for title, changed in field_faults(STATE[level][0], each):
            case(f"{level}: {title}", BAD, "not its form",
                 seal_state(encoded({**PLAIN, level: [changed]})))  # fmt: skip
        more = {**STATE[level][0], "more": 1}
        case(f"{level}: unknown key", BAD, "a closed format",
             seal_state(encoded({**PLAIN, level: [more]})))  # fmt: skip
    case("unknown key", BAD, "a closed format", seal_state(encoded({**PLAIN, "more": 1})))
    file_of: dict[str, Any] = {"package_sha256": "ab" * 32, "package_bytes": 1000}
    for title, changes, expect in (
        ("known", {}, "ok"),
        ("null", {"package_sha256": None, "package_bytes": None}, "ok"),
        ("short digest", {"package_sha256": "ab"}, BAD),
        ("digest of capitals", {"package_sha256": "AB" * 32}, BAD),
        ("size of 0", {"package_bytes": 0}, BAD),
        ("size as text", {"package_bytes": "1000"}, BAD),
        ("size over 2^53-1", {"package_bytes": 2**53}, BAD),
    ):
        found = {**STATE["models"][0], **file_of, **changes}
        case(f"models: package's file: {title}", expect, "of the package's order, optional",
             seal_state(encoded({**PLAIN, "models": [found]})))  # fmt: skip
    many = {f"m{number}": OWNER for number in range(1025)}
    for title, names, expect in (
        ("one", {"m": OWNER}, "ok"),
        ("none", {}, "ok"),
        ("list", [], BAD),
        ("null", None, BAD),
        ("owner", {"m": "x"}, BAD),
        ("name", {"a b": OWNER}, BAD),
        ("too many", many, BAD),
    ):
        case(f"names: {title}", expect, "owners of names, optional",
             seal_state(encoded({**PLAIN, "names": names})))  # fmt: skip
    tree = {"first": 5, "nodes": ["ab" * 32, "cd" * 32]}
    for title, value, expect in (
        ("of 3 entries", tree, "ok"),
        ("of one entry", {"first": 7, "nodes": ["ab" * 32]}, "ok"),
        ("another beginning", {**tree, "first": 4}, BAD),
        ("after the end", {"first": 8, "nodes": []}, BAD),
        ("short node", {**tree, "nodes": ["ab", "cd" * 32]}, BAD),
        ("unknown key", {**tree, "more": 1}, BAD),
        ("null", None, BAD),
    ):
        case(f"log_tree: {title}", expect, "the tree of the log, optional",
             seal_state(encoded({**PLAIN, "log_tree": value})))  # fmt: skip
    for fault, spelled, description in BAD_JSON:
        case(f"JSON: {fault}", BAD, description, seal_state(spelled(encoded(PLAIN))))


def order_cases(file: VectorFile) -> None:
    """States with records of orders."""
    orders: dict[str, Any] = {
        "counters": {OWNER: NOW_MS},
        "granted": {"0a" * 16: NOW_MS},
        "excluded": {OWNER: ["0a" * 16]},
        "revoked_of": {"0b" * 32: OWNER},
        "signed_names": {"m": OWNER},
        "rotated_ms": NOW_MS,
        "rotation_due_ms": 0,
    }

    def case(title: str, expect: str, description: str, value: Any) -> None:
        state = text(seal_state(encoded({**PLAIN, "orders": value})))
        file.case(f"state: orders: {title}", "keybroker 5.1", expect, description, state=state,
                  key=STATE_KEY.hex(), settings=MANIFEST, domain="simulated")  # fmt: skip

    case("good", "ok", "optional", orders)
    case("unknown key", BAD, "a closed format", {**orders, "more": 1})
    forms = {"counters": ({"ab": 1}, {OWNER: "1"}, {OWNER: -1}, [], None),
             "granted": ({"ab": 1}, {"0a" * 16: None}, [], None),
             "excluded": ({OWNER: {}}, {OWNER: ["ab"]}, {"ab": []}, [], None),
             "revoked_of": ({"ab": OWNER}, {"0b" * 32: "ab"}, [], None),
             "signed_names": ({"a b": OWNER}, {"m": "ab"}, [], None),
             "rotated_ms": time_ms, "rotation_due_ms": time_ms}  # fmt: skip
    for title, changed in field_faults(orders, forms):
        case(title, BAD, "not its form", changed)
    for title, tokens, expect in (
        ("one", {"0a" * 16: NOW_MS}, "ok"),
        ("none", {}, "ok"),
        ("id", {"ab": NOW_MS}, BAD),
        ("time", {"0a" * 16: "1"}, BAD),
        ("before 1970", {"0a" * 16: -1}, BAD),
        ("list", ["0a" * 16], BAD),
        ("null", None, BAD),
    ):
        changed = {**orders, "revoked_tokens": tokens}
        case(f"revoked tokens: {title}", expect, "when each was revoked, optional", changed)
    many = [f"{number:032x}" for number in range(65)]
    case("65 workers", BAD, "one too many", {**orders, "excluded": {OWNER: many}})
    case("64 workers", "ok", "just so many", {**orders, "excluded": {OWNER: many[:64]}})
    ended = {**orders, "ends": {"0a" * 16: NOW_MS}, "barred": ["0b" * 16]}
    case("workers that end", "ok", "optional", ended)
    for name, wrong in (("ends", ({"ab": 1}, {"0a" * 16: -1}, [], None)),
                        ("barred", (["ab"], [None], {}, None))):  # fmt: skip
        for number, value in enumerate(wrong, 1):
            case(f"{name} {number}", BAD, "not its form", {**ended, name: value})
    barred = [f"{number:032x}" for number in range(4097)]
    case("4,097 barred workers", BAD, "one too many", {**ended, "barred": barred})


def key_cases(file: VectorFile) -> None:
    """Wrapped keys of states."""

    def case(title: str, expect: str, description: str, wrapped: bytes, **changes: Any) -> None:
        inputs = {"platform_key": PLATFORM_KEY.hex(), "domain": "simulated", **changes}
        file.case(f"key: {title}", "keybroker 5.2", expect, description, wrapped=text(wrapped),
                  **inputs)  # fmt: skip

    whole = wrap_key(encoded(WRAPPED))
    case("good", "ok", "genuine", whole, key=STATE_KEY.hex())
    case("platform key", BAD, "another machine", whole, platform_key="ab" * 32)
    case("domain", BAD, "of the other trust domain", whole, domain="hardware")
    for title, bent in (
        ("empty", b""),
        ("head cut", whole[:51]),
        ("cut", whole[:-1]),
        ("machine changed", whole[:4] + bytes([whole[4] ^ 1]) + whole[5:]),
        ("magic", wrap_key(encoded(WRAPPED), magic=b"SFW2")),
    ):
        case(title, BAD, "not the wrapped one", bent)
    forms = {"key": (text(bytes(31)), text(bytes(33)), "%", None), "history": digest,
             "number": ("1", -1, True, None)}  # fmt: skip
    for title, changed in field_faults(WRAPPED, forms):
        case(f"form: {title}", BAD, "not its form", wrap_key(encoded(changed)))
    case("unknown key", BAD, "a closed format", wrap_key(encoded({**WRAPPED, "more": 1})))


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="states.json",
        description="Sealed states of a key broker with their key and the digest of the "
        "deployment's settings, and wrapped keys of states with a machine's platform key.",
    )
    state_cases(file)
    order_cases(file)
    key_cases(file)
    return [file]
