"""How much memory a process may use: whatever is least."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError
from sealflow.host.engine.config import EngineConfig
from sealflow.host.process_status import memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
MIB = 2**20


@pytest.mark.parametrize(
    ("group", "files", "found"),
    [
        ("0::/", {}, MACHINE),
        ("0::/", {"memory.max": "max"}, MACHINE),
        ("0::/", {"memory.max": f"{700 * MIB}"}, 700 * MIB),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": f"{600 * MIB}"}, 600 * MIB),
        ("0::/a/b", {"a/b/memory.max": f"{5 * MIB}", "a/memory.max": f"{6 * MIB}"}, 5 * MIB),
        ("0::/of/the/host", {"memory.max": f"{800 * MIB}"}, 800 * MIB),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": f"{900 * MIB}"}, 900 * MIB),
        ("4:memory:/of/the/host", {"memory/memory.limit_in_bytes": f"{9 * MIB}"}, 9 * MIB),
        ("4:memory:/", {"memory/memory.limit_in_bytes": f"{2**63 - 4096}"}, MACHINE),
        ("3:cpu,cpuacct:/a\n0::/a", {"a/memory.max": f"{3 * MIB}"}, 3 * MIB),
    ],
)
def test_the_least_limit(tmp_path: Path, group: str, files: dict[str, str], found: int) -> None:
    """Machine, container and the groups around it, with either version of control groups."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(group + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory_bytes(tmp_path) == found


def test_without_control_groups(tmp_path: Path) -> None:
    """Then it is the machine's."""
    assert memory_bytes(tmp_path) == MACHINE


def _engine(**settings: Any) -> EngineConfig:
    return EngineConfig(
        deployment="d", packages_dir="p", deployment_file="f", broker_url="redis://h", **settings
    )


def test_the_share_of_a_worker() -> None:
    """Three quarters of all memory are shared out; what is set goes before that."""
    assert _engine(workers=3).worker_limit_bytes(1) == max(memory_bytes() // 4, 512 * MIB)
    assert _engine(workers=1).worker_limit_bytes(10_000) == 512 * MIB
    assert _engine(worker_memory_bytes=600 * MIB).worker_limit_bytes(9) == 600 * MIB


@pytest.mark.parametrize("size", [-1, 1, 512 * MIB - 1])
def test_too_little_for_any_worker(size: int) -> None:
    """Less than a runtime needs is no setting."""
    with pytest.raises(ConfigError, match="worker_memory_bytes: must be 0, or at least 536870912"):
        _engine(worker_memory_bytes=size)
