"""What the measurement of a simulated enclave covers."""

from __future__ import annotations

from pathlib import Path

import pytest

import sealflow
from sealflow.attest.evidence import Role
from sealflow.attest.simulated.measurement import measured_sources
from tools.tcb import ENTRIES, SOURCE, closure

PACKAGE = Path(sealflow.__file__).parent


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
