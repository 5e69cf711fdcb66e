"""Keys, signatures and measurements of enclaves."""

from __future__ import annotations

import json
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sealflow.cli.operator.enclave import enclave
from sealflow.errors import ConfigError, MalformedError
from sealflow.owner import Requirements, Role
from sealflow.owner.enclave.signing import SIGNER, enclave_signer, sign
from sealflow.owner.enclave.sigstruct import EnclaveMeasurement
from tests.support.enclaves.enclave_folders import sigstruct

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

MANIFEST = """\
[fs]
root = { type = "tmpfs" }
mounts = []
[loader]
argv = ["python"]
log_level = "error"
[sgx]
debug = false
file_check_policy = "strict"
remote_attestation = "dcap"
[sys]
disallow_subprocesses = true
enable_extra_runtime_domain_names_conf = false
"""


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """Draw an enclave key."""
    return rsa.generate_private_key(public_exponent=3, key_size=3072)


def write_key(path: Path, key: PrivateKeyTypes, password: bytes | None = None) -> Path:
    """Write a private key in PEM."""
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return path


def test_read(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """A SIGSTRUCT gives measurement, signer, product and version."""
    read = EnclaveMeasurement.from_bytes(sigstruct(key), Role.KEY_BROKER)
    assert read.measurement == bytes(range(32)).hex()
    assert read.signer == enclave_signer(write_key(tmp_path / "key.pem", key))
    assert (read.product_id, read.svn, read.debug) == (2, 7, False)


@pytest.mark.parametrize(("attributes", "mask"), [(0x06, 0xFFFFFFFFFFFFFFFF), (0x04, 0xFD)])
def test_debug(key: rsa.RSAPrivateKey, attributes: int, mask: int) -> None:
    """An enclave that is or may be started for debugging says so."""
    data = sigstruct(key, attributes=attributes, mask=mask)
    assert EnclaveMeasurement.from_bytes(data, Role.WORKER).debug


@pytest.mark.parametrize("place", [0, 24, 128, 511, 512, 516, 899, 900, 960, 1026])
def test_changed(key: rsa.RSAPrivateKey, place: int) -> None:
    """A change to any part that is signed is found."""
    data = bytearray(sigstruct(key))
    data[place] ^= 1
    with pytest.raises(MalformedError):
        EnclaveMeasurement.from_bytes(bytes(data), Role.WORKER)


@pytest.mark.parametrize("length", [0, 1807, 1809])
def test_length(key: rsa.RSAPrivateKey, length: int) -> None:
    """A SIGSTRUCT of another length is none."""
    with pytest.raises(MalformedError, match="1808 bytes"):
        EnclaveMeasurement.from_bytes((sigstruct(key) + b"\0")[:length], Role.WORKER)


def test_measure(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """The command prints what policies ask for, for people, machines and policy files."""
    (tmp_path / "worker.sig").write_bytes(sigstruct(key, product_id=1))
    (tmp_path / "keybroker.sig").write_bytes(sigstruct(key))
    command = ["measure", f"--enclaves={tmp_path}"]
    text = CliRunner().invoke(enclave, command, catch_exceptions=False).stdout
    assert f"MRENCLAVE  {bytes(range(32)).hex()}" in text
    machine = CliRunner().invoke(enclave, [*command, "--json"], catch_exceptions=False).stdout
    assert json.loads(machine)["worker"]["product_id"] == 1
    policy = CliRunner().invoke(enclave, [*command, "--format=toml"], catch_exceptions=False).stdout
    tables = tomllib.loads(policy)
    assert set(tables) == {"worker", "keybroker"}
    wanted = Requirements.from_json(tables["keybroker"], "policy")
    assert wanted.measurements == {bytes(range(32)).hex()}
    assert (wanted.product_id, wanted.min_svn) == (2, 7)


def test_measure_unsigned(tmp_path: Path) -> None:
    """An enclave without a signature has no measurement."""
    with pytest.raises(ConfigError, match=r"worker\.sig: No such file.*sealflow enclave sign"):
        CliRunner().invoke(
            enclave, ["measure", "worker", f"--enclaves={tmp_path}"], catch_exceptions=False
        )


def keys() -> dict[str, PrivateKeyTypes]:
    """Give keys that may not sign enclaves."""
    return {
        "exponent": rsa.generate_private_key(public_exponent=65537, key_size=3072),
        "size": rsa.generate_private_key(public_exponent=3, key_size=2048),
        "kind": ec.generate_private_key(ec.SECP256R1()),
    }


@pytest.mark.parametrize("wrong", ["exponent", "size", "kind"])
def test_wrong_keys(tmp_path: Path, wrong: str) -> None:
    """A key that SGX would not take is refused before anything is signed."""
    path = write_key(tmp_path / "key.pem", keys()[wrong])
    with pytest.raises(ConfigError, match="RSA of 3072 bits with exponent 3"):
        enclave_signer(path)


def test_encrypted_key(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """A key under a password, a broken one and a missing one are refused with a reason."""
    locked = write_key(tmp_path / "locked.pem", key, b"password")
    with pytest.raises(ConfigError, match="locked"):
        enclave_signer(locked)
    (tmp_path / "broken.pem").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ConfigError, match="broken"):
        enclave_signer(tmp_path / "broken.pem")
    with pytest.raises(ConfigError, match="No such file"):
        enclave_signer(tmp_path / "none.pem")


def test_sign_refuses_what_was_edited(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """A manifest that was opened to the host after its rendering is not signed."""
    path = write_key(tmp_path / "key.pem", key)
    text = MANIFEST.replace("[sys]", "insecure__rpc_thread_num = 1\n[sys]")
    (tmp_path / "worker.manifest").write_text(text)
    with pytest.raises(ConfigError, match=r"sgx\.insecure__rpc_thread_num must not be set"):
        sign(Role.WORKER, tmp_path, path)
    (tmp_path / "worker.manifest").write_text("[")
    with pytest.raises(ConfigError, match="not a manifest"):
        sign(Role.WORKER, tmp_path, path)
    with pytest.raises(ConfigError, match="sealflow enclave build"):
        sign(Role.KEY_BROKER, tmp_path, path)


def install_signer(folder: Path, script: str) -> None:
    """Put a program where Gramine's signer is looked for."""
    program = folder / SIGNER
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_sign_without_gramine(
    key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Gramine's signer, or when it fails, nothing is signed, and the reason is said."""
    path = write_key(tmp_path / "key.pem", key)
    (tmp_path / "worker.manifest").write_text(MANIFEST)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="gramine-sgx-sign is not installed"):
        sign(Role.WORKER, tmp_path, path)
    install_signer(tmp_path, "echo first >&2; echo Error: no libpal >&2; exit 1")
    with pytest.raises(ConfigError, match="gramine-sgx-sign failed: Error: no libpal"):
        sign(Role.WORKER, tmp_path, path)


def test_sign_checks_the_signer(
    key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature that was made with another key is not passed on."""
    path = write_key(tmp_path / "key.pem", key)
    (tmp_path / "worker.manifest").write_text(MANIFEST)
    other = rsa.generate_private_key(public_exponent=3, key_size=3072)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    install_signer(tmp_path, "exit 0")
    (tmp_path / "worker.sig").write_bytes(sigstruct(other))
    with pytest.raises(ConfigError, match="another key"):
        sign(Role.WORKER, tmp_path, path)
