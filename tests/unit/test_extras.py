"""What to run when a library is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealflow.extras import EXTRAS, install_advice, install_command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - {"flink"}))
def test_commands(extra: str) -> None:
    """An extra is installed into the environment that lacks it."""
    assert install_command(extra) == f"pip install 'sealflow[{extra}]'"


def test_flink() -> None:
    """Flink's libraries are installed into an environment of their own."""
    expected = "python3.12 -m venv flink-env && flink-env/bin/pip install 'sealflow[flink]'"
    assert install_command("flink") == expected


def test_beside_flink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is installed into Flink's environment."""
    (tmp_path / "pyflink").mkdir()
    (tmp_path / "pyflink" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    expected = "python3 -m venv sealflow-env && sealflow-env/bin/pip install 'sealflow[client]'"
    assert install_command("client") == expected


def test_advice() -> None:
    """The advice names the library and the command, for the extra that the caller wants first."""
    error = ModuleNotFoundError("No module named 'urllib3.util'", name="urllib3.util")
    for extra in ("client", "server"):
        expected = f"urllib3 is not installed: run pip install 'sealflow[{extra}]'"
        assert install_advice(error, extra) == expected
    assert install_advice(ModuleNotFoundError("No module named 'absent'", name="absent")) is None
