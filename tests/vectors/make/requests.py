"""Writes requests.json and envelopes.json: what a worker answers, and the outside of messages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sealflow.seal.keys import Suite
from sealflow.wire.domain import length_prefixed
from sealflow.wire.envelope import Kind, encode_start
from sealflow.wire.ids import ModelRef
from tests.support.forging.sealing import ForgedSession, content, drawn, pad, seal_to_public
from tests.vectors.make.evidence_parts import sealing_key, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import KID, digest, field_faults, identity, name, time_ms
from tests.vectors.make.replies import DIGEST, header_of
from tests.vectors.make.spellings import BAD_JSON, GOOD_JSON

SUITE = Suite.SIMULATED_X25519
MESSAGE = content(1, b'{"inputs":[{"name":"x","datatype":"UINT8","shape":[],"data":[1]}]}')
NOW_MS, LATER_MS = 1_790_000_000_000, 1_790_000_060_000
LIMIT = 2**16
SALT = "5a" * 32


def session(name_: str = "requests", key: str = "epoch") -> ForgedSession:
    """A session of an epoch key."""
    return ForgedSession(key=sealing_key(key, SUITE), name=name_)


def sealed(padded: bytes = pad(MESSAGE), rid: str = "01" * 16, *, of: ForgedSession | None = None,
           suite: int = 0, blob: bytes | None = None, **header: Any) -> bytes:  # fmt: skip
    """A request."""
    mine = of or session()
    whole = header_of(mine, rid, **{"deadline_ms": LATER_MS, **header})
    return mine.request(whole, padded, suite=suite, blob=blob).envelope


def request_cases(file: VectorFile) -> None:
    """Refusals in clear, in their order, and what is answered sealed."""
    mine = session()
    granted = {"suite": int(SUITE), "seed": mine.key.seed.hex(), "destroy_ms": LATER_MS + 10_000}
    worker = {
        "keys": [granted], "lease_ms": LATER_MS + 10_000, "now_ms": NOW_MS, "max_body_bytes": LIMIT,
        "models": [{"name": "m", "version": "1", "digest": DIGEST}], "remembered": 10,
        "ahead_ms": 900_000,
    }  # fmt: skip
    file.share("worker", worker)

    def case(title: str, rule: str, expect: str, description: str, *envelopes: bytes,
             **changes: Any) -> None:  # fmt: skip
        file.case(title, rule, expect, description, worker={**worker, **changes},
                  envelopes=[text(each) for each in envelopes])  # fmt: skip

    good = sealed()
    order = "exchange 6.4"
    case("good", order, "ok", "it opens", good)
    case(
        "another key",
        order,
        "unknown_key",
        "a key that it has not",
        sealed(of=session(key="other")),
    )
    case("destroyed", order, "unknown_key", "its time is over", good, keys=[
        {**granted, "destroy_ms": NOW_MS}, {**granted, "seed": "07" * 32}])  # fmt: skip
    case("last moment", order, "ok", "a millisecond before", good,
         keys=[{**granted, "destroy_ms": NOW_MS + 1}])  # fmt: skip
    case("no keys", order, "unavailable", "it has no grant", good, keys=[])
    case("lease over", order, "unavailable", "its grant is over", good, lease_ms=NOW_MS)
    case("suite", order, "not_opened", "another suite than the key's",
         sealed(suite=int(Suite.SIMULATED_XWING)))  # fmt: skip
    for title, changes in (
        ("name", {"model": ModelRef(name="n", version="1")}),
        ("version", {"model": ModelRef(name="m", version="2")}),
        ("digest", {"model_digest": "d2" * 32}),
    ):
        case(f"model's {title}", order, "unknown_model", "not served here", sealed(**changes))
    case("deadline", order, "expired", "a millisecond ago", sealed(deadline_ms=NOW_MS - 1))
    case("deadline now", order, "ok", "not yet over", sealed(deadline_ms=NOW_MS))
    farthest = NOW_MS + 900_000
    case("farthest deadline", "exchange 6.7", "ok", "as far ahead as the deployment allows",
         sealed(deadline_ms=farthest))  # fmt: skip
    for title, deadline_ms in (("a millisecond", farthest + 1), ("years", 2**53 - 1)):
        case(f"far deadline: {title}", "exchange 6.7", "deadline_far", "over the limit",
             sealed(deadline_ms=deadline_ms))  # fmt: skip
    case("far deadline of a request that does not open", order, "deadline_far", "looked at first",
         sealed(deadline_ms=farthest + 1)[:-1] + b"x")  # fmt: skip
    case("again", order, "replayed", "the same request twice", good, good)
    case("same rid", order, "replayed", "another request under the same id", good,
         sealed(of=session("another")))  # fmt: skip
    case("another rid", order, "ok", "two requests of a session", good, sealed(rid="02" * 16))
    case("garbage first", order, "ok", "what does not open is not remembered",
         good[:-1] + bytes([good[-1] ^ 1]), good)  # fmt: skip
    case("malformed inside first", order, "replayed", "what opened is remembered",
         sealed(pad(content(9, b"{}"))), good)  # fmt: skip
    case("full", "exchange 6.5", "overloaded", "its memory of ids is full", good,
         sealed(rid="02" * 16), remembered=1)  # fmt: skip
    _open_cases(case, good, mine)
    _inside_cases(case)
    large = encode_start(Kind.REQUEST, int(SUITE), header_of(mine).to_bytes(), b"", LIMIT + 1)
    case("too large", "envelope 1.1", "too_large", "its body is over the limit",
         large + bytes(LIMIT + 1))  # fmt: skip
    case("a reply", "envelope 5.2", "malformed", "not a request",
         mine.request(header_of(mine), pad(MESSAGE)).reply(pad(MESSAGE)))  # fmt: skip
    case("no envelope", "envelope 5.2", "malformed", "other bytes", b"hello")


def _open_cases(case: Any, good: bytes, mine: ForgedSession) -> None:
    blob_at = 16 + int.from_bytes(good[8:10])
    body_at = blob_at + int.from_bytes(good[10:12])
    for title, at in (
        ("sid", good.index(b'"sid":"') + 8),
        ("enc", blob_at),
        ("sealed secret", body_at - 1),
        ("salt", body_at),
        ("commitment", body_at + 24),
        ("first chunk", body_at + 60),
        ("tag", len(good) - 1),
    ):
        digit = good[at] ^ 1
        case(f"{title} changed", "exchange 6.2", "not_opened", "one bit",
             good[:at] + bytes([digit]) + good[at + 1 :])  # fmt: skip
    case("deadline changed", "exchange 6.1", "not_opened", "the header is bound",
         good.replace(str(LATER_MS).encode(), str(LATER_MS + 1).encode()))  # fmt: skip
    case("another blob", "exchange 5.1", "not_opened", "of another session, under this sid",
         sealed(blob=session("another").blob()))  # fmt: skip
    case("blob for another kid", "exchange 5.1", "not_opened", "the kid is bound",
         sealed(blob=mine.blob(kid="sim-" + "ab" * 32)))  # fmt: skip
    case("blob for another sid", "exchange 5.1", "not_opened", "the sid is bound",
         sealed(blob=mine.blob(sid="ab" * 16)))  # fmt: skip
    for size in (0, 31, 33, 64):
        secret = drawn("secret requests", 64)[:size]
        case(f"secret of {size} bytes", "exchange 5.4", "not_opened", "32 bytes",
             sealed(blob=mine.blob(secret=secret)))  # fmt: skip
        case(f"sealed with a secret of {size} bytes", "exchange 5.4", "not_opened", "32 bytes",
             sealed(of=replace(mine, size=size)))  # fmt: skip
    info = mine.domain.label("session") + length_prefixed(
        mine.key.public_key.key_id.encode(), mine.session_id.encode()
    )
    genuine = seal_to_public(mine.key.public_key.public, info, mine.secret, "requests")
    for title, enc in (("zero", bytes(32)), ("one", b"\1" + bytes(31)),
                       ("order 8", bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46a"
                                                 "da098deb9c32b1fd866205165f49b800"))):  # fmt: skip
        case(f"enc of low order: {title}", "exchange 2.3", "not_opened", "no secret is shared",
             sealed(blob=enc + genuine[32:]))  # fmt: skip
    case("no blob", "exchange 5.1", "not_opened", "it is needed", sealed(blob=b""))


def _inside_cases(case: Any) -> None:
    bad, rule = "invalid_input", "exchange 3.3"
    padded = pad(MESSAGE)
    asked = json.dumps({"salt": SALT}).encode()
    case("with a receipt", "receipt 1.1", "ok", "a request that asks", sealed(
        pad(content(3, asked, MESSAGE))))  # fmt: skip
    for title, inside in (
        ("padding short", padded[:-1]),
        ("padding long", padded + b"\0"),
        ("padding not zero", padded[:-1] + b"\1"),
        ("empty", b""),
        ("no content", pad(b"")),
        ("content short", pad(MESSAGE[:4])),
        ("J over the end", pad(b"\1\xff\xff\xff\xff" + MESSAGE[5:])),
        ("kind 0", pad(content(0, b"{}"))),
        ("an error", pad(content(2, b'{"code":"x","message":""}'))),
        ("an error that looks like a request", pad(b"\2" + MESSAGE[1:])),
        ("not JSON", pad(content(1, b"{"))),
        ("no inputs", pad(content(1, b'{"inputs":[]}'))),
    ):
        case(f"inside: {title}", rule, bad, "answered sealed", sealed(inside))
    for title, inside in (
        ("no salt", content(3, b"{}", MESSAGE)),
        *((f"salt: form {number}", content(3, json.dumps({"salt": wrong}).encode(), MESSAGE))
          for number, wrong in enumerate(digest, 1)),
        ("nested", content(3, asked, content(3, asked, MESSAGE))),
        ("nothing within", content(3, asked)),
        ("an error within", content(3, asked, content(2, b'{"code":"x","message":""}'))),
        ("critical", content(3, json.dumps({"salt": SALT, "critical": ["a"], "a": 1}).encode(),
                             MESSAGE)),
    ):  # fmt: skip
        case(f"receipt: {title}", "receipt 1.1", bad, "answered sealed", sealed(pad(inside)))
    case("receipt: unknown key", "receipt 1.4", "ok", "ignored", sealed(pad(content(
        3, json.dumps({"salt": SALT, "more": 1}).encode(), MESSAGE))))  # fmt: skip


def envelope_cases(file: VectorFile) -> None:
    """Prefixes, lengths and headers."""
    mine = session()
    request = header_of(mine, deadline_ms=LATER_MS)
    reply = {
        "rid": "01" * 16, "kid": request.key_id, "request_digest": "ab" * 32,
        "model_digest": DIGEST, "instance": "1e" * 16, "nonce": "cd" * 32, "simulated": True,
    }  # fmt: skip
    refusal = {"code": "expired", "rid": "01" * 16}

    def case(title: str, rule: str, expect: str, description: str, data: bytes) -> None:
        file.case(title, rule, expect, description, max_body_bytes=LIMIT, envelope=text(data))

    def of(kind: int, header: Any, *, suite: int | None = None, blob: bytes = b"",
           body: bytes | None = None) -> bytes:  # fmt: skip
        encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
        inside = (b"" if kind == 3 else b"body") if body is None else body
        number = (0 if kind == 3 else int(SUITE)) if suite is None else suite
        start = encode_start(Kind(kind), number, encoded, blob, len(inside))
        return start + blob + inside

    asked = json.loads(request.to_bytes())
    bad = "malformed"
    layout = "envelope 1.1"
    case("request", layout, "ok", "good", of(1, asked))
    case("reply", layout, "ok", "good", of(2, reply))
    case("refusal", layout, "ok", "good", of(3, refusal))
    case("refusal for nobody", layout, "ok", "good", of(3, {**refusal, "rid": None}))
    for size, expect in ((2048, "ok"), (2049, bad)):
        case(f"key blob of {size} bytes", layout, expect, "K is at most 2,048",
             of(1, asked, blob=bytes(size)))  # fmt: skip
    for size, expect in ((4096, "ok"), (4097, bad)):
        spaced = json.dumps(asked).ljust(size).encode()
        case(f"header of {size} bytes", layout, expect, "H is at most 4,096", of(1, spaced))
    for size, expect in ((LIMIT, "ok"), (LIMIT + 1, "envelope_too_large")):
        case(f"body of {size} bytes", layout, expect, "B is at most the limit",
             of(1, asked, body=bytes(size)))  # fmt: skip
    whole = of(1, asked)
    for cut in (0, 15):
        case(f"{cut} bytes", layout, bad, "shorter than its prefix", whole[:cut])
    for title, bent in (("a byte less", whole[:-1]), ("a byte more", whole + b"\0")):
        case(title, "envelope 1.2", bad, "not the sum of its lengths", bent)
    for title, bent in (
        ("magic", b"SFL2" + whole[4:]),
        ("kind 0", whole[:4] + b"\0" + whole[5:]),
        ("kind 4", whole[:4] + b"\4" + whole[5:]),
        ("reserved byte", whole[:5] + b"\1" + whole[6:]),
    ):
        case(title, "envelope 1.3", bad, "another format", bent)
    case("blob in a reply", layout, bad, "K is 0", of(2, reply, blob=b"x"))
    case("blob in a refusal", layout, bad, "K is 0", of(3, refusal, blob=b"x"))
    case("body in a refusal", layout, bad, "B is 0", of(3, refusal, body=b"x"))
    case("suite of a refusal", "envelope 1.4", bad, "it is 0", of(3, refusal, suite=1))
    forms = {
        1: (asked, {"kid": KID[1:], "sid": identity, "rid": identity, "model": name,
                    "version": name, "model_digest": digest, "deadline_ms": time_ms}, ()),
        2: (reply, {"rid": identity, "kid": KID[1:], "request_digest": digest,
                    "model_digest": digest, "instance": identity, "nonce": digest,
                    "simulated": (0, "true", None)}, ()),
        3: (refusal, {"rid": identity, "code": (7, None, [])}, ("rid",)),
    }  # fmt: skip
    words = {1: "request", 2: "reply", 3: "refusal"}
    for kind, (header, each, nullable) in forms.items():
        for title, changed in field_faults(header, each, nullable=nullable):
            case(f"{words[kind]}: {title}", f"envelope {kind + 2}", bad, "not its form",
                 of(kind, changed))  # fmt: skip
        unknown = {**header, "more": 1}
        case(
            f"{words[kind]}: unknown key",
            "versions 2.2" if kind > 1 else "versions 2.3",
            "ok" if kind > 1 else bad,
            "ignored" if kind > 1 else "refused",
            of(kind, unknown),
        )
        encoded = json.dumps(header).encode()
        for fault, spelled, description in (*BAD_JSON, *GOOD_JSON):
            good = (fault, spelled, description) in GOOD_JSON
            if good and kind == 1 and b"more" in spelled(b'{"a":1}') + spelled(b'{"more":1}'):
                continue
            if kind == 1 and fault in ("32 deep", "20 characters", "surrogate pair", "__proto__"):
                continue
            case(f"{words[kind]} JSON: {fault}", "envelope 2.2", "ok" if good else bad, description,
                 of(kind, spelled(encoded)))  # fmt: skip
    case("refusal of later", "versions 4.4", "ok", "taken as `unavailable`",
         of(3, {**refusal, "code": "because"}))  # fmt: skip
    asked_more = {**refusal, "critical": ["more"], "more": 1}
    case("refusal: critical", "versions 4.4", "ok", "taken as `unavailable`", of(3, asked_more))
    case("reply: critical", "versions 3.2", "critical", "it must be understood",
         of(2, {**reply, "critical": ["more"], "more": 1}))  # fmt: skip


def files() -> list[VectorFile]:
    """Make the files."""
    requests = VectorFile(
        path="requests.json",
        description="What a worker holds (`worker`; `remembered` is how many request ids) and the "
        "envelopes that come to it one after the other. `expect` is its answer to the last one: a "
        "refusal in clear, or `invalid_input`, sealed.",
    )
    envelopes = VectorFile(
        path="envelopes.json", description="Envelopes as their receiver parses them."
    )
    request_cases(requests)
    envelope_cases(envelopes)
    return [requests, envelopes]
