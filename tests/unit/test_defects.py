"""What commands and server processes say of an exception that nothing expected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sealflow.defects import EXIT_DEFECT, DefectError

if TYPE_CHECKING:
    from pathlib import Path

FAIL = """
import sys
def fail(*_):
    raise {error}
"""
COMMAND = """
from sealflow.cli.main import main
from sealflow.owner.trust import policy_file
policy_file.read_file = fail
sys.argv[1:] = ["policy", "check", "client.toml", *sys.argv[1:]]
main()
"""
SERVER = """
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.service import run_service
run_service(GatewayConfig, fail)
"""
THREAD = """
import threading
from sealflow.host.service import run_service
from sealflow.host.gateway.config import GatewayConfig
def run(config):
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
run_service(GatewayConfig, run)
"""
LOGS = """
import logging
from sealflow.host.service import configure_logs
configure_logs()
try:
    fail()
except Exception:
    logging.getLogger("asyncio").exception("Task exception was never retrieved")
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of a gateway whose broker does not run."""
    path = tmp_path / "gateway.toml"
    text = f'deployment = "test"\nbroker_url = "unix://{tmp_path}/none.sock"\nport = 0\n'
    path.write_text(f'{text}packages_dir = "{tmp_path}"\n')
    return path


def run(
    program: str, error: str, *arguments: object, debug: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program in which a function raises an error."""
    return subprocess.run(
        (sys.executable, "-c", FAIL.format(error=error) + program, *map(str, arguments)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SEALFLOW_DEBUG": debug},
        timeout=60,
    )


def test_a_command() -> None:
    """A command ends with 70 and two lines: whose fault it is, and what to do; no traceback."""
    done = run(COMMAND, "KeyError('a secret')")
    assert (done.returncode, done.stdout) == (EXIT_DEFECT, "")
    said, hint = done.stderr.splitlines()
    assert said == "error: this is a fault of Sealflow: KeyError"
    assert hint == f"hint: {DefectError.hint}"
    assert "SEALFLOW_DEBUG=1" in hint


def test_a_command_as_json() -> None:
    """With `--json`, programs get a code for it."""
    done = run(COMMAND, "ValueError('no such thing')", "--json")
    said = json.loads(done.stdout)
    assert said["code"] == "defect"
    assert said["error"] == "this is a fault of Sealflow: ValueError: no such thing"


def test_the_traceback_on_request() -> None:
    """`SEALFLOW_DEBUG=1` shows where it happened."""
    done = run(COMMAND, "KeyError('key')", debug="1")
    assert done.returncode == EXIT_DEFECT
    assert done.stderr.startswith("Traceback")
    assert "error: this is a fault of Sealflow: KeyError\n" in done.stderr


def test_a_server(settings: Path) -> None:
    """A server process ends with 70 and one line."""
    done = run(SERVER, "OSError(28, 'No space')", settings)
    assert done.returncode == EXIT_DEFECT
    expected = (
        f"error: this is a fault of Sealflow: OSError: [Errno 28] No space. {DefectError.hint}"
    )
    assert done.stderr.splitlines()[-1] == expected
    assert "Traceback" not in done.stderr


def test_a_thread(settings: Path) -> None:
    """A thread that ends so says it in one line; its process lives on."""
    done = run(THREAD, "RuntimeError('a secret')", settings)
    assert done.returncode == 0
    assert f"error: this is a fault of Sealflow: RuntimeError. {DefectError.hint}" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(("debug", "shown"), [("", False), ("1", True)])
def test_a_log(debug: str, *, shown: bool) -> None:
    """An exception in the log of a library has a traceback only when debugging."""
    done = run(LOGS, "RuntimeError('a secret')", debug=debug)
    assert "ERROR Task exception was never retrieved\n" in done.stderr
    assert ("Traceback" in done.stderr) is shown
    assert ("secret" in done.stderr) is shown


def test_messages() -> None:
    """A message is short and on one line, whatever the exception says."""
    said = str(DefectError(ValueError("one\ntwo\x1b[2J" + "x" * 10_000)))
    assert said.startswith("this is a fault of Sealflow: ValueError: one two [2J")
    assert len(said) < 400
