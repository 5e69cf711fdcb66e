"""`sealflow state` where there is nothing to return to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


def _settings(folder: Path, *more: str) -> str:
    (folder / "deployment.json").write_text("{}")
    lines = (
        'broker_url = "unix:///nowhere"',
        'deployment = "test"',
        f'deployment_file = "{folder}/deployment.json"',
        *more,
    )
    (folder / "keybroker.toml").write_text("\n".join(lines))
    return str(folder / "keybroker.toml")


def test_a_host_without_an_archive(run: RunCommand, tmp_path: Path) -> None:
    """The error names the setting that is missing."""
    shown = run("state", "list", _settings(tmp_path))
    assert (shown.code, "no state_dir" in shown.err) == (2, True)


def test_an_empty_archive(run: RunCommand, tmp_path: Path) -> None:
    """Nothing is listed, for people and as JSON; a broker that is away changes no file."""
    file = _settings(tmp_path, f'state_dir = "{tmp_path}/states"')
    assert run("state", "list", file).out == ""
    assert run("state", "list", file, "--json").out.split() == ["[]"]
    assert run("state", "restore", file, "0", "--yes").code == 6
