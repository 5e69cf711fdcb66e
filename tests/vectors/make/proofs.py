"""Writes proofs.json: consistency proofs from the tree of a pinned log to that of a directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealflow.documents.log import EntryKind, directory_entry
from sealflow.documents.log_tree import LogTree
from sealflow.owner.trust.log_proof import log_head, tree_head_to_json
from tests.support.trusted.log_proofs import consistency_path
from tests.vectors.make.directory_parts import (
    DOMAIN,
    EVIDENCE,
    POLICY,
    Log,
    directory,
    pin_of,
    publish,
)
from tests.vectors.make.evidence_parts import NOW_MS
from tests.vectors.make.files import VectorFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealflow.documents.directory import Directory

RULE = "directory 4.7"
FORK = "directory_fork"


class Tree:
    """A log with directories, each after an epoch; the tree begins with entry `first`."""

    def __init__(self, versions: int, first: int = 0, name: str = "") -> None:
        """Write the log; `name` makes it another one."""
        self.log, self.first = Log(), first
        self.log.add(EntryKind.OPENED, {"deployment": "test", "name": name})
        self.directories: list[Directory] = []
        for version in range(1, versions + 1):
            self.log.add(EntryKind.EPOCH, {"kid": "sim-" + f"{version:064x}"})
            at = directory(
                version=version,
                previous=None if version == 1 else "dd" * 32,
                log_number=len(self.log.entries) - 1,
                log_digest=self.log.digests[-1],
                log_tree=self.tree() if len(self.log.entries) > first else None,
            )
            self.directories.append(at)
            self.log.add_bytes(directory_entry(at, str(pin_of(at)["digest"])).to_bytes())

    def tree(self) -> LogTree:
        """The tree of all entries so far."""
        found = LogTree(first=self.first)
        for digest in self.log.digests[self.first :]:
            found = found.append(digest)
        return found

    @property
    def document(self) -> dict[str, Any]:
        """The newest directory."""
        return publish(self.directories[-1])

    def pin(self, version: int) -> dict[str, Any]:
        """What a client keeps of a version."""
        at = self.directories[version - 1]
        found = pin_of(at)
        head = log_head(at, str(found["digest"]), DOMAIN)
        return found if head is None else {**found, "log_tree": tree_head_to_json(head)}

    def path(self, size: int, until: int | None = None) -> list[bytes]:
        """The proof from the first `size` entries of the tree."""
        return consistency_path([bytes.fromhex(each) for each in self.leaves[:until]], size)

    @property
    def leaves(self) -> list[str]:
        """The digests of the entries in the tree."""
        return self.log.digests[self.first :]


def proved(
    document: dict[str, Any], size: object, path: list[bytes], **more: Any
) -> dict[str, Any]:
    """A document with a proof."""
    hashes = [each.hex() for each in path]
    return {**document, "log_proof": {"size": size, "hashes": hashes, **more}}


BENT: tuple[tuple[str, Callable[[list[bytes]], list[bytes]]], ...] = (
    ("empty", lambda _: []),
    ("first missing", lambda path: path[1:]),
    ("last missing", lambda path: path[:-1]),
    ("one more", lambda path: [*path, bytes(32)]),
    ("first twice", lambda path: [path[0], *path]),
    ("reversed", lambda path: path[::-1]),
    ("first flipped", lambda path: [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]),
    ("last flipped", lambda path: [*path[:-1], path[-1][:-1] + bytes([path[-1][-1] ^ 1])]),
)


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="proofs.json",
        description="A published document with a consistency proof (RFC 9162, 2.1.4), the pin of a "
        "client that skipped versions, and no log records but where `records` has some.",
    )
    for part in ("quote", "bound", "collateral"):
        file.share(part, EVIDENCE[part])
    file.share("evidence", EVIDENCE)
    file.share("policy", POLICY)
    good = Tree(9)
    file.share("document", good.document)

    def case(
        name: str, expect: str, description: str, document: dict[str, Any], pin: dict[str, Any],
        rule: str = RULE, **more: Any,
    ) -> None:  # fmt: skip
        file.case(
            name, rule, expect, description, document=document, policy=POLICY, now_ms=NOW_MS,
            pin=pin, **more,
        )  # fmt: skip

    def size_of(pin: dict[str, Any]) -> int:
        return int(pin["log_tree"]["size"])

    for version in range(1, 8):
        pin = good.pin(version)
        size = size_of(pin)
        case(f"from {size} entries", "ok", "the proof of the RFC",
             proved(good.document, size, good.path(size)), pin)  # fmt: skip
    for first in (1, 2, 4):
        tree = Tree(9, first)
        pin = tree.pin(4)
        case(f"tree from {first}", "ok", "a tree that begins later",
             proved(tree.document, size_of(pin), tree.path(size_of(pin))), pin)  # fmt: skip
    two = Tree(5)
    pin = two.pin(2)
    case("from 5 to 11", "ok", "other sizes",
         proved(two.document, size_of(pin), two.path(size_of(pin))), pin)  # fmt: skip
    pin = good.pin(3)
    size = size_of(pin)
    path = good.path(size)
    for title, bend in BENT:
        case(f"path: {title}", FORK, "one fault", proved(good.document, size, bend(path)), pin)
    whole = Tree(9, 1)
    power = whole.pin(4)
    for title, bend in BENT:
        bent = bend(whole.path(size_of(power)))
        case(f"path from a power of two: {title}", FORK, "one fault",
             proved(whole.document, size_of(power), bent), power)  # fmt: skip
    _heads(case, good, path)
    _others(case, good, path)
    _forms(case, good, path)
    payload = json.loads(directory().to_bytes())
    for title, tree, expect in _trees():
        published = publish({**payload, "log_tree": tree})
        file.case(f"log_tree: {title}", "directory 2.15", expect, "the tree of a directory",
                  document=published, policy=POLICY, now_ms=NOW_MS)  # fmt: skip
    last = 2**53 - 1
    nodes = ["ab" * 32]
    for number, expect in ((last - 1, "ok"), (last, "directory")):
        changed = {**payload, "log_number": number, "log_tree": {"first": number, "nodes": nodes}}
        file.case(f"log_tree: from {number}", "directory 2.15", expect, "the next has one",
                  document=publish(changed), policy=POLICY, now_ms=NOW_MS)  # fmt: skip
    return [file]


def _heads(case: Callable[..., None], good: Tree, path: list[bytes]) -> None:
    pin = good.pin(3)
    head = pin["log_tree"]
    for title, changed in (
        ("root", {"root": "ab" * 32}),
        ("first", {"first": 1}),
        ("unknown key", {"more": 1}),
    ):
        expect = "ok" if title == "unknown key" else FORK
        document = proved(good.document, head["size"], path)
        case(f"pin: {title}", expect, "of the pinned head", document,
             {**pin, "log_tree": {**head, **changed}})  # fmt: skip
    for size in (20, 19):
        case(f"pin: size {size}, no hashes", FORK, "the pinned log is not shorter",
             proved(good.document, size, []),
             {**pin, "log_tree": {**head, "size": size}})  # fmt: skip
    for size in (6, 8, 19, 20):
        document = proved(good.document, size, path)
        case(f"pin: size {size}", FORK, "the proof is from another size", document,
             {**pin, "log_tree": {**head, "size": size}})  # fmt: skip
    same = log_head(good.directories[-1], str(good.pin(9)["digest"]), DOMAIN)
    assert same is not None
    case("pin: the same head", FORK, "a pin cannot have the head of a later version, and a proof",
         proved(good.document, same.size, [bytes(32)]),
         {**pin, "log_tree": tree_head_to_json(same)})  # fmt: skip


def _others(case: Callable[..., None], good: Tree, path: list[bytes]) -> None:
    pin = good.pin(3)
    size = pin["log_tree"]["size"]
    other = Tree(9, name="other")
    case("another log", FORK, "its own proof leads from another root",
         proved(other.document, size, other.path(size)), pin)  # fmt: skip
    case("another log, with the first one's proof", FORK, "it leads to another root",
         proved(other.document, size, path), pin)  # fmt: skip
    case("proof to an earlier size", FORK, "it ends before the directory's own entry",
         proved(good.document, size, good.path(size, -1)), pin)  # fmt: skip
    unlinked = "directory_unlinked"
    case("no proof", unlinked, "then the log is needed", good.document, pin, "directory 4.7")
    case("proof from another size", unlinked, "it is none for this pin",
         proved(good.document, size + 1, good.path(size + 1)), pin)  # fmt: skip
    records = good.log.records(int(pin["log_number"]) + 1)
    until = good.directories[-1].log_number - int(pin["log_number"])
    case("no proof, but the log", "ok", "links do as well", good.document, pin,
         records=records[:until])  # fmt: skip
    treeless = {key: value for key, value in pin.items() if key != "log_tree"}
    case("pin without a tree", unlinked, "of an earlier release: it needs the log once",
         proved(good.document, size, path), treeless)  # fmt: skip
    plain = Tree(9, first=99)
    case("directory without a tree", unlinked, "of an earlier release", plain.document, pin)
    late = Tree(9, first=2)
    case("next version, another beginning", FORK, "the tree of a log has one beginning",
         late.document, {**late.pin(8), "log_tree": {"first": 0, "size": 9, "root": "ab" * 32},
                         "digest": late.directories[-1].previous})  # fmt: skip


def _forms(case: Callable[..., None], good: Tree, path: list[bytes]) -> None:
    pin = good.pin(3)
    size = int(pin["log_tree"]["size"])
    document = proved(good.document, size, path)
    proof = document["log_proof"]
    rule = "directory 4.6"
    case("proof: unknown key", "ok", "ignored", proved(good.document, size, path, more=1), pin,
         rule)  # fmt: skip
    case("proof: unknown key, critical", "critical", "a later release is needed",
         proved(good.document, size, path, more=1, critical=["more"]), pin, rule)  # fmt: skip
    faults: list[tuple[str, Any]] = [
        (f"size is {json.dumps(bad)}", {**proof, "size": bad})
        for bad in (0, -1, True, "7", None, 1.5, 2**53)
    ]
    faults += [
        (f"hashes is {json.dumps(bad)}", {**proof, "hashes": bad}) for bad in (None, "x", {}, 7)
    ]
    faults += [
        (f"hash is {json.dumps(bad)}", {**proof, "hashes": [bad, *proof["hashes"][1:]]})
        for bad in (None, 7, "", "ab", "AB" * 32, "ab" * 33)
    ]
    faults += [("65 hashes", {**proof, "hashes": ["ab" * 32] * 65})]
    faults += [
        (f"no {name}", {key: value for key, value in proof.items() if key != name})
        for name in proof
    ]
    faults += [(f"is {json.dumps(bad)}", bad) for bad in (None, [], "x", 7)]
    for title, bad in faults:
        case(f"proof: {title}", "document", "not its form",
             {**good.document, "log_proof": bad}, pin, rule)  # fmt: skip
    for title, bad in (*faults[:1], *faults[-1:]):
        case(f"proof that is not needed: {title}", "ok", "it is not looked at",
             {**good.document, "log_proof": bad},
             {**good.pin(8), "digest": good.directories[-1].previous}, rule)  # fmt: skip
    head = pin["log_tree"]
    bent: list[tuple[str, Any]] = [
        (f"{name} is {json.dumps(bad)}", {**head, name: bad})
        for name, values in (
            ("first", (-1, True, "0", None, 2**53)),
            ("size", (0, -1, True, "7", None, 2**53)),
            ("root", (None, 7, "", "ab", "AB" * 32)),
        )
        for bad in values
    ]
    bent += [
        (f"no {name}", {key: value for key, value in head.items() if key != name}) for name in head
    ]
    bent += [(f"is {json.dumps(bad)}", bad) for bad in (None, [], "x", 7)]
    for title, bad in bent:
        case(f"pin: log_tree: {title}", "pin", "not its form", document,
             {**pin, "log_tree": bad}, "directory 3.4")  # fmt: skip


def _trees() -> Iterator[tuple[str, Any, str]]:
    """Trees that end with entry 7, and what is none."""
    node = "ab" * 32
    for first, count in ((0, 1), (1, 3), (4, 1), (5, 2), (7, 1)):
        tree = {"first": first, "nodes": [node] * count}
        yield f"from {first}", tree, "ok"
        for nodes in ([node] * (count + 1), [node] * (count - 1)):
            yield f"from {first}: {len(nodes)} nodes", {**tree, "nodes": nodes}, "directory"
    good = {"first": 7, "nodes": [node]}
    yield "unknown key", {**good, "more": 1}, "ok"
    yield "unknown key, critical", {**good, "more": 1, "critical": ["more"]}, "critical"
    for fault in (8, 9, -1, True, "7", None, 1.5, 2**53):
        yield f"first is {json.dumps(fault)}", {**good, "first": fault}, "directory"
    for bent in (node.upper(), node[:-2], node + "ab", 7, None, ""):
        yield f"node is {json.dumps(bent)}", {**good, "nodes": [bent]}, "directory"
    for none in ("x", None, {}, 7):
        yield f"nodes is {json.dumps(none)}", {**good, "nodes": none}, "directory"
    for missing in good:
        rest = {key: value for key, value in good.items() if key != missing}
        yield f"no {missing}", rest, "directory"
    for fault in (None, [], "x", 7, {}):
        yield f"is {json.dumps(fault)}", fault, "directory"
