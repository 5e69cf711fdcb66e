"""Key folders on disk, the command, manifests, signing keys."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import subprocess
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sealflow.cli.operator.keys import keys
from sealflow.errors import ConfigError
from sealflow.files import create_file
from sealflow.operator.components import COMPONENTS, ClusterNames
from sealflow.operator.key_folder import read_tree, write_tree
from sealflow.owner.enclave.signing import new_enclave_key

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: object) -> str:
    """Run `sealflow keys …`; gives what it printed."""
    result = CliRunner().invoke(keys, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def secrets_of(files: dict[str, bytes]) -> set[bytes]:
    """Every line of a private key and every password."""
    found = {
        content
        for path, content in files.items()
        if path.startswith("password/") and path.count("/") == 2 and not path.endswith(".acl")
    }
    for path, content in files.items():
        if path.endswith(".key"):
            found |= {line for line in content.splitlines() if not line.startswith(b"-----")}
    return found


def test_modes(folder: Path) -> None:
    """Every file is 0600 and every folder 0700."""
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_never_overwritten(folder: Path, files: dict[str, bytes]) -> None:
    """Keys are not made over others, and nothing is left behind by the attempt."""
    with pytest.raises(ConfigError, match="exists: rotate"):
        write_tree(folder, {"x": b"y"}, replace=False)
    assert read_tree(folder) == files
    assert [path.name for path in folder.parent.iterdir()] == ["keys"]


def test_replaced_whole(tmp_path: Path) -> None:
    """A folder is replaced as a whole: what is not written anew is gone."""
    write_tree(tmp_path / "k", {"a/b": b"1", "c": b"2"}, replace=False)
    write_tree(tmp_path / "k", {"a/d": b"3"}, replace=True)
    assert read_tree(tmp_path / "k") == {"a/d": b"3"}
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_failed_write(tmp_path: Path) -> None:
    """A write that fails midway leaves the old folder as it was."""
    write_tree(tmp_path / "k", {"a": b"1"}, replace=False)
    with pytest.raises(ConfigError, match="cannot write"):
        write_tree(tmp_path / "k", {"a": b"2", "a/b": b"3"}, replace=True)
    assert read_tree(tmp_path / "k") == {"a": b"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_open_folder(tmp_path: Path) -> None:
    """A folder that others can look into is refused, with what to do."""
    write_tree(tmp_path / "k", {"a": b"1"}, replace=False)
    (tmp_path / "k").chmod(0o750)
    with pytest.raises(ConfigError, match="chmod 700"):
        read_tree(tmp_path / "k")


def test_command(tmp_path: Path) -> None:
    """`make`, `rotate` and `list` say what they wrote, in words and as JSON, and show no secret."""
    folder = tmp_path / "k"
    said = call("make", folder, "--deployment", "demo", "--host", "gateway=a.example")
    before = read_tree(folder)
    report = json.loads(call("rotate", "passwords", folder, "--kubernetes", "--json"))
    after = read_tree(folder)
    assert set(report["written"]) == {path for path in after if before.get(path) != after[path]}
    assert {"password/password.yaml", "keys/keys.yaml"} <= set(report["written"])
    listed = json.loads(call("list", folder, "--json"))
    assert len(listed["certificates"]) == len(COMPONENTS) + 3
    said += json.dumps([report, listed]) + call("list", folder)
    said += call("rotate", "certificates", folder, "--component", "gateway")
    shown = said.encode()
    assert [each for each in secrets_of(before) | secrets_of(after) if each in shown] == []


def test_command_refuses(tmp_path: Path) -> None:
    """What cannot be meant is refused before any key is drawn."""
    for arguments, reason in (
        (("make", tmp_path / "k", "--host", "client=x"), "'client' is not a serving component"),
        (("make", tmp_path / "k", "--host", "gateway"), "COMPONENT=HOST"),
        (("make", tmp_path / "k", "--deployment", "a b"), "--deployment"),
        (("make", tmp_path / "k", "--namespace", "A"), "namespace"),
        (("rotate", "passwords", tmp_path / "k"), "make them with"),
        (("rotate", "passwords", tmp_path / "k", "--component", "x"), "--component x: unknown"),
    ):
        with pytest.raises(ConfigError, match=re.escape(reason)):
            call(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_manifests(files: dict[str, bytes]) -> None:
    """One Secret a component: each holds that component's files, byte for byte, and no other's."""
    for path, folder, suffix in (
        ("keys/keys.yaml", "keys", "tls"),
        ("password/password.yaml", "password", "password"),
    ):
        documents = files[path].decode().split("---\n")[1:]
        for document in documents:
            [name] = re.findall(r'^  name: "sf-(.+)-' + suffix + '"$', document, re.MULTILINE)
            found = {
                key: b64decode(value)
                for key, value in re.findall(r'^  "(.+)": "(.*)"$', document, re.MULTILINE)
            }
            prefix = f"{folder}/{name}/"
            own = {
                key.removeprefix(prefix): content
                for key, content in files.items()
                if key.startswith(prefix)
            }
            assert found == own
            assert '  namespace: "prod"' in document


def test_enclave_key(tmp_path: Path) -> None:
    """OpenSSL reads the enclave key: RSA-3072, exponent 3; its MRSIGNER is the modulus's digest."""
    pem, signer = new_enclave_key()
    create_file(tmp_path / "enclave.key", pem)
    command = [
        "openssl",
        "rsa",
        "-in",
        str(tmp_path / "enclave.key"),
        "-noout",
        "-text",
        "-modulus",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "(3072 bit" in text
    assert "publicExponent: 3 (0x3)" in text
    modulus = bytes.fromhex(text.rpartition("Modulus=")[2].strip())
    assert hashlib.sha256(modulus[::-1]).hexdigest() == signer
    with pytest.raises(ConfigError, match="never overwritten"):
        call("enclave", tmp_path / "enclave.key")


def test_signing_keys(tmp_path: Path) -> None:
    """Owner and enclave keys come with their public names, and with nothing else."""
    owner = json.loads(call("owner", tmp_path / "owner.key", "--json"))
    enclave = json.loads(call("enclave", tmp_path / "enclave.key", "--json"))
    assert re.fullmatch("[0-9a-f]{64}", owner["signer"])
    assert re.fullmatch("[0-9a-f]{64}", enclave["mr_signer"])
    assert '"world":"hardware"' in (tmp_path / "owner.key").read_text()


@pytest.mark.parametrize("name", ["Release", "", "a" * 60, "a.b"])
def test_bad_release(name: str) -> None:
    """A release that Kubernetes would not take is refused."""
    with pytest.raises(ConfigError, match="release"):
        ClusterNames(deployment="demo", release=name)
