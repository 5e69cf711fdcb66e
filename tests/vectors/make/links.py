"""Writes links.json: the log between a pinned directory and a later one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealflow.documents.log import EntryKind
from tests.vectors.make.directory_parts import (
    EVIDENCE,
    POLICY,
    Log,
    directory,
    pin_of,
    publish,
)
from tests.vectors.make.evidence_parts import NOW_MS
from tests.vectors.make.files import VectorFile
from tests.vectors.make.spellings import BAD_BASE64, BAD_JSON

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = "directory 4.1"
PINNED, NEWEST = 2, 5


class Chain:
    """A log with directories 1 to 4, and the pin of a client that saw the second."""

    def __init__(
        self, change: Callable[[Chain, int, dict[str, Any]], dict[str, Any]] | None = None
    ) -> None:
        """Write the log; `change` alters an entry's body or keys by the directory's version."""
        self.log = Log()
        self.log.add(EntryKind.OPENED, {"deployment": "test"})
        self.pin: dict[str, Any] = {}
        for version in range(1, NEWEST):
            self.log.add(EntryKind.EPOCH, {"kid": "sim-" + f"{version:064x}"})
            at = directory(
                version=version,
                log_number=len(self.log.entries) - 1,
                log_digest=self.log.digests[-1],
            )
            body = {"version": version, "digest": pin_of(at)["digest"]}
            if version == PINNED:
                self.pin = pin_of(at)
            changed = {"body": body} if change is None else change(self, version, body)
            self.log.add(EntryKind.DIRECTORY, **changed)

    @property
    def document(self) -> dict[str, Any]:
        """The newest directory, which names the log's newest entry."""
        newest = directory(
            version=NEWEST,
            log_number=len(self.log.entries) - 1,
            log_digest=self.log.digests[-1],
        )
        return publish(newest)

    @property
    def records(self) -> list[str]:
        """What a client asks for."""
        return self.log.records(int(self.pin["log_number"]) + 1)


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="links.json",
        description="A published document, the pin of a client that skipped versions, and the log "
        "`records` that it was given: those after the pin's `log_number` up to the document's.",
    )
    for part in ("quote", "bound", "collateral"):
        file.share(part, EVIDENCE[part])
    file.share("evidence", EVIDENCE)
    file.share("policy", POLICY)
    good = Chain()
    file.share("document", good.document)

    def case(
        name: str, expect: str, description: str, records: list[str], chain: Chain = good,
        pin: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        file.case(
            name, RULE, expect, description, document=chain.document, policy=POLICY, now_ms=NOW_MS,
            pin=pin or chain.pin, records=records,
        )  # fmt: skip

    records = good.records
    fork = "directory_fork"
    case("good", "ok", "one chain from the pin to the new directory", records)
    unlinked = "directory_unlinked"
    case("withheld", unlinked, "none", [])
    case("withheld in part", unlinked, "fewer than there are", records[:-1])
    case("withheld, and another begin", fork, "what came already contradicts the pin",
         records[:2], pin={**good.pin, "log_digest": "ab" * 32})  # fmt: skip
    case("order", fork, "two records changed places", [records[1], records[0], *records[2:]])
    case("one twice", fork, "one comes twice, another is missing",
         [records[0], records[0], *records[2:]])  # fmt: skip
    case("another end", fork, "the last is not the one that the directory names",
         [*records[:-1], Chain(_with_body(NEWEST - 1, more=1)).records[-1]])  # fmt: skip
    case("another begin", fork, "the first does not follow the pinned entry", records,
         pin={**good.pin, "log_digest": "ab" * 32})  # fmt: skip
    for title, change, description in (
        (
            "pinned digest",
            _with_body(PINNED, digest="ab" * 32),
            "the pinned version is another one",
        ),
        (
            "pinned version missing",
            _with_body(PINNED, version=9),
            "the pinned version is not there",
        ),
        ("pinned digest: number", _with_body(PINNED, digest=7), "it is no digest"),
        ("number", _with_keys(3, number=99), "an entry has another number"),
        ("previous", _with_keys(3, previous="ab" * 32), "an entry names another before it"),
    ):
        chain = Chain(change)
        case(title, fork, description, chain.records, chain)
    for title, change, expect, description in (
        ("entry of later", _with_keys(3, kind="region"), "ok", "an unknown kind is skipped"),
        ("time", _with_keys(3, at_ms=-1), fork, "an entry that has not its form"),
        ("body", _with_keys(3, body=[]), fork, "an entry that has not its form"),
        ("no body", _with_keys(3, body=None), fork, "an entry that has not its form"),
        ("unknown key", _with_keys(3, more=1), "ok", "ignored"),
        ("number: text", _with_keys(3, number="6"), fork, "an entry that has not its form"),
    ):
        chain = Chain(change)
        case(title, expect, description, chain.records, chain)
    unsigned = [json.dumps({**json.loads(each), "signature": "AAAA"}) for each in records]
    case("other signatures", "ok", "no signature is needed", unsigned)
    spaced = [json.dumps(json.loads(each), indent=1) for each in records]
    case("records spelled anew", "ok", "the entry's bytes count", spaced)
    case("unknown key beside the entry", "ok", "ignored",
         [json.dumps({**json.loads(each), "more": 1}) for each in records])  # fmt: skip
    first = json.loads(records[0])
    for fault, respell, description in BAD_BASE64:
        if not str(first["signature"]).endswith("=="):
            break
        bent = {**first, "signature": respell(first["signature"])}
        case(f"base64: {fault}", fork, description, [json.dumps(bent), *records[1:]])
    for title, bent in (
        ("no entry", {"signature": first["signature"]}),
        ("no signature", {"entry": first["entry"]}),
        ("entry: number", {**first, "entry": 7}),
    ):
        case(title, fork, "a record that has not its form", [json.dumps(bent), *records[1:]])
    for fault, spelled, description in BAD_JSON[-8:]:
        bent_text = spelled(records[0].encode()).decode()
        case(f"JSON: {fault}", fork, description, [bent_text, *records[1:]])
    return [file]


def _with_body(at: int, **changes: Any) -> Callable[[Chain, int, dict[str, Any]], dict[str, Any]]:
    return lambda _chain, version, body: {"body": {**body, **changes} if version == at else body}


def _with_keys(at: int, **changes: Any) -> Callable[[Chain, int, dict[str, Any]], dict[str, Any]]:
    return lambda _chain, version, body: (
        {"body": body, **({"keys": changes} if version == at else {})}
    )
