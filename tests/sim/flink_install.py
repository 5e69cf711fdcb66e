"""The Flink that `make flink` installed, for all tests that need one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sealflow.errors import ConfigError
from sealflow.host.engine.flink.settings import FlinkInstall
from tools.setup import pythons

FLINK: Final = Path(__file__).resolve().parents[2] / ".venv-flink"


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
