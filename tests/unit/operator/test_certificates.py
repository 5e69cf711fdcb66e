"""Certificates of a key folder, as OpenSSL, Java and real handshakes see them."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealflow.operator.certificates import load_certificates
from sealflow.operator.components import COMPONENTS
from sealflow.operator.key_folder import rotate_authorities, rotate_certificates, write_tree
from tests.support.cluster.flink import keytool
from tests.support.network.tls_handshakes import client_context, server_context, shake_hands

if TYPE_CHECKING:
    from pathlib import Path

JAVA = [each.name for each in COMPONENTS if each.java]
NOW = datetime.now(UTC)
MONTH = timedelta(days=30)


def run(*command: object) -> str:
    """Run a program; gives what it printed."""
    argv = [str(each) for each in command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def on_disk(files: dict[str, bytes], folder: Path) -> Path:
    """Write a key folder."""
    write_tree(folder, files, replace=False)
    return folder


@pytest.mark.parametrize("name", [each.name for each in COMPONENTS])
def test_chain(folder: Path, name: str) -> None:
    """OpenSSL follows each certificate to the root that its component trusts."""
    own = folder / "keys" / name
    said = run("openssl", "verify", "-x509_strict", "-CAfile", own / "ca.crt", own / "tls.crt")
    assert said.strip().endswith("OK")


def test_keys_differ(files: dict[str, bytes]) -> None:
    """No two components share a key, and no key a password."""
    keys = [content for path, content in files.items() if path.endswith("tls.key")]
    passwords = [
        content
        for path, content in files.items()
        if path.startswith("password/") and path.count("/") == 2 and not path.endswith(".acl")
    ]
    assert len(set(keys)) == len(keys) == len(COMPONENTS)
    assert len(set(passwords)) == len(passwords) == 9


@pytest.mark.parametrize(
    ("server", "client", "name"),
    [
        ("broker", "gateway", "sf-broker.prod.svc"),
        ("broker", "engine", "127.0.0.1"),
        ("gateway", "client", "a.example"),
        ("jobmanager", "taskmanager", "jobmanager"),
        ("taskmanager", "taskmanager", "0.sf-taskmanager.prod.svc"),
        ("rest", "submit", "sf-rest"),
    ],
)
def test_handshake(folder: Path, server: str, client: str, name: str) -> None:
    """Members of one circle meet over mutual TLS, by every name that a server has."""
    there, here = server_context(folder, server), client_context(folder, client)
    assert shake_hands(there, here, name) == client


@pytest.mark.parametrize(
    ("server", "client"),
    [("rest", "client"), ("rest", "taskmanager"), ("jobmanager", "gateway"), ("broker", "submit")],
)
def test_other_circle(folder: Path, server: str, client: str) -> None:
    """A certificate of one circle means nothing in another, also to a caller who does not check."""
    here = client_context(folder, client)
    here.check_hostname, here.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="certificate"):
        shake_hands(server_context(folder, server), here, server)


def test_wrong_name(folder: Path) -> None:
    """A server is not taken for another of its circle."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(server_context(folder, "broker"), client_context(folder, "client"), "gateway")


def test_client_cannot_serve(folder: Path) -> None:
    """A component that only calls has no certificate to serve with."""
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake_hands(server_context(folder, "client"), client_context(folder, "engine"), "client")


@pytest.mark.parametrize("name", JAVA)
def test_java_stores(folder: Path, name: str) -> None:
    """Java finds an RSA key with its chain in the key store, and trusted roots in the other."""
    own, password = folder / "keys" / name, folder / "password" / name / "keystore"
    options = ("-storetype", "PKCS12", "-storepass:file", password, "-v", "-J-Xshare:auto")
    keys = run(keytool(), "-list", "-keystore", own / "keystore.p12", *options)
    assert "PrivateKeyEntry" in keys
    assert "Certificate chain length: 2" in keys
    assert "3072-bit RSA key" in keys
    roots = run(keytool(), "-list", "-keystore", own / "truststore.p12", *options)
    assert "trustedCertEntry" in roots
    assert "contains 1 entry" in roots


def test_rotated_authorities(files: dict[str, bytes], folder: Path, tmp_path: Path) -> None:
    """During the overlap, old and new processes meet both ways, whoever restarts first."""
    new = on_disk(rotate_authorities(files, NOW, MONTH), tmp_path / "new")
    newest = on_disk(
        rotate_authorities(rotate_authorities(files, NOW, MONTH), NOW, MONTH), tmp_path / "newest"
    )
    for there, here in ((folder, new), (new, folder), (folder, newest), (newest, folder)):
        server, client = server_context(there, "broker"), client_context(here, "engine")
        assert shake_hands(server, client, "broker") == "engine"
    trust = new / "keys" / "rest" / "truststore.p12"
    password = new / "password" / "rest" / "keystore"
    listed = run(keytool(), "-list", "-keystore", trust, "-storepass:file", password)
    assert "contains 2 entries" in listed


def test_overlap_ends(files: dict[str, bytes], folder: Path, tmp_path: Path) -> None:
    """After the overlap, the next rotation leaves the old root out."""
    rotated = rotate_authorities(files, NOW - 2 * MONTH, MONTH)
    assert len(load_certificates(rotated["keys/broker/ca.crt"])) == 2
    later = rotate_certificates(rotated, NOW)
    assert len(load_certificates(later["keys/broker/ca.crt"])) == 1
    assert len(load_certificates(later["keys/broker/tls.crt"])) == 1
    late = on_disk(later, tmp_path / "late")
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(late, "broker"), client_context(folder, "engine"), "broker")


def test_one_component(files: dict[str, bytes]) -> None:
    """One component's certificate is renewed, and nothing of the others changes."""
    [gateway] = [each for each in COMPONENTS if each.name == "gateway"]
    renewed = rotate_certificates(files, NOW, [gateway])
    changed = {path for path, content in renewed.items() if files[path] != content}
    own = {"keys/gateway/tls.key", "keys/gateway/tls.crt", "keys/keys.yaml"}
    stores = {f"keys/{name}/truststore.p12" for name in JAVA}  # encrypted anew, the same within
    assert own <= changed <= own | stores | {"password/password.yaml"}


def test_authority_stays_home(files: dict[str, bytes]) -> None:
    """No component's folder and no manifest holds an authority's private key."""
    for circle in ("service", "flink", "rest"):
        key = files[f"ca/{circle}/ca.key"]
        holders = [path for path, content in files.items() if key in content]
        assert holders == [f"ca/{circle}/ca.key"]
