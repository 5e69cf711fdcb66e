"""Attacks with a simulation on production code: row 73 of docs/threat-model.md.

What runs here is what the manifest templates let into an enclave, and nothing else of ours.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sealflow.attest.evidence import Role, Tee
from sealflow.owner.enclave.contents import _packages
from sealflow.owner.enclave.manifest import ManifestTemplate
from sealflow.wire.frames import FrameKind
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.deployments import simulated_deployment
from tests.support.attestation.evidence import MANIFEST, bound_claims, make_evidence
from tests.support.enclaves.enclave_process import EnclaveProcess, keybroker_boot, worker_boot

SRC = Path(__file__).parents[2] / "src"
TEMPLATES = SRC.parent / "deploy" / "gramine"
SERVING = {"worker": "worker.threads", "keybroker": "keybroker.leader"}
ROLES = {"worker": Role.WORKER, "keybroker": Role.KEY_BROKER}


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    """Each enclave."""
    return str(request.param)


@pytest.fixture
def inside(role: str, tmp_path: Path) -> Path:
    """A folder with exactly what of our code lies in an enclave of hardware."""
    path = TEMPLATES / f"{role}.manifest.toml"
    template = ManifestTemplate.read(path, ROLES[role], tmp_path)
    for source in _packages(SRC, ("sealflow",), template.exclude):
        target = tmp_path / source.relative_to(SRC)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return tmp_path


def run(inside: Path, program: str, given: object = None) -> object:
    """Run a program there; gives what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(inside)},
        cwd=inside,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_73_all_of_it_loads(inside: Path, role: str) -> None:
    """All modules of an enclave load without the simulation, which is not among them."""
    program = """
import importlib, json, pkgutil, sys
import sealflow
found = [each.name for each in pkgutil.walk_packages(sealflow.__path__, "sealflow.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
ours = [name for name in sys.modules if name.startswith("sealflow.")]
print(json.dumps({"file": sealflow.__file__, "found": found, "loaded": ours}))
"""
    told = run(inside, program)
    assert isinstance(told, dict)
    assert Path(told["file"]).is_relative_to(inside)
    assert f"sealflow.trusted.{SERVING[role]}" in told["loaded"]
    assert "sealflow.attest.policy" in told["loaded"]
    assert not [each for each in (*told["found"], *told["loaded"]) if "simulat" in each]


def test_73_processes(inside: Path, role: str) -> None:
    """An enclave process that is told to be simulated ends and says `tee`, platform or not."""
    made = simulated_deployment(1000 * NOW_S)
    boot = worker_boot if role == "worker" else keybroker_boot
    for platform in (made.platform.to_bytes(), None):
        settings = boot(made.deployment.to_bytes(), platform, 1000 * NOW_S)
        with EnclaveProcess(role, settings, code=inside) as process:
            assert process.expect(FrameKind.FATAL) == b"tee"


def test_73_verdicts(inside: Path) -> None:
    """There, simulated evidence fails a production policy by its world, and by its root if it lies.

    The simulated platform is the one that `sealflow up` makes.
    """
    platform = simulated_deployment(1000 * NOW_S).platform
    evidence = [
        make_evidence(
            bound_claims(tee=tee),
            lambda data: platform.quote(bytes.fromhex("11" * 32), data),
            platform.collateral,
        ).to_json()
        for tee in (Tee.SIMULATED, Tee.SGX)
    ]
    program = f"""
import json, sys
from sealflow.attest.evidence import Evidence, Role, Tee
from sealflow.attest.policy import Policy, appraise
from sealflow.attest.requirements import Requirements
from sealflow.errors import EvidenceError
policy = Policy(
    role=Role.WORKER, tee=Tee.SGX, deployment="test", manifest_digest={MANIFEST!r},
    requirements=Requirements(measurements=frozenset({{"11" * 32}})),
)
codes = []
for value in json.load(sys.stdin):
    try:
        appraise(Evidence.from_json(value), policy, {1000 * NOW_S})
    except EvidenceError as error:
        codes.append(error.code)
print(json.dumps(codes))
"""
    assert run(inside, program, evidence) == ["world", "quote"]


def test_73_who_imports_it() -> None:
    """Two modules import the simulation: the quoter that production images lack, and `up`'s home.

    The quoter is imported in one place, when a deployment says that it is simulated.
    """
    importers = {
        path.relative_to(SRC / "sealflow").as_posix()
        for path in (SRC / "sealflow").rglob("*.py")
        if any("simulated" in name for name in imported(path))
    }
    package = {name for name in importers if name.startswith("attest/simulated/")}
    assert importers - package == {
        "local/home.py",
        "trusted/identity/identity.py",
        "trusted/identity/simulated_quotes.py",
    }


def imported(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return {name for name in names if name.startswith("sealflow.")}
