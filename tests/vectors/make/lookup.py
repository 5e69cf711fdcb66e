"""Writes lookup.json, log-pins.json and classes.json: what a client chooses and reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sealflow.documents.log import EntryKind
from sealflow.documents.revocation import Revoked, RevokedKind
from sealflow.seal.keys import Suite
from tests.vectors.make.directory_parts import (
    EVIDENCE,
    HOUR_MS,
    POLICY,
    directory,
    directory_key,
    model,
    pin_of,
    publish,
)
from tests.vectors.make.evidence_parts import NOW_MS, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.log import opened_log

PLAIN, XWING = Suite.SIMULATED_X25519, Suite.SIMULATED_XWING
BEGIN_MS = NOW_MS - HOUR_MS // 2


def key_cases(file: VectorFile) -> None:
    """Which key a client seals to."""

    def case(title: str, rule: str, expect: str, description: str, keys: tuple[Any, ...],
             now_ms: int = NOW_MS, revoked: tuple[Any, ...] = (), **more: Any) -> None:  # fmt: skip
        found = replace(directory(), keys=keys, revoked=revoked)
        file.case(
            f"key: {title}",
            f"directory {rule}",
            expect,
            description,
            document=publish(found),
            now_ms=now_ms,
            ask="m",
            **{"policy": POLICY, **more},
        )

    first = directory_key("one", BEGIN_MS)
    second = directory_key("two", BEGIN_MS + 1000)
    case("one in force", "5.2", "ok", "the only one", (first,), kid=first.kid)
    case("first moment", "5.2", "ok", "from its begin on", (directory_key("one", NOW_MS),),
         kid=first.kid)  # fmt: skip
    case("before it begins", "5.2", "directory_no_key", "a millisecond early",
         (directory_key("one", NOW_MS + 1),))  # fmt: skip
    case("last moment", "5.2", "ok", "before it retires", (replace(first, retire_ms=NOW_MS + 1),),
         kid=first.kid)  # fmt: skip
    case("retired", "5.2", "directory_no_key", "it counts until then",
         (replace(first, retire_ms=NOW_MS),))  # fmt: skip
    case("never in force", "2.9", "directory_no_key", "it ends as it begins",
         (replace(directory_key("one", NOW_MS), retire_ms=NOW_MS),))  # fmt: skip
    case("none", "5.2", "directory_no_key", "no key at all", ())
    announced = directory_key("two", NOW_MS + 1000)
    case("announced", "5.2", "ok", "its time has not come", (announced, first), kid=first.kid)
    for title, keys in (("newest", (first, second)), ("newest first", (second, first))):
        case(title, "5.2", "ok", "of two the one that began later", keys, kid=second.kid)
    ended = replace(directory_key("two", BEGIN_MS), retire_ms=BEGIN_MS)
    case("beside one that never was", "5.2", "ok", "left from a revocation", (ended, first),
         kid=first.kid)  # fmt: skip
    strong = directory_key("one", BEGIN_MS, XWING)
    case("both suites", "5.2", "ok", "X-Wing comes first", (first, strong), kid=strong.kid)
    case("newer weaker", "5.2", "ok", "a newer one of X25519 does not go before", (strong, second),
         kid=strong.kid)  # fmt: skip
    for title, suites, keys, found in (
        ("X25519 alone", ["x25519"], (strong, first), first),
        ("X25519 first", ["x25519", "x-wing"], (strong, first), first),
        ("X25519 first, none there", ["x25519", "x-wing"], (strong,), strong),
        ("X-Wing alone", ["x-wing"], (strong, first), strong),
        ("X-Wing alone, none there", ["x-wing"], (first,), None),
    ):
        more = {} if found is None else {"kid": found.kid}
        expect = "directory_no_key" if found is None else "ok"
        wanted = {**POLICY, "suites": suites}
        case(f"policy: {title}", "5.2", expect, "the policy's suites, in its order", keys,
             policy=wanted, **more)  # fmt: skip
    equal = sorted([first, directory_key("two", BEGIN_MS)], key=lambda each: each.kid)
    case("equal", "5.2", "ok", "the least kid", (equal[1], equal[0]), kid=equal[0].kid)
    gone = Revoked(kind=RevokedKind.KEY, id=second.kid)
    case("revoked", "5.4", "ok", "it does not count, though it stands there", (first, second),
         revoked=(gone,), kid=first.kid)  # fmt: skip
    case("revoked alone", "5.4", "directory_no_key", "none is left", (second,), revoked=(gone,))
    made_ms = directory().issued_ms
    just = directory_key("two", made_ms)
    over = replace(first, retire_ms=made_ms)
    case("slow clock", "5.1", "ok", "the directory's time counts if it is later", (over, just),
         now_ms=made_ms - 240_000, kid=just.kid)  # fmt: skip
    case("at its end", "3.7", "directory_expired", "it is not sealed by any more", (first,),
         later_ms=directory().expires_ms)  # fmt: skip
    case("before its end", "3.7", "ok", "a millisecond before", (first,), kid=first.kid,
         later_ms=directory().expires_ms - 1)  # fmt: skip


def model_cases(file: VectorFile) -> None:
    """Which model a client takes."""
    one, two = model(), model(version="2", default=False)
    plain, other = model(default=False), model("n")

    def case(title: str, rule: str, expect: str | list[str], description: str, ask: str,
             models: tuple[Any, ...], **more: Any) -> None:  # fmt: skip
        found = replace(directory(), models=models, revoked=more.pop("revoked", ()))
        file.case(f"model: {title}", rule, expect, description, document=publish(found),
                  now_ms=NOW_MS, ask=ask, **{"policy": POLICY, **more})  # fmt: skip

    rule, bad = "directory 5.3", "invalid_input"
    case("by version", rule, "ok", "exactly that", "m:2", (one, two), model="m:2")
    case("by name", rule, "ok", "the default one", "m", (two, one), model="m:1")
    case(
        "only version", rule, "ok", "the only one, default or not", "m", (plain, other), model="m:1"
    )
    case("no default", rule, bad, "several, and none is the default", "m", (plain, two))
    case("unknown version", rule, bad, "no such version", "m:3", (one, two))
    case("unknown name", rule, bad, "no such name", "x", (one, two))
    case("another's version", rule, bad, "a version of another name", "n:2", (one, two, other))
    case("case", rule, bad, "names differ by case", "M", (one,))
    case("empty version", rule, bad, "no version is empty", "m:", (plain, two))
    gone = (Revoked(kind=RevokedKind.MODEL, id=one.digest),)
    case(
        "revoked", "directory 5.4", bad, "as if it were not there", "m:1", (one, two), revoked=gone
    )
    case("revoked default", "directory 5.4", "ok", "the only one that is left", "m", (one, two),
         revoked=gone, model="m:2")  # fmt: skip
    for title, models, expect in (
        ("named", {"m": [one.digest]}, "ok"),
        ("two packages", {"m": ["ab" * 32, one.digest]}, "ok"),
        ("another package", {"m": ["ab" * 32]}, ["model"]),
        ("another name", {"n": [one.digest]}, ["model"]),
        ("empty", {}, "ok"),
    ):
        case(
            f"policy: {title}",
            "attestation 4.8",
            expect,
            "which packages are sent to",
            "m",
            (one,),
            policy={**POLICY, "models": models},
        )


def owner_cases(file: VectorFile) -> None:
    """Whose models are sent to: by the policy, else by the pin."""
    one, other = model(), "ab" * 32

    def case(title: str, rule: str, expect: str | list[str], description: str,
             wanted: dict[str, list[str]], **more: Any) -> None:  # fmt: skip
        policy = {**POLICY, "owners": wanted, "models": more.pop("models", {})}
        file.case(f"owner: {title}", rule, expect, description, ask="m", now_ms=NOW_MS,
                  document=publish(replace(directory(), models=(one,))), policy=policy,
                  **more)  # fmt: skip

    rule = "attestation 4.8"
    for title, owners, expect in (
        ("named", {"m": [one.owner]}, "ok"),
        ("two owners", {"m": [other, one.owner]}, "ok"),
        ("another", {"m": [other]}, ["model_owner"]),
        ("another name", {"n": [one.owner]}, ["model"]),
        ("any name", {"*": [one.owner]}, "ok"),
        ("any name, another", {"*": [other]}, ["model_owner"]),
        ("name before any", {"m": [one.owner], "*": [other]}, "ok"),
        ("other name before any", {"n": [other], "*": [one.owner]}, "ok"),
    ):
        case(f"policy: {title}", rule, expect, "whose models are sent to", owners)
    for title, models, owner, expect in (
        ("both", {"m": [one.digest]}, one.owner, "ok"),
        ("package alone", {"m": [one.digest]}, other, ["model_owner"]),
        ("owner alone", {"m": ["ab" * 32]}, one.owner, ["model"]),
        ("neither", {"m": ["ab" * 32]}, other, ["model", "model_owner"]),
        ("another name's package", {"n": [one.digest]}, one.owner, "ok"),
    ):
        case(f"policy: models and owners, {title}", rule, expect, "both must hold",
             {"m": [owner]}, models=models)  # fmt: skip
    changed = {other: ["m"]}
    for title, pinned, expect in (
        ("same", {one.owner: ["m"]}, "ok"),
        ("changed", changed, "owner_changed"),
        ("another name's", {other: ["n"]}, "ok"),
        ("none", {}, "ok"),
    ):
        case(f"pin: {title}", "directory 3.9", expect, "a name stays with its owner", {},
             owners=pinned)  # fmt: skip
    case("pin: policy first", "directory 3.9", "ok", "the policy names the owner",
         {"m": [one.owner]}, owners=changed)  # fmt: skip
    case("pin: package first", "directory 3.9", "ok", "the policy names the package", {},
         models={"m": [one.digest]}, owners=changed)  # fmt: skip
    case("pin: any name first", "directory 3.9", "ok", "the policy names the owner",
         {"*": [one.owner]}, owners=changed)  # fmt: skip


def pin_cases(file: VectorFile) -> None:
    """Whether a pinned directory is in a log."""
    log = opened_log()
    log.add(EntryKind.EPOCH, {"kid": "sim-" + "01" * 32})
    pinned = directory(log_id=log.digests[0], log_number=1, log_digest=log.digests[1], version=1)
    pin = pin_of(pinned)
    log.add(EntryKind.DIRECTORY, {"version": 1, "digest": pin["digest"]})
    log.add(EntryKind.DIRECTORY, {"version": 2, "digest": "ab" * 32})
    records = file.share("log", log.records())

    def case(title: str, expect: str, description: str, found: list[str] = records,
             **changes: Any) -> None:  # fmt: skip
        file.case(title, "directory 4.3", expect, description, policy=POLICY, records=found,
                  pin={**pin, **changes})  # fmt: skip

    bad = "log_pin"
    case("in it", "ok", "the log has it")
    case("history", bad, "of another log", history="0f" * 32)
    case("digest", bad, "another directory of that version", digest="cd" * 32)
    case("log digest", bad, "another entry before it", log_digest="cd" * 32)
    case("log number", bad, "another place", log_number=0)
    case("version", bad, "no such version", version=7)
    case("short log", bad, "it ends before the directory", records[:2])
    case("shorter log", bad, "it ends before the entry that the pin names", records[:1])
    case("log number at the end", bad, "the log is not that long", log_number=4)


def class_cases(file: VectorFile) -> None:
    """Elements of top classes."""

    def case(title: str, expect: str, description: str, element: bytes, **more: Any) -> None:
        file.case(title, "content 5.5", expect, description, element=text(element), **more)

    for spelled in ("0", "1", "-1", "0.5", "-0.25", "12.5", "1e3", "1E3", "1e+3", "1.25752854e-06",
                    "123456789012345678901234567890.5", "-0", "1e-400"):  # fmt: skip
        case(f"score {spelled}", "ok", "its grammar", f"{spelled}:1:a".encode(), index=1, label="a",
             score=float(spelled))  # fmt: skip
    for spelled in (
        "",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "e5",
        "1_0",
        " 1",
        "1 ",
        "0x1",
        "1e400",
        "-1e400",
        "--1",
        "1.2.3",
        "\u0661",
        "1234567890123456789012345678901.5",
    ):
        case(f"score {spelled!r}", "reply", "not its grammar", f"{spelled}:1:a".encode())
    for spelled, expect in (
        ("0", "ok"),
        ("9999999999", "ok"),
        ("007", "ok"),
        ("10000000000", "reply"),
        ("", "reply"),
        ("-1", "reply"),
        ("1.0", "reply"),
        ("a", "reply"),
        ("\u0661", "reply"),
    ):
        more = {"score": 0.5, "index": int(spelled), "label": "a"} if expect == "ok" else {}
        case(f"index {spelled!r}", expect, "1 to 10 digits", f"0.5:{spelled}:a".encode(), **more)
    for title, label, expect in (
        ("none", None, "ok"),
        ("empty", "", "ok"),
        ("colons", "a:b:c", "ok"),
        ("line end", "a\nb", "ok"),
        ("a fox", "\U0001f98a", "ok"),
        ("4,096 characters", "x" * 4096, "ok"),
        ("4,096 foxes", "\U0001f98a" * 4096, "ok"),
        ("4,097 characters", "x" * 4097, "reply"),
    ):
        tail = "" if label is None else f":{label}"
        more = {"score": 0.5, "index": 1, "label": label or ""} if expect == "ok" else {}
        case(f"label: {title}", expect, "any text", f"0.5:1{tail}".encode(), **more)
    case("not UTF-8", "reply", "an element is UTF-8", b"0.5:1:\xff")
    case("no index", "reply", "a score alone", b"0.5")
    case("empty", "reply", "nothing", b"")


def files() -> list[VectorFile]:
    """Make the files."""
    lookup = VectorFile(
        path="lookup.json",
        description="A published document, a policy, a time and what a caller asks for: a name, or "
        "name:version. `owners` are those of the client's pin. `kid` and `model` are what the "
        "request is sealed to and for. `later_ms` is "
        "the time of sealing, if it is not that of fetching.",
    )
    pins = VectorFile(path="log-pins.json", description="A client's pin, and a whole log.")
    classes = VectorFile(
        path="classes.json", description="Elements of a `BYTES` tensor of top classes."
    )
    for file in (lookup, pins):
        for part in ("quote", "bound", "collateral"):
            file.share(part, EVIDENCE[part])
        file.share("policy", POLICY)
    lookup.share("evidence", EVIDENCE)
    key_cases(lookup)
    model_cases(lookup)
    owner_cases(lookup)
    pin_cases(pins)
    class_cases(classes)
    return [lookup, pins, classes]
