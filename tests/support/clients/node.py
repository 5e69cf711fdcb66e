"""The JavaScript client's folder, and Node.js, in which its programs run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tools.setup import node

ROOT: Final = Path(__file__).parents[3]
CLIENT: Final = ROOT / "clients" / "js"
SCRIPTS: Final = ROOT / "tests" / "clients"


def demand_node() -> None:
    """Skip where this machine has no Node.js that the client runs on."""
    if note := node.missing():
        pytest.skip(note)
    assert (CLIENT / "node_modules").is_dir(), "its packages are missing: run make tools"


def npm(*arguments: str) -> str:
    """Run a command of the package; gives what it printed."""
    return _run("npm", "--prefix", str(CLIENT), *arguments)


def script(name: str, *arguments: str | Path) -> Any:
    """Run a program of `tests/clients`; gives the JSON that it printed."""
    return json.loads(_run("node", str(SCRIPTS / name), *map(str, arguments)))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
