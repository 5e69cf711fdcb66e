"""What the measurement of a simulated enclave covers."""

from __future__ import annotations

import platform
import sys
import sysconfig
from pathlib import Path

import pytest

import sealflow
from sealflow.attest.evidence import Role
from sealflow.attest.simulated.measurement import (
    IMAGE_PACKAGES,
    PACKAGES,
    image_measurement,
    measured_packages,
    measured_sources,
    packages_digest,
    simulated_measurement,
    site_packages,
)
from sealflow.owner.enclave.manifest import ManifestTemplate
from tools.tcb import ENTRIES, ROOT, SOURCE, closure

PACKAGE = Path(sealflow.__file__).parent
SITE = Path(sysconfig.get_path("platlib"))
IMAGE = (sys.version_info[:2], platform.machine())


@pytest.mark.parametrize(
    ("entry", "role", "other"),
    [("worker", Role.WORKER, "keybroker"), ("key broker", Role.KEY_BROKER, "worker")],
)
def test_all_that_runs(entry: str, role: Role, other: str) -> None:
    """Every module of ours that a process imports, also late, is measured; no other role's is."""
    measured = set(measured_sources(PACKAGE, role))
    for module in closure(ENTRIES[entry]).lines:
        path = SOURCE / module.replace(".", "/")
        assert {path.with_suffix(".py"), path / "__init__.py"} & measured, module
    assert not [path for path in measured if path.is_relative_to(PACKAGE / "trusted" / other)]


@pytest.mark.parametrize("role", Role)
def test_packages(role: Role) -> None:
    """Measured are the packages that the SGX enclave of the same role can open."""
    path = ROOT / "deploy" / "gramine" / f"{role.value}.manifest.toml"
    template = ManifestTemplate.read(path, role, Path("/enclaves"))
    opened = [each for each in template.packages if not each.endswith(".dist-info")]
    assert opened == ["sealflow", *PACKAGES[role]]
    found = {path.relative_to(SITE).parts[0] for path in measured_packages(SITE, role)}
    assert {"cryptography", "dcap_qvl"} <= found
    assert ("onnxruntime" in found) is (role is Role.WORKER)


@pytest.mark.skipif(IMAGE != ((3, 11), "x86_64"), reason="images have Python 3.11 on x86-64")
@pytest.mark.parametrize("role", Role)
def test_packages_of_the_image(role: Role, tmp_path: Path) -> None:
    """After a change of `requirements/trusted.txt`, IMAGE_PACKAGES takes the values found here."""
    for pattern in PACKAGES[role]:
        for entry in SITE.glob(pattern):
            (tmp_path / entry.name).symlink_to(entry)
    assert packages_digest(role, tmp_path).hex() == IMAGE_PACKAGES[role]
    found = bytes.fromhex(IMAGE_PACKAGES[role])
    assert image_measurement(role) == simulated_measurement(role, found)


def test_what_installers_and_python_add(tmp_path: Path) -> None:
    """Notes of an installer, bytecode that Python keeps, and tests do not change the value."""
    (tmp_path / "cryptography" / "tests").mkdir(parents=True)
    (tmp_path / "cryptography" / "__init__.py").write_text("")
    before = packages_digest(Role.KEY_BROKER, tmp_path)
    for name in ("cryptography/__pycache__", "cryptography-50.dist-info", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "RECORD").write_text("here")
    (tmp_path / "cryptography" / "tests" / "test_all.py").write_text("")
    (tmp_path / "editable.pth").write_text("/a/checkout\n")
    packages_digest.cache_clear()
    assert packages_digest(Role.KEY_BROKER, tmp_path) == before


def test_site_packages(tmp_path: Path) -> None:
    """The folder is that of this Python where there is one, else that of the environment's."""
    own = f"python{sysconfig.get_python_version()}"
    assert site_packages(tmp_path) == tmp_path / "lib" / own / "site-packages"
    other = tmp_path / "lib" / "python3.99" / "site-packages"
    other.mkdir(parents=True)
    assert site_packages(tmp_path) == other
    (tmp_path / "lib" / own / "site-packages").mkdir(parents=True)
    assert site_packages(tmp_path) == tmp_path / "lib" / own / "site-packages"
