"""What enclaves measure as, by Gramine's own signer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.enclaves.enclave_folders import TEMPLATES
from tests.support.enclaves.gramine_direct import replace_file
from tests.support.enclaves.gramine_installation import ROLES, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.enclaves.gramine_builds import SignedEnclaves

SAME_IN_BOTH = {
    "mr_enclave": "measurement",
    "mr_signer": "signer",
    "isv_prod_id": "product_id",
    "isv_svn": "svn",
    "debug_enclave": "debug",
}
"""What Gramine calls the values that `sealflow enclave measure` gives."""


@pytest.mark.parametrize("role", ROLES)
def test_gramine_accepts_the_manifest(site: SignedEnclaves, role: str) -> None:
    """Gramine's own check knows every word of a manifest, before and after it is signed."""
    for suffix in ("manifest", "manifest.sgx"):
        run("gramine-manifest-check", site.shipped / f"{role}.{suffix}")


@pytest.mark.parametrize("role", ROLES)
def test_gramine_reads_the_same(site: SignedEnclaves, role: str) -> None:
    """Gramine reads the same values from a signature as we do."""
    signature = site.shipped / f"{role}.sig"
    theirs = json.loads(run("gramine-sgx-sigstruct-view", "--output-format=json", signature))
    ours = site.builds[1].measured[role]
    assert theirs == {name: ours[own] for name, own in SAME_IN_BOTH.items()}
    assert ours["product_id"] == {"worker": 1, "keybroker": 2}[role]
    assert ours["debug"] is False


def test_same_commit_same_measurement(site: SignedEnclaves) -> None:
    """Two builds from nothing with two keys differ in MRSIGNER alone, to the last byte."""
    first, second = site.builds
    assert first.manifests == second.manifests
    for role in ROLES:
        mine, yours = first.measured[role], second.measured[role]
        assert mine["signer"] != yours["signer"]
        assert {**mine, "signer": None} == {**yours, "signer": None}
    signers = {measured["signer"] for measured in first.measured.values()}
    assert len(signers) == 1


def measured(site: SignedEnclaves, *options: str) -> dict[str, str]:
    """Build and sign with the second key; gives each MRENCLAVE."""
    site.place.build(*options)
    return {role: each["measurement"] for role, each in site.place.sign(site.keys[1]).items()}


def shipped(site: SignedEnclaves) -> dict[str, str]:
    """Give each MRENCLAVE of the enclaves as they are shipped."""
    return {role: each["measurement"] for role, each in site.builds[1].measured.items()}


def differing(site: SignedEnclaves, found: dict[str, str]) -> set[str]:
    """Give the roles whose MRENCLAVE is not the shipped one."""
    return {role for role, measurement in shipped(site).items() if found[role] != measurement}


@pytest.mark.parametrize(
    ("file", "roles"),
    [
        ("trusted/port.py", set(ROLES)),
        ("trusted/worker/serve.py", {"worker"}),
        ("trusted/keybroker/serve.py", {"keybroker"}),
        ("attest/policy.py", set(ROLES)),
    ],
)
def test_changed_code(site: SignedEnclaves, file: str, roles: set[str]) -> None:
    """One changed byte of code gives another MRENCLAVE, to the enclaves that run it alone."""
    source = site.place.packages / "sealflow" / file
    content = source.read_bytes()
    with replace_file(source, content[:-1] + b" "):
        assert differing(site, measured(site)) == roles


@pytest.mark.parametrize(
    ("options", "roles"),
    [
        ((), set()),
        (("--threads=2",), {"worker"}),
        (("--models=5",), {"worker"}),
        (("--weights-mib=200",), {"worker"}),
    ],
    ids=["nothing", "threads", "models", "weights"],
)
def test_changed_sizes(site: SignedEnclaves, options: tuple[str, ...], roles: set[str]) -> None:
    """Another number of threads or another size gives another MRENCLAVE; the same, the same."""
    assert differing(site, measured(site, *options)) == roles


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ('LC_ALL = "C.UTF-8"', 'LC_ALL = "C"'),
        ("isvsvn = 1", "isvsvn = 2"),
        ('"-I", "-B", "-m"', '"-B", "-m"'),
    ],
    ids=["environment", "svn", "argument"],
)
def test_changed_template(site: SignedEnclaves, tmp_path: Path, given: str, instead: str) -> None:
    """What a template fixes is measured too: each variable, each argument, the release."""
    templates = tmp_path / "templates"
    templates.mkdir()
    for role in ROLES:
        name = f"{role}.manifest.toml"
        text = (TEMPLATES / name).read_text()
        assert text.count(given) == 1
        (templates / name).write_text(text.replace(given, instead))
    site.place.build(templates=templates)
    found = {role: each["measurement"] for role, each in site.place.sign(site.keys[1]).items()}
    assert differing(site, found) == set(ROLES)
