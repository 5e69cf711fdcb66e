"""Pins, links and the log: rollback, fork, restart and expiry are each told by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealflow.documents.log import SignedEntry
from sealflow.errors import ConfigError, EvidenceError, PolicyError
from sealflow.owner import EntryKind, LogEntry, Role, TrustDomain, audit_log
from sealflow.owner.audit.log_audit import describe
from sealflow.owner.trust.pin import DirectoryPin, PinnedDirectory
from sealflow.owner.trust.session import ServiceSession
from tests.support.trusted.keybroker import NOW_MS, KeyBrokerInstance, keybroker_deployment

if TYPE_CHECKING:
    from pathlib import Path

POLICY = keybroker_deployment().deployment.policy(Role.KEY_BROKER)


def _published(count: int = 6) -> tuple[KeyBrokerInstance, list[bytes]]:
    """An instance and its directories so far, as published."""
    broker = KeyBrokerInstance().lead()
    documents = [broker.document]
    for number in range(count):
        broker.publish(f"m{number}")
        documents.append(broker.document)
    return broker, documents


def _session(pin: Path | None = None, at_ms: int = NOW_MS) -> ServiceSession:
    return ServiceSession(POLICY, pin=pin, clock_ms=lambda: at_ms)


def _adopt(session: ServiceSession, document: bytes, records: list[bytes] | None = None) -> None:
    candidate = session.verify_directory(document)
    gap = candidate.gap
    found = [] if records is None or gap is None else records[gap.after + 1 : gap.until + 1]
    session.accept(candidate, found)


def _refused(code: str, session: ServiceSession, document: bytes, **kwargs: list[bytes]) -> None:
    before = session.verified
    with pytest.raises(EvidenceError) as caught:
        _adopt(session, document, **kwargs)
    assert caught.value.code == code
    assert session.verified is before


def test_older_directories_are_refused_over_a_restart(tmp_path: Path) -> None:
    """The pin is on disk: another process of the client knows what the first one saw."""
    _, documents = _published()
    path = tmp_path / "client.pin"
    first = _session(path)
    for document in documents[:4]:
        _adopt(first, document)
    second = _session(path)
    _adopt(second, documents[3])
    _refused("directory_rollback", second, documents[2])
    _adopt(second, documents[4])
    _refused("directory_rollback", first, documents[3])


def test_expired_directories_are_refused() -> None:
    """And those from the future."""
    broker, documents = _published(0)
    life_ms = 1000 * keybroker_deployment().deployment.directory_s
    _adopt(_session(at_ms=NOW_MS + life_ms - 1), documents[0])
    _refused("directory_expired", _session(at_ms=NOW_MS + life_ms), documents[0])
    _refused("directory_early", _session(at_ms=NOW_MS - 300_001), broker.document)


def test_a_fork_is_refused() -> None:
    """Two directories of one version, or a successor of another one than was seen."""
    first = KeyBrokerInstance().lead()
    first.publish("m0")
    fork = first.successor()
    first.publish("m1")
    session = _session()
    _adopt(session, first.document)
    _refused("directory_fork", session, fork.document)
    fork.publish("m2")
    _refused("directory_fork", session, fork.document)


def test_a_fork_that_skips_versions_is_found_by_the_log() -> None:
    """The log of the fork does not lead from what was pinned; without any log it goes unseen."""
    first = KeyBrokerInstance().lead()
    fork = first.successor()
    first.publish("m1")
    session = _session()
    _adopt(session, first.document)
    for number in range(3):
        fork.publish(f"n{number}")
    _refused("directory_fork", session, fork.document, records=fork.records)
    _refused("directory_fork", session, fork.document, records=first.records + fork.records)


def test_skipped_versions_are_linked_by_the_log() -> None:
    """The genuine log leads from one directory to the other."""
    broker, documents = _published()
    for start in range(4):
        session = _session()
        _adopt(session, documents[start])
        _adopt(session, documents[-1], broker.records)
        assert session.verified is not None
        assert session.verified.directory.version == len(documents)
    session = _session()
    _adopt(session, documents[0])
    damaged = list(broker.records)
    damaged[-3] = damaged[-4]
    _refused("directory_fork", session, documents[-1], records=damaged)
    damaged[-3] = b"noise"
    _refused("directory_fork", session, documents[-1], records=damaged)


def test_a_new_history_is_refused() -> None:
    """A key broker that lost its state, or whose host hides it, is not the one that was pinned."""
    session = _session()
    _adopt(session, KeyBrokerInstance().lead().document)
    _refused("directory_history", session, KeyBrokerInstance().lead().document)


def test_a_pin_of_other_settings_does_not_count(tmp_path: Path) -> None:
    """New settings come with a new policy, and so with a new history."""
    path = tmp_path / "client.pin"
    broker = KeyBrokerInstance().lead()
    _adopt(_session(path), broker.document)
    pin = PinnedDirectory.from_bytes(path.read_bytes())
    path.write_bytes(replace(pin, manifest_digest="0" * 64, log_id="0" * 64).to_bytes())
    _adopt(_session(path), broker.document)
    assert DirectoryPin(path).pin == pin


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version":1}', b"\xff"])
def test_a_pin_that_does_not_parse_is_said(tmp_path: Path, content: bytes) -> None:
    """Nobody begins anew in silence."""
    path = tmp_path / "client.pin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"client\.pin"):
        DirectoryPin(path)


def test_a_pin_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Rather than to forget."""
    with pytest.raises(ConfigError, match=r"client\.pin"):
        _adopt(_session(tmp_path / "none" / "client.pin"), KeyBrokerInstance().lead().document)


