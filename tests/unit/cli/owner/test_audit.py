"""`sealflow log` and `sealflow receipt`: logs that are whole, changed, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.owner import RevokedKind, Role
from sealflow.owner.trust.policy_file import write_policy
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
