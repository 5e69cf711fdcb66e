"""A sample of `make mutate`, which differs with each commit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZE = 15


def commit() -> str:
    """Return the id of the commit's files; a fixed word outside of a checkout."""
    git = shutil.which("git")
    if git is None:
        return "no commit"
    command = [git, "rev-parse", "HEAD^{tree}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "no commit"


@pytest.mark.timeout(400)
def test_checks_of_this_commit_are_noticed() -> None:
    """With one check of a few off, one after the other, some vector or attack test fails."""
    command = [sys.executable, "-m", "tools.mutate", "--sample", str(SIZE), "--seed", commit()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}\n{done.stderr}"
