"""What the doctor says about memory, Java, Flink, brokers and Kubernetes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.host.broker.embedded_server import server_command, server_url, wait_ready
from sealflow.host.doctor import programs
from sealflow.host.doctor.finding import Finding, Verdict
from sealflow.local.supervisor import ProcessSpec, Supervisor
from sealflow.streams.address import BrokerAddress

if TYPE_CHECKING:
    from pathlib import Path


def install(folder: Path, name: str, script: str) -> Path:
    """Put a program into a folder."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("free_kib", "workers", "verdict"),
    [(3 * 2**20, 3, Verdict.PASS), (3 * 2**20 - 1, 3, Verdict.WARN)],
)
def test_memory(free_kib: int, workers: int, verdict: Verdict) -> None:
    """Every worker wants a GiB."""
    (found,) = programs.memory(f"MemTotal: 9 kB\nMemAvailable:   {free_kib} kB\n", workers)
    assert found.verdict is verdict


def test_memory_unknown() -> None:
    """A machine that does not say is taken for one without."""
    (found,) = programs.memory("", 1)
    assert found.verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ('openjdk version "17.0.16" 2025-07-15', Verdict.PASS),
        ('openjdk version "21.0.4" 2024-07-16 LTS', Verdict.PASS),
        ('openjdk version "1.8.0_192"', Verdict.FAIL),
        ('openjdk version "25" 2025-09-16', Verdict.FAIL),
        ("nonsense", Verdict.FAIL),
    ],
)
def test_java(tmp_path: Path, line: str, verdict: Verdict) -> None:
    """Flink starts on Java 17 and 21."""
    (found,) = programs.java(install(tmp_path, "java", f"echo '{line}' >&2"))
    assert found.verdict is verdict
    assert ("JAVA_HOME" in found.fix) is (verdict is Verdict.FAIL)


def test_broken_java(tmp_path: Path) -> None:
    """A Java that is missing or fails says why."""
    (found,) = programs.java(tmp_path / "java")
    assert "cannot run" in found.detail
    (found,) = programs.java(install(tmp_path, "java", "echo libjli.so: missing >&2; exit 127"))
    assert found.detail == "java: libjli.so: missing"


def test_no_flink(tmp_path: Path) -> None:
    """Flink is looked for when it is asked for."""
    assert list(programs.flink(None)) == []
    (found,) = programs.flink(tmp_path)
    assert found.verdict is Verdict.FAIL
    assert "make flink" in found.fix


def test_broker(tmp_path: Path) -> None:
    """A broker that answers passes; without an address the server of `sealflow up` counts."""
    (found,) = programs.broker(None)
    assert found.verdict is Verdict.PASS
    assert "sealflow up" in found.detail
    folder = tmp_path / "b"
    argv = server_command(folder, max_memory_bytes=2**26)
    cluster = Supervisor()
    cluster.start_process(ProcessSpec(name="broker", argv=argv, log=tmp_path / "log"))
    try:
        wait_ready(server_url(folder), 20.0)
        (found,) = programs.broker(BrokerAddress(url=server_url(folder)))
        assert found.verdict is Verdict.PASS
    finally:
        cluster.stop_process("broker", within_s=10.0)


def test_no_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer fails."""
    monkeypatch.setattr(programs, "_BROKER_S", 0.1)
    (found,) = programs.broker(BrokerAddress(url=f"unix://{tmp_path}/none.sock"))
    assert found.verdict is Verdict.FAIL
    assert "does not answer" in found.detail


def node(**resources: str) -> dict[str, Any]:
    """Describe a node that offers resources of Intel's plugin."""
    offers = {f"sgx.intel.com/{name}": value for name, value in resources.items()}
    return {"status": {"allocatable": {"cpu": "8", **offers}}}


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of what `kubectl get nodes -o json` prints."""
    answer = tmp_path / "nodes.json"
    install(tmp_path / "bin", "kubectl", f'[ "$*" = "get nodes -o json" ] && cat {answer}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return answer


def look(answer: Path, *nodes: dict[str, Any], sgx: bool = True) -> list[Finding]:
    """Look at a cluster of these nodes."""
    answer.write_text(json.dumps({"items": nodes}))
    return list(programs.kubernetes(wanted=True, sgx=sgx))


def test_kubernetes(kubectl: Path) -> None:
    """Nodes with all three resources pass, and the largest EPC is said."""
    well = node(epc="4Gi", enclave="110", provision="110")
    nodes, resources = look(
        kubectl, node(), well, node(epc="1073741824", enclave="1", provision="1")
    )
    assert nodes.detail == "3 nodes"
    assert resources.verdict is Verdict.PASS
    assert resources.detail == "2 nodes, up to 4 GiB of EPC each"


@pytest.mark.parametrize(
    ("offers", "detail"),
    [
        ({}, "sgx.intel.com/epc, sgx.intel.com/enclave, sgx.intel.com/provision"),
        ({"epc": "4Gi", "enclave": "20"}, "no node offers sgx.intel.com/provision"),
        ({"epc": "0", "enclave": "20", "provision": "20"}, "no node offers sgx.intel.com/epc"),
    ],
)
def test_kubernetes_without_sgx(kubectl: Path, offers: dict[str, str], detail: str) -> None:
    """What no node offers is named, with the operator to install."""
    _, resources = look(kubectl, node(**offers))
    assert resources.verdict is Verdict.FAIL
    assert detail in resources.detail
    assert "device plugins operator" in resources.fix


def test_kubernetes_without_sgx_wanted(kubectl: Path) -> None:
    """Without SGX, nodes are enough."""
    (nodes,) = look(kubectl, node(), sgx=False)
    assert nodes.verdict is Verdict.PASS


def test_kubernetes_that_does_not_answer(
    kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that is away, one that answers nonsense and a missing kubectl fail."""
    (found,) = programs.kubernetes(wanted=True, sgx=True)
    assert found.verdict is Verdict.FAIL
    kubectl.write_text("[]")
    (found,) = programs.kubernetes(wanted=True, sgx=True)
    assert "did not print a list of nodes" in found.detail
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = programs.kubernetes(wanted=True, sgx=True)
    assert "not installed" in found.detail
    assert list(programs.kubernetes(wanted=False, sgx=True)) == []
