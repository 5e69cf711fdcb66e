"""What commands print on terminals, in pipes, and under NO_COLOR, whatever peers say."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from rich.table import Table
from rich.text import Text

from sealflow.cli.screen import print_table, progress, strip_control_characters
from sealflow.owner import Role
from sealflow.owner.trust.policy_file import write_policy
from tests.support.attestation.deployments import simulated_deployment
from tests.support.cluster.local_cluster import sealflow

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = re.compile(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;)[0-9;]*m")
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202eturned\x9b2J [bold]tag[/bold] :smile: \r\b"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy, which weakens the protection, so that the command warns in colour."""
    path = tmp_path / "client.toml"
    deployment = simulated_deployment(1_790_000_000_000).deployment
    write_policy(path, deployment.policy(Role.KEY_BROKER))
    return path


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """Run a command on a terminal of its own; gives all that it wrote there."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        sealflow(*arguments),
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={**kept, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    found = b""
    try:
        while piece := os.read(ours, 65536):
            found += piece
    except OSError:
        pass  # Linux says so when the other side of a terminal is closed.
    finally:
        os.close(ours)
    process.wait(30)
    return found


def in_a_pipe(*arguments: str, **environment: str) -> bytes:
    """Run a command whose output goes elsewhere."""
    done = subprocess.run(
        sealflow(*arguments), capture_output=True, check=False, env={**os.environ, **environment}
    )
    return done.stdout + done.stderr


def test_colour_on_a_terminal_only(policy: Path) -> None:
    """A terminal gets colour; a pipe gets the same words without; NO_COLOR is heeded."""
    words = ("policy", "check", str(policy))
    assert COLOUR.search(on_a_terminal(*words))
    piped = in_a_pipe(*words, TERM="xterm-256color")
    assert b"\x1b" not in piped
    assert b"weaken the protection" in piped
    plain = on_a_terminal(*words, NO_COLOR="1")
    assert not COLOUR.search(plain)
    assert b"weaken the protection" in plain


def test_errors_in_colour(tmp_path: Path) -> None:
    """Errors are red on a terminal, and plain elsewhere."""
    words = ("status", "--home", str(tmp_path))
    assert COLOUR.search(on_a_terminal(*words))
    assert not COLOUR.search(on_a_terminal(*words, NO_COLOR="1"))
    assert in_a_pipe(*words).startswith(b"error: no cluster runs in")


def test_json_on_a_terminal(policy: Path) -> None:
    """JSON has no colour anywhere."""
    assert b"\x1b" not in on_a_terminal("policy", "check", str(policy), "--json")


def test_peers_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What peers say reaches a table as text: no control sequence, no markup, no turned text."""
    table = Table(title=Text(HOSTILE))
    table.add_column("what", overflow="fold")
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    print_table(table)
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b\u202e\r\b")
    assert shown.count("[bold]tag[/bold] :smile:") == 3


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "Zürich 東京 🙂"])
def test_text_stays(text: str) -> None:
    """Words of any language stay as they are."""
    assert strip_control_characters(text) == text


def test_no_bar_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is shown to people at terminals alone."""
    with progress("Working", 3, quiet=False) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal() -> None:
    """A terminal gets a bar on standard error, which goes away in the end."""
    program = (
        "from sealflow.cli.screen import progress\n"
        "with progress('Working', 3, quiet=False) as advance: advance(2)\n"
    )
    ours, theirs = pty.openpty()
    command = (*sealflow()[:3], program)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert b"Working" in shown
    assert b"2/3" in shown
    assert done.stdout == b""
