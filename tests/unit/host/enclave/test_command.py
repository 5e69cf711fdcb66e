"""How trusted processes are started, and what is refused."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError
from sealflow.host.enclave.command import EnclaveConfig, enclave_command
from sealflow.host.enclave.sgx import missing_for_sgx
from sealflow.host.engine.config import EngineConfig
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.settings import load_settings
from tests.support.hosts.machine_files import SGX_MACHINE, write_machine

if TYPE_CHECKING:
    from pathlib import Path


def config(folder: Path, tee: str, **settings: Any) -> EnclaveConfig:
    """Write a deployment for a TEE and give the settings that name it."""
    deployment = folder / "deployment.json"
    deployment.write_text(json.dumps({"tee": tee}))
    if tee == "simulated":
        settings["simulated_platform_file"] = "platform.json"
    return EnclaveConfig(broker_url="unix:///s", deployment_file=str(deployment), **settings)


def signed(folder: Path) -> Path:
    """Make a folder that holds a signed worker."""
    enclaves = folder / "enclaves"
    enclaves.mkdir()
    for name in ("worker.manifest.sgx", "worker.sig"):
        (enclaves / name).touch()
    return enclaves


def test_plain(tmp_path: Path) -> None:
    """Without SGX, a trusted process is a module of this Python."""
    command = enclave_command(config(tmp_path, "simulated"), "keybroker")
    assert command == (sys.executable, "-I", "-B", "-m", "sealflow.trusted.keybroker")


def test_plain_in_its_own_environment(tmp_path: Path) -> None:
    """A folder of enclaves has a Python of its own."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    found = config(tmp_path, "simulated", enclaves_dir=str(tmp_path))
    assert enclave_command(found, "worker")[0] == str(python)


def test_plain_without_python(tmp_path: Path) -> None:
    """A folder without Python is named in the error."""
    found = config(tmp_path, "simulated", enclaves_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="bin/python is not executable: set enclaves_dir"):
        enclave_command(found, "worker")


def test_sgx(tmp_path: Path) -> None:
    """With SGX, Gramine starts the signed manifest."""
    here = write_machine(tmp_path / "root")
    found = config(tmp_path, "sgx", sgx_mode="sgx", enclaves_dir=str(signed(tmp_path)))
    gramine, name = enclave_command(found, "worker", here)
    assert gramine.endswith("/usr/bin/gramine-sgx")
    assert name == str(tmp_path / "enclaves" / "worker")


def test_sgx_unsigned(tmp_path: Path) -> None:
    """An enclave that nobody signed is not signed at start."""
    enclaves = signed(tmp_path)
    here = write_machine(tmp_path / "root")
    found = config(tmp_path, "sgx", sgx_mode="sgx", enclaves_dir=str(enclaves))
    with pytest.raises(ConfigError, match=r"keybroker.manifest.sgx is missing: sign the enclaves"):
        enclave_command(found, "keybroker", here)
    with pytest.raises(ConfigError, match="set enclaves_dir"):
        enclave_command(config(tmp_path, "sgx", sgx_mode="sgx"), "worker", here)


LACKS: dict[str, tuple[dict[str, str | None], str]] = {
    "another processor": (
        {"proc/cpuinfo": "vendor_id\t: AuthenticAMD\nflags\t: fpu\n"},
        "not an Intel processor (AuthenticAMD)",
    ),
    "SGX off": (
        {"proc/cpuinfo": "vendor_id\t: GenuineIntel\nflags\t: fpu\n"},
        "the BIOS or the hypervisor disables it",
    ),
    "launch control off": (
        {"proc/cpuinfo": "vendor_id\t: GenuineIntel\nflags\t: fpu sgx\n"},
        "Flexible Launch Control",
    ),
    "old kernel": ({"proc/sys/kernel/osrelease": "5.10.0-1\n"}, "Linux 5.10 has no SGX driver"),
    "no device": ({"dev/sgx_enclave": None}, "/dev/sgx_enclave does not exist"),
    "no provisioning": ({"dev/sgx_provision": None}, "/dev/sgx_provision does not exist"),
    "no Gramine": ({"usr/bin/gramine-sgx": None}, "/usr/bin/gramine-sgx is not installed"),
    "nothing": (dict.fromkeys(SGX_MACHINE), "not an Intel processor (unknown)"),
}


@pytest.mark.parametrize("lack", LACKS)
def test_no_sgx(tmp_path: Path, lack: str) -> None:
    """A machine without SGX refuses, and says what it lacks."""
    changes, reason = LACKS[lack]
    here = write_machine(tmp_path / "root", {**SGX_MACHINE, **changes})
    assert reason in missing_for_sgx(here)[0]
    found = config(tmp_path, "sgx", sgx_mode="sgx", enclaves_dir=str(signed(tmp_path)))
    with pytest.raises(ConfigError) as refused:
        enclave_command(found, "worker", here)
    assert reason in str(refused.value)
    assert "sealflow doctor" in str(refused.value)


def test_complete_machine(tmp_path: Path) -> None:
    """A machine with all of it lacks nothing."""
    assert missing_for_sgx(write_machine(tmp_path)) == []


@pytest.mark.parametrize(("tee", "mode"), [("sgx", "nonsgx"), ("simulated", "sgx")])
def test_mixed(tmp_path: Path, tee: str, mode: str) -> None:
    """Neither a simulation in an enclave nor an enclave's settings without one are started."""
    with pytest.raises(ConfigError, match=rf"sgx_mode is {mode}, but .* is for the TEE {tee}"):
        enclave_command(config(tmp_path, tee, sgx_mode=mode), "worker")


def test_platform_of_a_real_tee(tmp_path: Path) -> None:
    """A simulated platform is refused where the TEE is real."""
    found = config(tmp_path, "sgx", sgx_mode="sgx", simulated_platform_file="platform.json")
    with pytest.raises(ConfigError, match="set simulated_platform_file for a simulated TEE"):
        enclave_command(found, "worker")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"tee":1}', b'{"tee":"sgx","tee":"sgx"}'])
def test_broken_deployment(tmp_path: Path, text: bytes) -> None:
    """Settings that do not parse are an error that names their file."""
    path = tmp_path / "deployment.json"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match="deployment"):
        enclave_command(EnclaveConfig(broker_url="unix:///s", deployment_file=str(path)), "worker")


@pytest.mark.parametrize("kind", [EngineConfig, KeyBrokerHostConfig])
def test_setting(tmp_path: Path, kind: type[EnclaveConfig]) -> None:
    """Engine and control have the one setting, and no other word will do."""
    path = tmp_path / "config.toml"
    text = 'deployment = "d"\nbroker_url = "redis://h"\ndeployment_file = "f"\n'
    if kind is EngineConfig:
        text += 'packages_dir = "p"\n'
    path.write_text(text)
    assert load_settings(path, kind).sgx_mode == "nonsgx"
    path.write_text(text + 'sgx_mode = "sgx"\n')
    assert load_settings(path, kind).sgx_mode == "sgx"
    path.write_text(text + 'sgx_mode = "SGX"\n')
    with pytest.raises(ConfigError, match="sgx_mode"):
        load_settings(path, kind)
