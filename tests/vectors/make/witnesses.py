"""Writes witnesses.json: cosignatures beside published documents, and policies that demand them."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from sealflow.attest.verifiers import TrustedWitness
from sealflow.owner.trust.log_proof import log_head
from sealflow.owner.witness.cosignature import cosign, log_checkpoint_text
from sealflow.wire.domain import TrustDomain
from tests.vectors.make.directory_parts import (
    DOMAIN,
    EVIDENCE,
    HISTORY,
    POLICY,
    pin_of,
)
from tests.vectors.make.evidence_parts import NOW_MS, signing_key
from tests.vectors.make.files import VectorFile
from tests.vectors.make.proofs import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW_S = NOW_MS // 1000
NAMES = ("example.org/a", "example.org/b", "example.org/c")
UNWITNESSED = "directory_unwitnessed"
BYTE_1 = b"\x01"


def witness(name: str, key: str | None = None) -> TrustedWitness:
    """A witness, with the key of another name where that is given."""
    public = signing_key(key or name).public_key().public_bytes_raw()
    return TrustedWitness(name=name, public=public)


def line(text: str, name: str, at_s: int = NOW_S, key: str | None = None) -> str:
    """A cosignature over a checkpoint."""
    return cosign(text, witness(name, key), signing_key(key or name).sign, at_s)


VKEYS = [witness(name).to_text() for name in NAMES]


def policy(**log: Any) -> dict[str, Any]:
    """The policy with a table `log`."""
    return {**POLICY, "log": {"witnesses": VKEYS, "witnesses_required": 2, **log}}


def bend(text: str, at: int, by: bytes) -> str:
    """A cosignature with other bytes in what is signed or named."""
    dash, name, encoded = text.split(" ")
    content = b64decode(encoded)
    changed = content[:at] + by + content[at + len(by) :]
    return f"{dash} {name} {b64encode(changed).decode()}"


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="witnesses.json",
        description="Published documents with cosignatures of witnesses (C2SP tlog-cosignature), "
        "and a policy whose table `log` names three witnesses.",
    )
    for part in ("quote", "bound", "collateral"):
        file.share(part, EVIDENCE[part])
    file.share("evidence", EVIDENCE)
    file.share("policy", policy())
    tree = Tree(3)
    document = file.share("document", tree.document)
    at = tree.directories[-1]
    head = log_head(at, str(pin_of(at)["digest"]), DOMAIN)
    assert head is not None
    text = log_checkpoint_text(head, HISTORY, DOMAIN)

    def case(
        name: str, expect: str, description: str, lines: Any, rule: str = "3.1",
        demands: dict[str, Any] | None = None, of: dict[str, Any] = document,
    ) -> None:  # fmt: skip
        file.case(
            name, f"witness {rule}", expect, description,
            document=of if lines is None else {**of, "cosignatures": lines},
            policy=policy() if demands is None else demands, now_ms=NOW_MS,
        )  # fmt: skip

    first, second, third = (line(text, name) for name in NAMES)
    case("two of three", "ok", "as many as are demanded", [first, second])
    case("all", "ok", "more than are demanded", [first, second, third])
    case("another order", "ok", "their order does not matter", [third, first])
    case("no key", UNWITNESSED, "no cosignatures", None)
    case("none", UNWITNESSED, "no cosignatures", [])
    case("one", UNWITNESSED, "too few", [first])
    case("one twice", UNWITNESSED, "one witness counts once",
         [first, first, line(text, NAMES[0], NOW_S - 1)])  # fmt: skip
    case("not demanded", "ok", "a policy without witnesses does not look at them", ["x", 7],
         demands=POLICY)  # fmt: skip
    every = policy()
    del every["log"]["witnesses_required"]
    case("all are demanded: two", UNWITNESSED, "without a number all must sign", [first, second],
         "3.2", every)  # fmt: skip
    case("all are demanded: three", "ok", "all signed", [first, second, third], "3.2", every)
    plain = Tree(3, first=99)
    case("directory without a tree", UNWITNESSED, "there is nothing that they signed",
         [first, second], of=plain.document)  # fmt: skip
    good = [second]
    for title, bent in _bent(first, text):
        case(f"line: {title}", UNWITNESSED, "it does not count", [bent, *good], "2.2")
    for title, wrong in _texts(text, tree):
        case(f"checkpoint: {title}", UNWITNESSED, "it is another head",
             [line(wrong, name) for name in NAMES], "1.1")  # fmt: skip
    for title, at_s, age, expect in (
        ("now", NOW_S, None, "ok"),
        ("long ago", 1, None, "ok"),
        ("zero", 0, None, UNWITNESSED),
        ("5 minutes ahead", NOW_S + 300, None, "ok"),
        ("over 5 minutes ahead", NOW_S + 301, None, UNWITNESSED),
        ("largest", 2**64 - 1, None, UNWITNESSED),
        ("in time", NOW_S - 59, 60, "ok"),
        ("too old", NOW_S - 60, 60, UNWITNESSED),
    ):
        demands = policy() if age is None else policy(max_age_s=age)
        case(f"time: {title}", expect, "the time that is signed",
             [line(text, name, at_s) for name in NAMES], "3.3", demands)  # fmt: skip
    newer = [line(text, NAMES[0], NOW_S - 60), first, second]
    case("time: one of two", "ok", "the newest of a witness counts", newer, "3.3",
         policy(max_age_s=60))  # fmt: skip
    for title, lines in (
        ("null", None),
        ("text", first),
        ("object", {}),
        ("number", [7, first, second]),
        ("17", [first, second, *["x"] * 15]),
        ("400 characters", [first, second, "x" * 400]),
        ("401 characters", [first, second, "x" * 401]),
        ("16", [first, second, *["x"] * 14]),
    ):
        expect = "ok" if title in {"16", "400 characters"} else "document"
        of = {**document, "cosignatures": None} if lines is None else document
        case(f"list: {title}", expect, "at most 16 texts", lines, "2.1", of=of)
    return [file]


def _bent(good: str, text: str) -> Iterator[tuple[str, str]]:
    yield "another key", line(text, NAMES[0], key="stranger")
    own = witness(NAMES[0]).key_id
    yield "another key under this id", bend(line(text, NAMES[0], key="stranger"), 0, own)
    yield "a stranger", line(text, "example.org/d")
    yield "name of another", line(text, NAMES[2]).replace(NAMES[2], NAMES[0])
    yield "id", bend(good, 0, bytes(4))
    yield "time", bend(good, 4, (NOW_S + 1).to_bytes(8))
    yield "R", bend(good, 12, bytes(1))
    yield "S", bend(good, 44, bytes(2))
    yield "no dash", good[2:]
    yield "hyphen", good.replace("—", "-")
    yield "two spaces", good.replace(" ", "  ", 1)
    yield "line end", good + "\n"
    yield "cut", good[:-4]
    yield "longer", good[:-2] + "AAAA=="
    yield "unused bits", good[:-3] + chr(ord(good[-3]) + 1) + "=="
    yield "checkpoint itself signed", _plain(text)


def _plain(text: str) -> str:
    """A signature over the checkpoint without the words and the time of a cosignature."""
    key = signing_key(NAMES[0])
    content = witness(NAMES[0]).key_id + NOW_S.to_bytes(8) + key.sign(text.encode())
    return f"— {NAMES[0]} {b64encode(content).decode()}"


def _texts(text: str, tree: Tree) -> Iterator[tuple[str, str]]:
    origin, size, root, _ = text.split("\n")
    other = Tree(3, name="other")
    for title, of, version in (("another log", other, 3), ("an earlier head", tree, 2)):
        at = of.directories[version - 1]
        head = log_head(at, str(pin_of(at)["digest"]), DOMAIN)
        assert head is not None
        yield title, log_checkpoint_text(head, HISTORY, DOMAIN)
    yield "another history", text.replace(HISTORY, "ab" * 32)
    yield "of hardware", text.replace("/simulated", "")
    yield "another beginning", text.replace("/simulated", "/1/simulated")
    yield "size", f"{origin}\n{int(size) + 1}\n{root}\n"
    yield "root", f"{origin}\n{size}\n{b64encode(bytes(32)).decode()}\n"
    yield "no line end", text[:-1]
    yield "extension", f"{text}more\n"
    assert text.endswith(f"{root}\n")
    assert TrustDomain.SIMULATED is DOMAIN


def witness_tables() -> Iterator[tuple[str, str, Any]]:
    """Tables `log` of policies with what comes of them."""
    name, key_id, key = VKEYS[0].split("+", 2)
    yield "least", "ok", {"witnesses": VKEYS[:1]}
    yield "whole", "ok", {"witnesses": VKEYS, "witnesses_required": 1, "max_age_s": 604_800}
    for least in (1, 3):
        yield f"{least} of 3", "ok", {"witnesses": VKEYS, "witnesses_required": least}
    bad = "config"
    for fault in (0, 4, -1, True, "1", None, 1.5):
        title = f"witnesses_required {json.dumps(fault)}"
        yield title, bad, {"witnesses": VKEYS, "witnesses_required": fault}
    for fault in (0, 604_801, -1, True, "60", None, 1.5):
        yield f"max_age_s {json.dumps(fault)}", bad, {"witnesses": VKEYS, "max_age_s": fault}
    for title, texts in (
        ("none", []),
        ("text", VKEYS[0]),
        ("null", None),
        ("number", [7]),
        ("16", [witness(f"w{number}").to_text() for number in range(16)]),
        ("17", [witness(f"w{number}").to_text() for number in range(17)]),
        ("name twice", [VKEYS[0], witness(NAMES[0], "other").to_text()]),
        ("key twice", [VKEYS[0], witness("example.org/d", NAMES[0]).to_text()]),
        ("the same twice", [VKEYS[0], VKEYS[0]]),
        ("id of another", [f"{name}+{'0' * 8}+{key}"]),
        ("id in capitals", [f"{name}+{key_id.upper()}+{key}"]),
        ("another name", [f"x+{key_id}+{key}"]),
        ("no name", [f"+{key_id}+{key}"]),
        ("space in the name", [f"a b+{key_id}+{key}"]),
        ("key of signed notes", [_vkey(BYTE_1)]),
        (
            "key of signed notes, under this id",
            [f"{name}+{key_id}+{_vkey(BYTE_1).split('+', 2)[2]}"],
        ),
        ("short key", [f"{name}+{key_id}+{key[:-4]}"]),
        ("longer key", [f"{name}+{key_id}+{key}AAAA"]),
        ("base64url", [f"{name}+{key_id}+{key[:-1]}_"]),
        ("line end", [f"{VKEYS[0]}\n"]),
    ):
        yield f"witnesses: {title}", "ok" if title == "16" else bad, {"witnesses": texts}
    yield "no witnesses", bad, {"witnesses_required": 1}
    yield "unknown key", bad, {"witnesses": VKEYS, "more": 1}
    for fault in (None, [], "x", 7, {}):
        yield f"is {json.dumps(fault)}", bad, fault


def _vkey(kind: bytes) -> str:
    content = kind + witness(NAMES[0]).public
    named = hashlib.sha256(f"{NAMES[0]}\n".encode() + content).hexdigest()[:8]
    return f"{NAMES[0]}+{named}+{b64encode(content).decode()}"
