"""A small list, an index that serves it, and checkouts at two stages of their set-up."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.setup.checkout import WHEELS, Checkout, make_with_pip
from tests.setup.loopback import index
from tests.setup.wheels import make_wheel, pin

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Set-ups that have come so far: to where pip fetches uv, or to where uv fetches the list."""

    folder: Path
    wheels: Path
    entries: str
    count: itertools.count[int] = field(default_factory=itertools.count)

    def new(self, stage: str, entries: str = "") -> Checkout:
        """Return a new checkout with a list of two releases in place of `audit.txt`.

        Args:
            stage: `start`; `pip` or `pip 23.2.1`, which fetches uv next; or `uv`.
            entries: A list of its own.
        """
        folder = self.folder / str(next(self.count))
        folder.mkdir()
        checkout = Checkout.copy(folder, lists={"audit": entries or self.entries})
        if stage != "start":
            made, target = self._made(stage), checkout.root / ".tools" / "uv"
            shutil.copytree(
                made, target, symlinks=True, copy_function=os.link, ignore=lambda *_: {"pip"}
            )
            # It has a thousand files, and nothing is written there.
            (packages,) = made.glob("lib/python3*/site-packages")
            (target / packages.relative_to(made) / "pip").symlink_to(packages / "pip")
        return checkout

    def _made(self, stage: str) -> Path:
        """Return the environment of uv at a stage; make it when it is first asked for."""
        environment = self.folder / stage
        if environment.exists():
            return environment
        if stage == "uv":
            checkout = self.new("pip")
            with index(self.wheels) as served:
                done = checkout.run("audit", PIP_INDEX_URL=served.address)
            assert done.returncode == 0, done.stderr
            shutil.copytree(checkout.root / ".tools" / "uv", environment, symlinks=True)
        else:
            make_with_pip(environment, stage.partition(" ")[2])
        return environment


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """Serve the real uv and two releases that ask for each other."""
    found = [*WHEELS.glob("uv-*.whl")]
    if not found:
        pytest.skip("no wheels here: make tools")
    folder = tmp_path_factory.mktemp("stages")
    wheels = folder / "wheels"
    wheels.mkdir()
    shutil.copyfile(found[0], wheels / found[0].name)
    alpha = make_wheel(wheels, "lx-alpha", "1.0", requires=["lx-beta[more]"], payload=bytes(999))
    beta = make_wheel(wheels, "lx-beta", "1.0", extras=["more"])
    return Stages(folder=folder, wheels=wheels, entries=pin(alpha) + pin(beta, "[more]"))
