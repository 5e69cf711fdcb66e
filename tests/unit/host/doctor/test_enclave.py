"""What the doctor says about SGX, on machines described in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.host.doctor import enclave
from sealflow.host.doctor.finding import Finding, Verdict
from tests.support.hosts.machine_files import SGX_FLAGS, SGX_MACHINE, write_machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

AESM = "0000000000000000: 00000002 00000000 00010000 0001 01 4242 /var/run/aesmd/aesm.socket\n"
EPC = "sys/devices/system/node/node0/x86/sgx_total_bytes"
WELL: dict[str, str | None] = {
    **SGX_MACHINE,
    "proc/cpuinfo": f"vendor_id\t: GenuineIntel\nflags\t\t: {SGX_FLAGS} sgx2\n",
    "proc/net/unix": AESM,
    EPC: str(4 * 2**30),
}


def look(root: Path, files: Mapping[str, str | None] = WELL) -> dict[str, Finding]:
    """Look at everything of SGX on a machine."""
    here = write_machine(root, files)
    found: Iterable[Finding] = (
        *enclave.processor(here),
        *enclave.devices(here),
        *enclave.quoting(here),
        *enclave.memory(here, None, 1),
    )
    return {each.check: each for each in found}


def test_well(tmp_path: Path) -> None:
    """A complete machine passes every line."""
    found = look(tmp_path)
    assert {each.verdict for each in found.values()} == {Verdict.PASS}
    assert set(found) == {
        "cpu",
        "launch control",
        "kernel",
        "/dev/sgx_enclave",
        "/dev/sgx_provision",
        "/dev/sgx",
        "aesm",
        "gramine",
        "epc",
    }
    assert "4 GiB" in found["epc"].detail


ILLS: dict[str, tuple[dict[str, str | None], str, str]] = {
    "cpu": ({"proc/cpuinfo": "vendor_id\t: AuthenticAMD\nflags\t: fpu\n"}, "AMD", "Intel Xeon"),
    "launch control": (
        {"proc/cpuinfo": "vendor_id\t: GenuineIntel\nflags\t: sgx sgx2\n"},
        "Flexible Launch Control is off",
        "BIOS",
    ),
    "kernel": ({"proc/sys/kernel/osrelease": "5.4.0-200-generic"}, "Linux 5.4", "5.11"),
    "/dev/sgx_enclave": ({"dev/sgx_enclave": None}, "does not exist", "request the devices"),
    "/dev/sgx_provision": ({"dev/sgx_provision": None}, "does not exist", "request the devices"),
    "aesm": ({"proc/net/unix": None}, "no AESM", "sgx-aesm-service"),
    "gramine": ({"usr/bin/gramine-sgx": None}, "not installed", "SGX images"),
}


@pytest.mark.parametrize("check", ILLS)
def test_ill(tmp_path: Path, check: str) -> None:
    """Each lack fails its own line, with a fix."""
    changes, detail, fix = ILLS[check]
    found = look(tmp_path, {**WELL, **changes})[check]
    assert found.verdict is Verdict.FAIL
    assert detail in found.detail
    assert fix in found.fix


def test_bios(tmp_path: Path) -> None:
    """An Intel processor without SGX gets a hint at the BIOS."""
    cpu = {"proc/cpuinfo": "vendor_id\t: GenuineIntel\nflags\t: fpu\n"}
    assert "BIOS" in look(tmp_path, {**WELL, **cpu})["cpu"].fix


def test_first_generation(tmp_path: Path) -> None:
    """A processor without SGX2 is a warning."""
    cpu = {"proc/cpuinfo": f"vendor_id\t: GenuineIntel\nflags\t: {SGX_FLAGS}\n"}
    assert look(tmp_path, {**WELL, **cpu})["sgx2"].verdict is Verdict.WARN


def test_links(tmp_path: Path) -> None:
    """Missing old names are a warning; they can be made, once, and lead to the devices."""
    files = {**WELL, "dev/sgx/enclave": None, "dev/sgx/provision": None}
    assert look(tmp_path, files)["/dev/sgx"].verdict is Verdict.WARN
    here = write_machine(tmp_path, {})
    assert enclave.make_links(here) == ["/dev/sgx/enclave", "/dev/sgx/provision"]
    assert (tmp_path / "dev/sgx/enclave").resolve() == tmp_path / "dev/sgx_enclave"
    assert enclave.make_links(here) == []
    assert look(tmp_path, {})["/dev/sgx"].verdict is Verdict.PASS


def test_no_links_without_devices(tmp_path: Path) -> None:
    """Where no device is, no link is made."""
    assert enclave.make_links(write_machine(tmp_path, {})) == []
    assert not (tmp_path / "dev").exists()


def sign(folder: Path, size: str) -> Path:
    """Make a folder of signed enclaves of one size."""
    folder.mkdir()
    for role in ("worker", "keybroker"):
        (folder / f"{role}.manifest.sgx").write_text(f'[sgx]\nenclave_size = "{size}"\n')
        (folder / f"{role}.sig").touch()
    return folder


@pytest.mark.parametrize(
    ("size", "workers", "verdict"),
    [("1G", 3, Verdict.PASS), ("1024M", 4, Verdict.FAIL), ("4194304K", 1, Verdict.FAIL)],
)
def test_epc(tmp_path: Path, size: str, workers: int, verdict: Verdict) -> None:
    """Protected memory must hold all workers and the key broker."""
    enclaves = sign(tmp_path / "enclaves", size)
    found = {e.check: e for e in enclave.memory(write_machine(tmp_path, WELL), enclaves, workers)}
    assert found["signed enclaves"].verdict is Verdict.PASS
    assert found["epc"].verdict is verdict
    assert (found["epc"].fix != "") is (verdict is Verdict.FAIL)


def test_epc_unknown(tmp_path: Path) -> None:
    """A kernel that does not say how much there is warns."""
    assert look(tmp_path, {**WELL, EPC: None})["epc"].verdict is Verdict.WARN


@pytest.mark.parametrize("broken", ["", "[sgx]\n", '[sgx]\nenclave_size = "much"\n', "["])
def test_unsigned(tmp_path: Path, broken: str) -> None:
    """A folder without two readable, signed manifests fails."""
    enclaves = sign(tmp_path / "enclaves", "1G")
    (enclaves / "worker.manifest.sgx").write_text(broken)
    found = {e.check: e for e in enclave.memory(write_machine(tmp_path, WELL), enclaves, 1)}
    assert found["signed enclaves"].verdict is Verdict.FAIL
    assert "sealflow enclave build" in found["signed enclaves"].fix
