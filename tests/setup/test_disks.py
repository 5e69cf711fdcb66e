"""A disk that is full, or that this user may not write, is told in a sentence."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.setup.loopback import index

if TYPE_CHECKING:
    from tests.setup.checkout import Checkout
    from tests.setup.stages import Stages

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount")


def run_mounted(
    checkout: Checkout, mounts: list[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the set-up where other disks are mounted, for it alone."""
    if subprocess.run([*UNSHARED, "true"], check=False).returncode:
        pytest.skip("no mounts of its own for a process")
    script = " && ".join([*mounts, f"exec {shlex.join(checkout.command('audit'))}"])
    return subprocess.run(
        [*UNSHARED, "sh", "-c", script],
        cwd=checkout.root,
        env=checkout.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def check_refusal(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """Check that a set-up failed with one sentence."""
    assert done.returncode != 0
    assert re.fullmatch(rf"error: [^\n]*{sentence}[^\n]*\n", done.stderr), done.stderr


@pytest.mark.parametrize("size_kib", [4, 6000, 30000])
def test_full_for_uv(size_kib: int, stages: Stages) -> None:
    """A disk may be full before the first file, in the middle of pip, or in the middle of uv."""
    checkout = stages.new("start")
    tools = checkout.root / ".tools"
    tools.mkdir()
    mount = f"mount -t tmpfs -o size={size_kib}k none {tools}"
    with index(stages.wheels) as served:
        done = run_mounted(checkout, [mount], PIP_INDEX_URL=served.address)
    check_refusal(done, "the disk is full: free some space for .*goes on where it stopped")


def test_full_for_packages(stages: Stages) -> None:
    """It is told how much the packages take before they are fetched."""
    checkout = stages.new("uv")
    environment = checkout.root / ".venv-audit"
    environment.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {environment}"
    with index(stages.wheels) as served:
        done = run_mounted(checkout, [mount], PIP_INDEX_URL=served.address)
        assert not any(path.startswith("/files") for path in served.asked)
    check_refusal(done, rf"{environment} needs \d+ MiB and its disk has \d MiB free")


def test_full_cache(stages: Stages) -> None:
    """A cache without space is told, too."""
    checkout = stages.new("uv")
    (checkout.home / "uv").mkdir()
    mount = f"mount -t tmpfs -o size=8k none {checkout.home / 'uv'}"
    with index(stages.wheels) as served:
        done = run_mounted(checkout, [mount], PIP_INDEX_URL=served.address)
    check_refusal(done, "the disk is full: .*uv's cache")


def test_read_only(stages: Stages) -> None:
    """A checkout on a disk that cannot be written is told to be copied."""
    checkout = stages.new("start")
    mounts = [f"mount --bind {checkout.root} {checkout.root}"]
    mounts += [f"mount -o remount,bind,ro {checkout.root}", f"cd {checkout.root}"]
    check_refusal(run_mounted(checkout, mounts), "cannot be written by this user")


@pytest.mark.parametrize("place", [".", ".tools", ".venv-audit", "../home/uv"])
def test_not_writable(place: str, stages: Stages) -> None:
    """A folder that another user has left is named."""
    checkout = stages.new("uv")
    folder = checkout.root / place
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    limits = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    try:
        done = subprocess.run(
            [*limits, *checkout.command("audit")],
            cwd=checkout.root,
            env=checkout.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
    check_refusal(done, "cannot be written by this user: delete what another user left")
