"""A small list, an index that serves it, and checkouts at two stages of their set-up."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.setup.checkout import WHEELS, Checkout
from tests.setup.loopback import closed_port, index
from tests.setup.wheels import make_wheel, pin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Set-ups that stopped: where pip had to fetch uv, and where uv had to fetch the list."""

    folder: Path
    wheels: Path
    entries: str
    count: itertools.count[int] = field(default_factory=itertools.count)

    def new(self, stage: str, entries: str = "") -> Checkout:
        """Return a new checkout with a list of two releases in place of `audit.txt`.

        Args:
            stage: `start`, or what is next: `pip` or `uv`.
            entries: A list of its own.
        """
        folder = self.folder / str(next(self.count))
        folder.mkdir()
        checkout = Checkout.copy(folder, lists={"audit": entries or self.entries})
        if stage != "start":
            made, target = self.folder / stage, checkout.root / ".tools" / "uv"
            shutil.copytree(
                made, target, symlinks=True, copy_function=os.link, ignore=lambda *_: {"pip"}
            )
            # It has a thousand files, and nothing is written there.
            (packages,) = made.glob("lib/python3*/site-packages")
            (target / packages.relative_to(made) / "pip").symlink_to(packages / "pip")
        return checkout


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """Make both stages once, by a set-up without a network and one with it."""
    found = [*WHEELS.glob("uv-*.whl")]
    if not found:
        pytest.skip("no wheels here: make tools")
    folder = tmp_path_factory.mktemp("stages")
    wheels = folder / "wheels"
    wheels.mkdir()
    (wheels / found[0].name).hardlink_to(found[0])
    alpha = make_wheel(wheels, "lx-alpha", "1.0", requires=["lx-beta[more]"], payload=bytes(999))
    beta = make_wheel(wheels, "lx-beta", "1.0", extras=["more"])
    made = Stages(folder=folder, wheels=wheels, entries=pin(alpha) + pin(beta, "[more]"))
    checkout = made.new("start")
    for stage in ("pip", "uv"):
        with index(wheels) as served:
            address = closed_port() if stage == "pip" else served.address
            checkout.run("audit", PIP_INDEX_URL=address, PIP_RETRIES="0")
        shutil.copytree(checkout.root / ".tools" / "uv", folder / stage, symlinks=True)
    return made


@pytest.fixture
def checkout(stages: Stages) -> Callable[[str], Checkout]:
    """Return a function that makes a checkout at a stage."""
    return stages.new
