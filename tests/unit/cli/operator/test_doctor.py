"""`sealflow doctor`, as a whole."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sealflow.cli.operator.doctor import doctor
from sealflow.host.doctor.network import QCNL
from tests.support.hosts.machine_files import SGX_MACHINE, write_machine
from tests.support.network.certificate_authority import CertificateAuthority
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def look(root: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command on a machine below a folder; gives the exit code and what was found."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [f"--root={root}", f"--port={port}", "--json", *arguments]
    done = CliRunner().invoke(doctor, command)
    return done.exit_code, json.loads(done.stdout)


def test_trial_machine(tmp_path: Path) -> None:
    """A machine without SGX is good enough for trials, with a warning."""
    code, said = look(write_machine(tmp_path, {"proc/meminfo": "MemAvailable: 9000000 kB\n"}).root)
    assert code == 0
    assert (said["warn"], said["fail"]) == (1, 0)
    assert said["findings"][0]["check"] == "sgx"


def test_sgx_machine(tmp_path: Path) -> None:
    """What fails for enclaves exits with 1, and every failure has a fix."""
    code, said = look(write_machine(tmp_path).root, "--sgx-mode=sgx")
    failures = {each["check"] for each in said["findings"] if each["verdict"] == "fail"}
    assert code == 1
    assert failures == {"aesm", "pccs"}
    assert all(each["fix"] for each in said["findings"] if each["verdict"] != "pass")


def test_make_links(tmp_path: Path) -> None:
    """The old links are made when they are asked for, and only then."""
    files = {**SGX_MACHINE, "dev/sgx/enclave": None, "dev/sgx/provision": None}
    root = write_machine(tmp_path, files).root
    look(root, "--sgx-mode=sgx")
    assert not (root / "dev/sgx").exists()
    _, said = look(root, "--sgx-mode=sgx", "--make-links")
    assert (root / "dev/sgx/provision").is_symlink()
    links = [each for each in said["findings"] if each["check"] == "/dev/sgx"]
    assert links[0]["verdict"] == "pass"


@pytest.mark.parametrize("mode", ["nonsgx", "sgx"])
def test_table(tmp_path: Path, mode: str) -> None:
    """People get a table with verdicts, checks and fixes."""
    root = write_machine(tmp_path, {}).root
    done = CliRunner().invoke(doctor, [f"--root={root}", f"--sgx-mode={mode}"])
    assert "warn" in done.stdout
    assert "Intel" in done.stdout
    assert ("aesm" in done.stdout) is (mode == "sgx")


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    """The operator's own authority."""
    return CertificateAuthority(tmp_path / "authority")


@pytest.fixture
def private_pccs(authority: CertificateAuthority) -> Iterator[str]:
    """A PCCS whose certificate no system knows the root of; gives its address."""
    pair = authority.issue("pccs", host="localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    with WebServer({"/sgx/certification/v4/rootcacrl": (200, {}, b"00")}, tls) as server:
        yield server.url.replace("127.0.0.1", "localhost") + "/sgx/certification/v4"


def _pccs(said: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = next(each for each in said["findings"] if each["check"] == "pccs")
    return found


def test_root_of_a_private_pccs(
    tmp_path: Path, authority: CertificateAuthority, private_pccs: str
) -> None:
    """With the root that the settings have as `ca_file` it passes; without, the fix names it."""
    root = write_machine(tmp_path).root
    sgx = ("--sgx-mode=sgx", f"--pccs={private_pccs}")
    found = _pccs(look(root, *sgx, f"--pccs-ca={authority.root}")[1])
    assert (found["verdict"], found["detail"]) == ("pass", f"{private_pccs} answers")
    without = _pccs(look(root, *sgx)[1])
    assert without["verdict"] == "fail"
    assert "CERTIFICATE_VERIFY_FAILED" in without["detail"]
    assert "--pccs-ca" in without["fix"]


def test_another_root(tmp_path: Path, private_pccs: str) -> None:
    """A certificate of somebody else fails, and so does a name that it does not have."""
    root = write_machine(tmp_path).root
    other = CertificateAuthority(tmp_path / "other").root
    found = _pccs(look(root, "--sgx-mode=sgx", f"--pccs={private_pccs}", f"--pccs-ca={other}")[1])
    assert found["verdict"] == "fail"
    assert "--pccs-ca" in found["fix"]


def test_another_name(tmp_path: Path, authority: CertificateAuthority, private_pccs: str) -> None:
    """The address must have a name that the certificate has."""
    address = private_pccs.replace("localhost", "127.0.0.1")
    root = write_machine(tmp_path).root
    arguments = ("--sgx-mode=sgx", f"--pccs={address}", f"--pccs-ca={authority.root}")
    found = _pccs(look(root, *arguments)[1])
    assert found["verdict"] == "fail"
    assert "use a host name that is in it" in found["fix"]


def test_a_root_goes_before_what_the_machine_says(
    tmp_path: Path, authority: CertificateAuthority, private_pccs: str
) -> None:
    """A machine that takes any certificate is asked for the right one when a root is given."""
    text = f"PCCS_URL={private_pccs}\nUSE_SECURE_CERT=FALSE\n"
    root = write_machine(tmp_path, {**SGX_MACHINE, QCNL: text}).root
    assert _pccs(look(root, "--sgx-mode=sgx")[1])["verdict"] == "pass"
    other = CertificateAuthority(tmp_path / "other").root
    for ca, verdict in ((other, "fail"), (authority.root, "pass")):
        assert _pccs(look(root, "--sgx-mode=sgx", f"--pccs-ca={ca}")[1])["verdict"] == verdict


def test_a_root_that_is_none(tmp_path: Path, private_pccs: str) -> None:
    """A file without a certificate is named."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    arguments = ("--sgx-mode=sgx", f"--pccs={private_pccs}", f"--pccs-ca={nonsense}")
    found = _pccs(look(write_machine(tmp_path).root, *arguments)[1])
    assert found["verdict"] == "fail"
    assert f"{nonsense} does not contain a certificate" in found["detail"]
