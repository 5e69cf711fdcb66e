"""How Flink's containers start: settings that only the pod knows, and passwords that fit."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import create_credentials
from tests.support.chart.rendering import CHART, files_of
from tests.support.cluster.flink import installed_flink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.chart.rendering import Object

    Rendered = Callable[[str], list[Object]]


class FlinkStart:
    """The start script in a folder that stands for the pod, with a program that shows its settings.

    `java_home`: where its keytool is.
    """

    def __init__(self, folder: Path, files: dict[str, str], java_home: Path) -> None:
        """Lay out what the pod mounts, but no stores."""
        self.folder, self._java_home = folder, java_home
        script = (CHART / "files" / "flink-start.sh").read_text()
        for name in ("/etc/sealflow-flink", "/run/secrets/sealflow", "/run/flink"):
            (folder / name.lstrip("/")).mkdir(parents=True)
            script = script.replace(name, str(folder / name.lstrip("/")))
        (folder / "start.sh").write_text(script)
        for name in ("config.yaml", "log4j-console.properties"):
            (folder / "etc" / "sealflow-flink" / name).write_text(files[name])
        show = '#!/bin/sh\necho "$@"; cat "$FLINK_CONF_DIR/config.yaml"\n'
        _program(folder / "home" / "bin" / "taskmanager.sh", show)

    def secrets(self, side: str) -> Path:
        """The folder of a side's stores and their password."""
        found = self.folder / "run" / "secrets" / "sealflow" / side
        found.mkdir(exist_ok=True)
        return found

    def run(self) -> subprocess.CompletedProcess[str]:
        """Start a TaskManager."""
        return subprocess.run(
            ["/bin/sh", self.folder / "start.sh", "taskmanager.sh"],
            env={
                "FLINK_HOME": str(self.folder / "home"),
                "JAVA_HOME": str(self._java_home),
                "POD_IP": "10.0.0.7",
                "HOSTNAME": "pod-1",
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            check=False,
        )


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o755)


def test_flink_start(rendered: Rendered, tmp_path: Path) -> None:
    """The start script adds what only the pod knows, keeps the password off command lines."""
    java, seen = tmp_path / "java", tmp_path / "seen"
    _program(java / "bin" / "keytool", f'#!/bin/sh\necho "$@" >> {seen}\n')
    start = FlinkStart(tmp_path / "pod", files_of(rendered("nonsgx")), java)
    for side in ("internal", "rest"):
        (start.secrets(side) / "keystore").write_text("s3cret-word")
    done = start.run()
    assert done.returncode == 0, done.stderr
    arguments, _, text = done.stdout.partition("\n")
    config = yaml.safe_load(text)
    assert arguments == "start-foreground"
    assert config["taskmanager.host"] == "10.0.0.7"
    assert config["taskmanager.resource-id"] == "pod-1"
    for side in ("internal", "rest"):
        assert config[f"security.ssl.{side}.keystore-password"] == "s3cret-word"
    written = start.folder / "run" / "flink" / "conf" / "config.yaml"
    assert written.stat().st_mode & 0o077 == 0
    assert len(seen.read_text().splitlines()) == 2
    assert "s3cret-word" not in seen.read_text()


@pytest.fixture(scope="module")
def stores() -> dict[str, bytes]:
    """The files of a key folder."""
    files: dict[str, bytes] = create_credentials(
        ClusterNames(deployment="sealflow"), datetime.now(UTC), kubernetes=False
    )
    return files


@pytest.mark.parametrize("wrong", ["", "internal", "rest"])
def test_a_wrong_password_of_a_store(
    rendered: Rendered, tmp_path: Path, stores: dict[str, bytes], wrong: str
) -> None:
    """Before a JVM starts, one line says which file does not fit which, and what to do."""
    java = installed_flink().java_home
    start = FlinkStart(tmp_path, files_of(rendered("nonsgx")), java)
    for side, component in (("internal", "jobmanager"), ("rest", "rest")):
        folder = start.secrets(side)
        (folder / "keystore.p12").write_bytes(stores[f"keys/{component}/keystore.p12"])
        right = stores[f"password/{component}/keystore"]
        (folder / "keystore").write_bytes(b"wrong" if side == wrong else right)
    done = start.run()
    if not wrong:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    secret = start.secrets(wrong)
    assert line.startswith(f"{secret}/keystore.p12 does not open with the password in {secret}/")
    assert "sealflow keys" in line
    assert "password was incorrect" in line
