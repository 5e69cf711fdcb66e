"""`sealflow log` and `sealflow receipt`: logs that are whole, changed, or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.owner import RevokedKind, Role
from sealflow.owner.trust.policy_file import write_policy
from tests.support.passports.signed_notes import verify_note
from tests.support.sealing.receipts import ReceiptService
from tests.support.trusted.keybroker import KeyBrokerInstance, keybroker_deployment, make_identity

if TYPE_CHECKING:
    from tests.support.cluster.command_line import RunCommand
    from tests.support.cluster.scripted_service import ScriptedService


@pytest.fixture
def log(tmp_path: Path) -> tuple[str, ...]:
    """A log with a publication, a grant and a revocation; and the options to read it."""
    broker = KeyBrokerInstance().lead()
    broker.publish("m")
    worker = make_identity(Role.WORKER)
    broker.grant(worker)
    broker.revoke(RevokedKind.WORKER, worker.instance)
    path, policy = tmp_path / "log", tmp_path / "client.toml"
    path.write_bytes(b"".join(record + b"\n" for record in broker.records))
    write_policy(policy, keybroker_deployment().deployment.policy(Role.KEY_BROKER))
    return str(path), "--policy", str(policy)


def test_log_is_verified(run: RunCommand, log: tuple[str, ...]) -> None:
    """A log that is whole is said to be, with its head; a simulation is named."""
    said = run("log", "verify", *log, "--json").json
    assert said["verified"]
    assert said["simulated"]
    shown = run("log", "verify", *log)
    assert said["head"] in shown.out
    assert "SIMULATED" in shown.err


def test_log_is_shown(run: RunCommand, log: tuple[str, ...]) -> None:
    """All entries, or those of one kind, as a table or a line each."""
    lines = [json.loads(line) for line in run("log", "show", *log, "--json").out.splitlines()]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    kinds = {line["kind"] for line in lines}
    assert {"grant", "revocation"} <= kinds
    grants = run("log", "show", *log, "--kind", "grant", "--json").json
    assert grants["kind"] == "grant"
    table = run("log", "show", *log).out
    assert "revocation" in table


@pytest.mark.parametrize("damage", ["cut", "swapped", "flipped", "text"])
def test_log_that_was_changed(run: RunCommand, log: tuple[str, ...], damage: str) -> None:
    """A log from which something is missing, or in which something was changed, is refused."""
    path = Path(log[0])
    records = path.read_bytes().splitlines(keepends=True)
    if damage == "cut":
        del records[1]
    elif damage == "swapped":
        records[1], records[2] = records[2], records[1]
    elif damage == "flipped":
        at = len(records[2]) // 2
        records[2] = records[2][:at] + bytes([records[2][at] ^ 1]) + records[2][at + 1 :]
    else:
        records.append(b"hello\n")
    path.write_bytes(b"".join(records))
    for words in (("log", "verify"), ("log", "show")):
        done = run(*words, *log)
        assert done.code in (1, 3), done.err
        assert done.out == ""
        assert done.err.startswith("error: ")


def test_logs_that_are_not_there(run: RunCommand, log: tuple[str, ...], tmp_path: Path) -> None:
    """Files that are missing, empty or no pins are named."""
    absent = tmp_path / "absent"
    for words in (
        ("log", "verify", absent, *log[1:]),
        ("log", "verify", log[0], "--policy", absent),
        ("log", "verify", *log, "--pin", absent),
        ("receipt", "verify", absent, "--log", *log),
    ):
        done = run(*words)
        assert done.code == 2, done.err
        assert "absent" in done.err
    absent.touch()
    none = run("receipt", "verify", absent, "--log", *log)
    assert (none.code, "has no receipts" in none.err) == (2, True)
    absent.write_text("{}\n")
    assert run("receipt", "verify", absent, "--log", *log).code != 0


def test_log_that_cannot_be_written(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, tmp_path: Path
) -> None:
    """A log file in a folder that is not there is named, without a traceback."""
    done = run("log", "fetch", tmp_path / "absent" / "log", *reach)
    assert done.code in (2, 3)
    assert done.err.startswith("error: ")


@pytest.fixture
def key(run: RunCommand, tmp_path: Path) -> tuple[str, ...]:
    """The options of a verifier that exports."""
    path = str(tmp_path / "verifier.key")
    assert run("verifier", "init", "--key", path).code == 0
    return ("--key", path, "--origin", "hospital.example/log")


def test_checkpoint(
    run: RunCommand, log: tuple[str, ...], key: tuple[str, ...], tmp_path: Path
) -> None:
    """A log's head as a signed note; the next one must be of the same log."""
    out = tmp_path / "checkpoint"
    options = (*log, *key, "--out", out)
    said = run("log", "checkpoint", *options, "--json").json
    assert said["origin"] == "hospital.example/log/simulated"
    text = verify_note(out.read_text(), said["vkey"])
    assert text.splitlines()[1] == str(said["size"])
    again = run("log", "checkpoint", *options)
    assert again.code == 0
    assert said["vkey"] in again.out
    path = Path(log[0])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    cut = run("log", "checkpoint", *options)
    assert cut.code == 3
    assert "checkpoint_fork" in cut.err
    assert verify_note(out.read_text(), said["vkey"]) == text


def test_proof(run: RunCommand, log: tuple[str, ...], key: tuple[str, ...], tmp_path: Path) -> None:
    """An entry with the path to the root; one that is not there is named."""
    out = tmp_path / "receipt.cose"
    said = run("log", "prove", log[0], "1", *log[1:], *key, "--out", out, "--json").json
    assert said["entry"] == 1
    assert bytes.fromhex("d284") == out.read_bytes()[:2]
    assert said["leaf"] in run("log", "prove", log[0], "1", *log[1:], *key, "--out", out).out
    absent = run("log", "prove", log[0], "999", *log[1:], *key, "--out", out)
    assert absent.code == 2
    assert "no entry 999" in absent.err


def test_export(run: RunCommand, key: tuple[str, ...], tmp_path: Path) -> None:
    """Each receipt becomes a statement, once it was checked; a forged one becomes none."""
    service = ReceiptService()
    proof, _ = service.exchange()
    assert proof is not None
    path, receipts, policy = (tmp_path / name for name in ("log", "receipts", "client.toml"))
    path.write_bytes(b"".join(record + b"\n" for record in service.broker.records))
    receipts.write_bytes(proof.to_bytes() + b"\n")
    write_policy(policy, keybroker_deployment().deployment.policy(Role.KEY_BROKER))
    options = ("--log", path, "--policy", policy, *key, "--out", tmp_path / "out")
    said = run("receipt", "export", receipts, *options, "--json").json
    assert proof.request not in Path(said["statement"]).read_bytes()
    assert f"log entry {said['log_entry']}" in run("receipt", "export", receipts, *options).out
    forged = replace(proof, signed=replace(proof.signed, signature=bytes(64)))
    receipts.write_bytes(forged.to_bytes() + b"\n")
    Path(said["statement"]).unlink()
    ended = run("receipt", "export", receipts, *options)
    assert ended.code == 3
    assert "receipt_signature" in ended.err
    assert not Path(said["statement"]).exists()
