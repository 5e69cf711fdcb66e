"""The home of a cluster as time passes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.evidence import Role
from sealflow.attest.simulated.measurement import image_measurement, simulated_measurement
from sealflow.errors import ConfigError
from sealflow.local.home import ClusterHome

if TYPE_CHECKING:
    from pathlib import Path


def aged(path: Path, days: int) -> ClusterHome:
    """Return a home whose platform was made some days ago, with what it left."""
    home = ClusterHome(path)
    home.prepare("red")
    made = time.time() - days * 86_400
    os.utime(home.platform, (made, made))
    for folder in (home.keybroker, home.broker):
        folder.mkdir()
        (folder / "state").touch()
    return home


def test_a_platform_that_is_good_for_longer(tmp_path: Path) -> None:
    """State and queue stay where they are for as long as the platform does."""
    home = aged(tmp_path / "home", 329)
    platform = home.platform.read_bytes()
    home.prepare("red")
    assert home.platform.read_bytes() == platform
    assert (home.keybroker / "state").exists()
    assert (home.broker / "state").exists()


def test_a_platform_that_ends(tmp_path: Path) -> None:
    """With a new platform all starts anew; what was sealed on the old one is set aside."""
    home = aged(tmp_path / "home", 331)
    platform = home.platform.read_bytes()
    (home.path / "keybroker.former").mkdir()
    home.prepare("red")
    assert home.platform.read_bytes() != platform
    for name in ("keybroker", "broker"):
        assert not (home.path / name).exists()
        assert (home.path / f"{name}.former" / "state").exists()


def test_an_empty_folder(tmp_path: Path) -> None:
    """A folder that was prepared for a new home, such as a disk mounted there, stays."""
    home = ClusterHome(tmp_path)
    home.broker.mkdir()
    disk = home.broker.stat().st_ino
    home.prepare("red")
    assert home.broker.stat().st_ino == disk


def test_state_that_cannot_be_set_aside(tmp_path: Path) -> None:
    """What stands in its place is said, and the old platform is left."""
    home = aged(tmp_path / "home", 331)
    platform = home.platform.read_bytes()
    (home.path / "keybroker.former").write_text("a file")
    with pytest.raises(ConfigError, match=r"keybroker: cannot rename"):
        home.prepare("red")
    assert home.platform.read_bytes() == platform


def test_accepted_packages(tmp_path: Path) -> None:
    """Settings accept this installation, or a named one, and the packages of the image."""
    home, image = ClusterHome(tmp_path / "home"), image_measurement(Role.WORKER).hex()
    _, here = home.prepare("red")
    assert here.worker.measurements == {simulated_measurement(Role.WORKER).hex(), image}
    package = tmp_path / "other" / "lib" / "python3.99" / "site-packages" / "numpy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    _, there = home.prepare("red", enclaves=tmp_path / "other")
    assert here.worker.measurements & there.worker.measurements == {image}
    assert len(there.worker.measurements) == 2
