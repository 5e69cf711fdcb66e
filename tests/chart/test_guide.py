"""The commands of docs/guide/kubernetes.md, run as they are written, on a cluster without pods."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.chart.guide_commands import commands
from tests.support.chart.helm_cluster import BENCHMARK_LOG, check_strictly
from tests.support.chart.rendering import NAMESPACE, ROOT, TOOLS
from tests.support.kubernetes.api.kubeconfig import write_kubeconfig
from tests.support.kubernetes.api.server import ApiServer
from tests.support.kubernetes.api.store import Store
from tests.support.kubernetes.node.controllers import InstantControllers

if TYPE_CHECKING:
    from collections.abc import Iterator

# They need pods: tests/e2e/test_kubernetes_guide.py runs them with all the others.
WITH_PODS: Final = (
    "kubectl port-forward",
    "sealflow model publish",
    "sealflow status",
    "sealflow flink status",
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A folder like a checkout, and the environment of a shell there."""
    for name in ("deploy", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    store = Store(check_strictly)
    api = ApiServer(store, lambda namespace, name: BENCHMARK_LOG)
    controllers = InstantControllers(store, lambda pod: "Succeeded")
    config = write_kubeconfig(tmp_path / "kubeconfig", api, NAMESPACE)
    try:
        yield {
            "PATH": f"{TOOLS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "KUBECONFIG": str(config),
            "HELM_NAMESPACE": NAMESPACE,
        }
    finally:
        controllers.close()
        api.close()


def test_the_walk(shell: dict[str, str], tmp_path: Path) -> None:
    """Every command works as written, one after another."""
    said = {}
    for command in commands():
        if command.startswith(WITH_PODS):
            continue
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env=shell,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        said[command] = done.stdout
    assert "SIMULATED TEE" in next(text for each, text in said.items() if "helm install" in each)
    assert "Served 1000 images" in said["helm test demo --logs"]
    assert len(said) == 11


def test_what_needs_pods_is_known() -> None:
    """Each command that the walk leaves out is one that stands in the guide."""
    for left_out in WITH_PODS:
        assert any(command.startswith(left_out) for command in commands())