def test_a_pinned_directory_is_in_the_log(tmp_path: Path) -> None:
    """Or the log says that it is not."""
    broker, documents = _published(3)
    path = tmp_path / "client.pin"
    _adopt(_session(path), documents[2])
    pin = PinnedDirectory.from_bytes(path.read_bytes())
    log = broker.log()
    log.require_pinned(path)
    for wrong in (
        replace(pin, digest="0" * 64),
        replace(pin, log_digest="0" * 64),
        replace(pin, log_id="0" * 64),
        replace(pin, log_number=999),
        replace(pin, version=pin.version + 1),
    ):
        path.write_bytes(wrong.to_bytes())
        with pytest.raises(EvidenceError) as caught:
            log.require_pinned(path)
        assert caught.value.code == "log_pin"
    with pytest.raises(ConfigError, match="there is no pin"):
        log.require_pinned(tmp_path / "absent.pin")


def _audit_fails(code: str, records: list[bytes]) -> None:
    with pytest.raises(EvidenceError) as caught:
        audit_log(records, POLICY)
    assert caught.value.code == code


def test_a_log_that_was_touched_is_refused() -> None:
    """Cut at the front, entries left out, exchanged, damaged, or added by somebody else."""
    broker, _ = _published(2)
    records = broker.records
    assert audit_log(records, POLICY).head == broker.log().digests[-1]
    audit_log(records[:-2], POLICY)
    _audit_fails("log_chain", [])
    _audit_fails("log_chain", records[1:])
    _audit_fails("log_chain", [*records[:2], *records[3:]])
    _audit_fails("log_chain", [*records[:2], records[3], records[2], *records[4:]])
    _audit_fails("log_chain", [*records[:-1], records[-1][:-1]])
    _audit_fails("log_chain", [b"{}"])
    other = KeyBrokerInstance().lead()
    _audit_fails("log_chain", [*records, *other.records])
    head, number = broker.log().head, len(records)
    forged = LogEntry(
        number=number,
        previous=head,
        at_ms=NOW_MS,
        kind=EntryKind.PUBLICATION,
        body={},
    )
    signed = SignedEntry.sign(forged, other.identity.signing, TrustDomain.SIMULATED)
    _audit_fails("log_signature", [*records, signed.to_bytes()])
    early = replace(forged, at_ms=NOW_MS - 1)
    mine = SignedEntry.sign(early, broker.identity.signing, TrustDomain.SIMULATED)
    _audit_fails("log_chain", [*records, mine.to_bytes()])
    first = LogEntry(number=0, previous=None, at_ms=NOW_MS, kind=EntryKind.EPOCH, body={})
    alone = SignedEntry.sign(first, broker.identity.signing, TrustDomain.SIMULATED)
    _audit_fails("log_opened", [alone.to_bytes()])


def test_a_log_of_another_key_broker_is_refused() -> None:
    """The policy says whose log counts."""
    broker, _ = _published(0)
    other = replace(POLICY, manifest_digest="0" * 64)
    with pytest.raises(PolicyError):
        audit_log(broker.records, other)


def test_entries_are_described_on_one_line() -> None:
    """Without evidence, keys and signatures."""
    broker, _ = _published(1)
    for entry in broker.log().entries:
        text = describe(entry)
        assert "\n" not in text
        assert len(text) < 300
