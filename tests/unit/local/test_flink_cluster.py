"""Configuration and keys of a Flink cluster on this machine."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from sealflow.errors import ConfigError
from sealflow.host.engine.flink.settings import FlinkInstall, TlsStores
from sealflow.local.flink_cluster import FlinkCluster, FlinkKeys, FlinkTls, check_rsa, client_tls
from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import create_credentials, read_tree, write_tree

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = "--add-opens=java.base/java.lang=ALL-UNNAMED"


def _install(tmp_path: Path) -> FlinkInstall:
    package = tmp_path / "pyflink"
    (package / "conf").mkdir(parents=True)
    (package / "conf" / "config.yaml").write_text(
        f"env:\n  java:\n    opts:\n      all: {OPTIONS}\n"
    )
    (package / "conf" / "log4j-console.properties").write_text("rootLogger.level = INFO\n")
    return FlinkInstall(python=tmp_path / "python", package=package, java_home=tmp_path / "java")


def _written(folder: Path, role: str) -> dict[str, Any]:
    lines = (folder / "conf" / role / "config.yaml").read_text().splitlines()
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}


def test_the_written_configuration(tmp_path: Path) -> None:
    """TLS with certificates both ways, loopback only, Java's options kept; nobody else reads it."""
    cluster = FlinkCluster(_install(tmp_path), tmp_path / "f", rpc_port=1, rest_port=2)
    jobmanager, taskmanager, rest = (
        TlsStores(keystore=f"/{name}/k", truststore=f"/{name}/t", password=name)
        for name in ("jobmanager", "taskmanager", "rest")
    )
    cluster.write(FlinkTls(jobmanager=jobmanager, taskmanager=taskmanager, rest=rest))
    settings = _written(tmp_path / "f", "jobmanager")
    assert settings["security.ssl.internal.keystore"] == "/jobmanager/k"
    assert settings["security.ssl.rest.truststore"] == "/rest/t"
    other = _written(tmp_path / "f", "taskmanager")
    assert other["security.ssl.internal.keystore-password"] == "taskmanager"
    assert not any(".rest." in name for name in other)
    for name in ("security.ssl.internal.enabled", "security.ssl.rest.enabled",
                 "security.ssl.rest.authentication-enabled"):  # fmt: skip
        assert settings[name] == "true"
    bound = ("rest.bind-address", "jobmanager.bind-host", "taskmanager.bind-host")
    assert {settings[name] for name in bound} == {"127.0.0.1"}
    assert settings["env.java.opts.all"].endswith(OPTIONS)
    mode = (tmp_path / "f" / "conf" / "jobmanager" / "config.yaml").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_processes_get_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment reaches Flink but a few harmless names."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("SECRET", "s")
    cluster = FlinkCluster(_install(tmp_path), tmp_path / "f", rpc_port=1, rest_port=2)
    argv = cluster.taskmanager(0, tmp_path / "log").argv
    assert argv[:2] == ("/usr/bin/env", "-i")
    assert not any(word.startswith(("PYTHONPATH=", "SECRET=")) for word in argv)
    assert f"FLINK_CONF_DIR={tmp_path / 'f' / 'conf' / 'taskmanager'}" in argv


def test_keys_are_made_once(tmp_path: Path) -> None:
    """A second call keeps them; each process has its own, and the client's work in Python's TLS."""
    keys = FlinkKeys(tmp_path / "keys")
    keys.make("test")
    before = read_tree(tmp_path / "keys")
    keys.make("test")
    assert read_tree(tmp_path / "keys") == before
    tls = keys.cluster
    stores = [tls.jobmanager, tls.taskmanager, tls.rest]
    assert len({store.password for store in stores}) == 3
    assert all(store.password not in repr(store) for store in stores)
    assert client_tls(keys.submit).context().cert_store_stats()["x509_ca"] == 1


def test_keys_that_end_soon_are_renewed(tmp_path: Path) -> None:
    """Old certificates are replaced when the cluster starts; the authorities stay."""
    made = datetime.now(UTC) - timedelta(days=350)
    files = create_credentials(ClusterNames(deployment="test"), made, kubernetes=False)
    write_tree(tmp_path / "keys", files, replace=False)
    FlinkKeys(tmp_path / "keys").make("test")
    renewed = read_tree(tmp_path / "keys")
    assert renewed["ca/rest/ca.crt"] == files["ca/rest/ca.crt"]
    for name in ("rest", "jobmanager", "taskmanager", "submit"):
        assert renewed[f"keys/{name}/tls.crt"] != files[f"keys/{name}/tls.crt"]


def test_keys_of_elliptic_curves_are_refused(tmp_path: Path) -> None:
    """Flink would only fail at its first handshake."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(b"p")
    store = tmp_path / "ec.p12"
    store.write_bytes(pkcs12.serialize_key_and_certificates(b"ec", key, None, None, encryption))
    with pytest.raises(ConfigError, match="RSA"):
        check_rsa(store, "p")
    with pytest.raises(ConfigError, match="password"):
        check_rsa(store, "other")
    with pytest.raises(ConfigError, match=r"absent\.p12"):
        check_rsa(tmp_path / "absent.p12", "p")
