"""`sealflow doctor`, as a whole."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sealflow.cli.doctor import doctor
from tests.sim.machines import SGX_MACHINE, machine

if TYPE_CHECKING:
    from pathlib import Path


def look(root: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command on a machine below a folder; gives the exit code and what was found."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [f"--root={root}", f"--port={port}", "--json", *arguments]
    done = CliRunner().invoke(doctor, command)
    return done.exit_code, json.loads(done.stdout)


def test_trial_machine(tmp_path: Path) -> None:
    """A machine without SGX is good enough for trials, with a warning."""
    code, said = look(machine(tmp_path, {"proc/meminfo": "MemAvailable: 9000000 kB\n"}).root)
    assert code == 0
    assert (said["warn"], said["fail"]) == (1, 0)
    assert said["findings"][0]["check"] == "sgx"


def test_sgx_machine(tmp_path: Path) -> None:
    """What fails for enclaves exits with 1, and every failure has a fix."""
    code, said = look(machine(tmp_path).root, "--sgx-mode=sgx")
    failures = {each["check"] for each in said["findings"] if each["verdict"] == "fail"}
    assert code == 1
    assert failures == {"aesm", "pccs"}
    assert all(each["fix"] for each in said["findings"] if each["verdict"] != "pass")


def test_make_links(tmp_path: Path) -> None:
    """The old links are made when they are asked for, and only then."""
    files = {**SGX_MACHINE, "dev/sgx/enclave": None, "dev/sgx/provision": None}
    root = machine(tmp_path, files).root
    look(root, "--sgx-mode=sgx")
    assert not (root / "dev/sgx").exists()
    _, said = look(root, "--sgx-mode=sgx", "--make-links")
    assert (root / "dev/sgx/provision").is_symlink()
    links = [each for each in said["findings"] if each["check"] == "/dev/sgx"]
    assert links[0]["verdict"] == "pass"


@pytest.mark.parametrize("mode", ["nonsgx", "sgx"])
def test_table(tmp_path: Path, mode: str) -> None:
    """People get a table with verdicts, checks and fixes."""
    root = machine(tmp_path, {}).root
    done = CliRunner().invoke(doctor, [f"--root={root}", f"--sgx-mode={mode}"])
    assert "warn" in done.stdout
    assert "Intel" in done.stdout
    assert ("aesm" in done.stdout) is (mode == "sgx")
