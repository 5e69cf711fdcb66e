"""On a terminal a bar shows how far a step is; what stays is one line."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.setup.loopback import index

if TYPE_CHECKING:
    from tests.setup.stages import Stages

SAVE, BACK = "\x1b7", "\x1b8\x1b[K"


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_bar(outcome: str, stages: Stages) -> None:
    """The bar counts packages, and is gone when the step ends, also when it fails."""
    checkout = stages.new("uv")
    (held,) = stages.wheels.glob("lx_alpha-*")
    event = threading.Event()
    ours, theirs = os.openpty()
    with index(stages.wheels, held={held.name: event}) as served:
        if outcome == "failure":
            served.statuses["lx-alpha"] = 404
        with subprocess.Popen(
            checkout.command("audit"),
            cwd=checkout.root,
            env=checkout.environment(PIP_INDEX_URL=served.address, TERM="xterm"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            printed = ""
            while chunk := read(ours):
                printed += chunk
                if "of 2 packages" in printed:
                    event.set()
    os.close(ours)
    lasting = re.sub(re.escape(BACK) + r"[#.]{20} \d+ of \d+ packages", "", printed)
    lasting = lasting.replace(SAVE, "").replace(BACK, "")
    if outcome == "success":
        assert process.returncode == 0
        assert "2 of 2 packages" in printed
        assert re.fullmatch(r"\.venv-audit: pip-audit … done in \d+ s\r\n", lasting)
    else:
        assert process.returncode != 0
        assert re.fullmatch(r"\.venv-audit: pip-audit … \r\nerror: [^\n]*\r\n", lasting)
    assert "lx-" not in printed


def read(terminal: int) -> str:
    """Return what was printed since; empty at the end."""
    try:
        return os.read(terminal, 65536).decode()
    except OSError:
        return ""
