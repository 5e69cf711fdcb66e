"""Checkouts at stages of their set-up, with a list of two small releases."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.setup.checkout import Checkout, make_with_pip
from tests.setup.loopback import index

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
