"""A small list, an index that serves it, and checkouts at two stages of their set-up."""

from __future__ import annotations

import shutil

import pytest

from tests.setup.checkout import WHEELS
from tests.setup.stages import Stages
from tests.setup.wheels import make_wheel, pin


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
