"""`sealflow verify` against a running cluster, as people and scripts meet it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.cluster.local_cluster import PHOTOS, sealflow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.local_cluster import LocalCluster

MARK = "SIMULATED TEE: nothing is protected from whoever runs these machines"
WORSE = {
    "manifest_digest": (r'(?m)^manifest_digest = "\w+"', f'manifest_digest = "{"a" * 64}"'),
    "svn": (r"(?m)^min_svn = \d+", "min_svn = 7"),
}


def run(cluster: LocalCluster, *arguments: object, **environment: str) -> Any:
    """Run a command against the cluster, with its output piped."""
    command = sealflow(*map(str, arguments), "--home", str(cluster.home))
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def on_terminal(cluster: LocalCluster, *arguments: object, **environment: str) -> bytes:
    """Run a command on a terminal and give all that it printed."""
    leader, follower = pty.openpty()
    command = sealflow(*map(str, arguments), "--home", str(cluster.home))
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, env={**os.environ, **environment}
    ):
        os.close(follower)
        pieces = []
        try:
            while piece := os.read(leader, 65536):
                pieces.append(piece)
        except OSError:
            # How a terminal says that nobody writes to it any more.
            pass
    os.close(leader)
    return b"".join(pieces)


@pytest.fixture
def strict(cluster: LocalCluster, tmp_path: Path) -> Path:
    """A policy that the cluster does not meet in two ways."""
    text = cluster.policy.read_text()
    for pattern, replacement in WORSE.values():
        text, count = re.subn(pattern, replacement, text)
        assert count == 1
    path = tmp_path / "strict.toml"
    path.write_text(text)
    return path


def test_report(cluster: LocalCluster) -> None:
    """The report says who sees what, what was proved and what was not; piped, without colour."""
    done = run(cluster, "verify", cluster.url)
    assert done.returncode == 0, done.stderr
    for words in (
        "SIMULATION ONLY",
        "who can see your data",
        "operator, administrators, cloud   YES",
        "SIMULATED Intel SGX: no hardware at all",
        "not proved",
        "tiny:1",
    ):
        assert words in done.stdout
    assert done.stdout.count(MARK) == 2
    assert "VERIFIED" not in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_machines(cluster: LocalCluster) -> None:
    """With --json, one object says the same."""
    value = json.loads(run(cluster, "verify", "--json").stdout)
    assert (value["verified"], value["simulated"], value["tee"]) == (True, True, "simulated")
    assert value["sees_plaintext"]["operator, administrators, cloud"] is True
    assert value["not_proved"]


def test_mismatches(cluster: LocalCluster, strict: Path) -> None:
    """Everything that differs stands in a table and in the JSON, and the exit code is 3."""
    done = run(cluster, "verify", "--policy", strict)
    assert done.returncode == 3
    assert "NOT VERIFIED" in done.stdout
    assert "Nothing of yours was sent" in done.stdout
    for words in ("manifest_digest", "svn", "at least 7", "(min_svn)"):
        assert words in done.stdout
    machine = run(cluster, "verify", "--policy", strict, "--json")
    value = json.loads(machine.stdout)
    assert machine.returncode == 3
    assert (value["verified"], value["code"]) == (False, "policy")
    assert value["hint"]
    assert [each["code"] for each in value["mismatches"]] == list(WORSE)
    assert all(each["expected"] and each["got"] and each["hint"] for each in value["mismatches"])


def test_no_first_byte(cluster: LocalCluster, strict: Path) -> None:
    """A client whose policy is not met sends no request: workers serve no more than before."""

    def served() -> int:
        parts = cluster.status()["components"]
        return sum(w["served"] for part in parts for w in part.get("workers") or ())

    before = served()
    done = run(cluster, "infer", "--policy", strict, PHOTOS / "coffee.jpg")
    assert done.returncode == 3
    assert "manifest_digest" in done.stderr
    assert served() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--policy", "absent.toml"), 2, "no policy at"),
        (("--url", "http://127.0.0.1:1"), 6, "127.0.0.1"),
    ],
)
def test_exit_codes(
    cluster: LocalCluster, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """A missing policy and a service that is away have exit codes of their own."""
    done = run(cluster, "verify", *arguments)
    assert done.returncode == code
    assert words in done.stderr


def test_colour(cluster: LocalCluster, strict: Path) -> None:
    """Terminals get colour, unless NO_COLOR is set; then no command has any."""
    terminal = {"TERM": "xterm-256color", "COLUMNS": "80"}
    assert b"\x1b[" in on_terminal(cluster, "verify", **terminal)
    for command in (
        ("verify",),
        ("verify", "--policy", strict),
        ("infer", "--policy", strict, PHOTOS / "coffee.jpg"),
        ("status",),
    ):
        printed = on_terminal(cluster, *command, **terminal, NO_COLOR="1")
        assert printed
        assert not re.search(rb"\x1b\[[\d;]*3\d[;m]", printed), printed


def test_every_screen(cluster: LocalCluster) -> None:
    """A simulation is marked by every command, in words and in JSON."""
    photo = PHOTOS / "coffee.jpg"
    bench = ("bench", "-n", "2", "-i", photo, "-m", "efficientnet-lite0")
    for command in (("status",), ("infer", photo), bench):
        done = run(cluster, *command)
        assert done.returncode == 0, done.stderr
        assert MARK in done.stdout + done.stderr, command
        machine = run(cluster, *command, "--json")
        assert json.loads(machine.stdout.splitlines()[-1])["simulated"] is True, command


def test_every_answer(cluster: LocalCluster) -> None:
    """The gateway marks every answer of a simulation, also errors."""
    for method, path in (
        ("GET", "/v1/status"),
        ("GET", "/v1/directory"),
        ("GET", "/v2/health/live"),
        ("POST", "/v1/envelopes"),
        ("GET", "/nothing"),
    ):
        answer = httpx.request(method, f"{cluster.url}{path}", timeout=10)
        assert answer.headers["sealflow-simulated"] == "true", path
